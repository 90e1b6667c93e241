"""Compiles a network for its training: PyTorch's compiler fuses the many small operations of a step into few kernels.

A GPU starts a kernel in microseconds however little it does, which is most of what a step of a small network takes.
Compiling takes minutes at the start of a training (less when one goes on: the compiler keeps a cache), so it is for
long ones. The weights are those of the network as written, but for rounding (and for the draws of dropout, where there
is any): a compiled training that was killed and goes on need not end with the same bits.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from ..core.cache_folder import cache_folder, private_folder

__all__ = ["as_written", "compiled"]

BOUNDS = ("elbo", "reconstruct", "predict")  # what losses ask of an image mechanism


@contextmanager
def compiled(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Lets what losses ask of `model` be compiled when it is first asked, for as long as this is entered.

    Of an image mechanism that is its bound and its predictions, of any other network its `forward`, or the `forward`
    of each of its parts if it has none. Where the compiler fails (there may be none), it says so and the operations
    are run as they are written.

    Arguments:
        model: The network, on its device.
        wanted: Whether to do so at all.
    """
    if not wanted:
        yield
        return
    # Not loaded with torch: their import takes seconds.
    import torch._dynamo
    import torch._functorch.config

    _set_cache()
    bounds = [(model, name) for name in BOUNDS if hasattr(model, name)]
    own = type(model).forward is not nn.Module.forward
    parts = bounds or [(part, "forward") for part in ([model] if own else model.children())]
    for part, name in parts:
        setattr(part, name, torch.compile(getattr(part, name)))
    try:
        with (
            torch._dynamo.config.patch(suppress_errors=True),
            # Else the backward pass is compiled when it is run, where a failure ends the training.
            torch._functorch.config.patch(force_non_lazy_backward_lowering=True),
        ):
            yield
    finally:
        for part, name in parts:
            delattr(part, name)


def _set_cache() -> None:
    """Lets the compiler keep its code in a private folder: its default has a predictable name in /tmp."""
    given = os.environ.get("TORCHINDUCTOR_CACHE_DIR")
    try:
        if given is not None:
            private_folder(Path(given).absolute())
            return
    except OSError:
        pass
    os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(cache_folder("inductor"))


@contextmanager
def as_written(wanted: bool) -> Iterator[None]:
    """Runs what is compiled as it is written: batches of another size or mode would all be compiled anew."""
    if not wanted:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
