"""Compiles a network for its training: PyTorch's compiler fuses the many small operations of a step into few kernels.

A GPU starts a kernel in microseconds however little it does, which is most of what a step of a small network takes.
Compiling takes minutes at the start of a training, and again when one goes on in a new process, so it is for the long
ones. Weights, checkpoints and results are those of the network itself; only the order of floating-point sums differs.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

__all__ = ["as_written", "compile_network"]


def compile_network(model: nn.Module) -> None:
    """Lets what the losses ask of `model` be compiled when it is first asked.

    That is its bound (`elbo`), or else its `forward`, or else the `forward` of each of its parts. Where the compiler
    fails (there may be none), it says so and the operations are run as they are written.

    Arguments:
        model: The network, on its device.
    """
    # Not loaded with torch: its import takes seconds.
    import torch._dynamo

    torch._dynamo.config.suppress_errors = True
    if hasattr(model, "elbo"):
        model.elbo = torch.compile(model.elbo)
        return
    own = type(model).forward is not nn.Module.forward
    for part in [model] if own else model.children():
        part.forward = torch.compile(part.forward)


@contextmanager
def as_written(network_compiled: bool) -> Iterator[None]:
    """Runs compiled networks as they are written: batches of another size and mode would all be compiled anew."""
    if not network_compiled:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
