"""Applies torch.compile to a network for the duration of its training.

The compiler fuses the many small operations of a step into few kernels. On a GPU, starting a kernel takes microseconds
regardless of its work, which is most of the time of a step of a small network. Compilation takes minutes at the start
of a training (less when it is resumed: the compiler has a cache) and pays off for long trainings. The weights equal
those of the uncompiled network up to rounding (and up to the random numbers of dropout); a compiled training that was
killed and resumed need not end with the same bits.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from ..core.cache_folder import cache_folder, private_folder

__all__ = ["as_written", "compiled"]

METHODS = ("elbo", "reconstruct", "predict")
"""The methods of an image mechanism that losses call."""


@contextmanager
def compiled(model: nn.Module, wanted: bool) -> Iterator[None]:
    """Context manager: applies torch.compile lazily to the functions of a network that losses call.

    These are the methods :data:`METHODS` of an image mechanism, the `forward` of any other network, or the `forward` of
    each child of a network without one. Where the compiler fails (there may be none), PyTorch prints a warning and runs
    the operations uncompiled.

    Arguments:
        model: The network, on its device.
        wanted: Whether to compile; otherwise nothing is done.
    """
    if not wanted:
        yield
        return
    # Imported here: the import takes seconds.
    import torch._dynamo
    import torch._functorch.config

    _set_cache()
    methods = [(model, name) for name in METHODS if hasattr(model, name)]
    own = type(model).forward is not nn.Module.forward
    parts = methods or [(part, "forward") for part in ([model] if own else model.children())]
    for part, name in parts:
        setattr(part, name, torch.compile(getattr(part, name)))
    try:
        with (
            torch._dynamo.config.patch(suppress_errors=True),
            # Otherwise the backward pass is compiled when it runs, where a failure ends the training.
            torch._functorch.config.patch(force_non_lazy_backward_lowering=True),
        ):
            yield
    finally:
        for part, name in parts:
            delattr(part, name)


def _set_cache() -> None:
    """Sets a private cache folder for the compiler: its default has a predictable name in the temporary folder."""
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
    """Context manager: runs compiled functions uncompiled, since batches of another size would be compiled again."""
    if not wanted:
        yield
        return
    with torch.compiler.set_stance("force_eager"):
        yield
