"""Turns foreign weights into a network, or into a one-line error.

Names, shapes, types and sizes in a foreign file may be anything. Every interpretation of them runs within
:func:`interpreting`, every network receives them through :func:`fitted`, and every imported network computes one output
within :func:`checked`. All three raise :class:`counterfactory.core.errors.BadFile` with the file, the cause and the
remedy.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from ..core.errors import BadFile, UserError
from ..core.foreign.archives import reason

__all__ = ["checked", "examples", "fitted", "interpreting", "renamed"]

Network = TypeVar("Network", bound=nn.Module)

# What PyTorch and Python raise for missing names, wrong ranks, sizes and types of tensors. Other exceptions, such as
# TypeError and AttributeError, are errors of the program and are not caught.
_FOREIGN = (LookupError, ValueError, RuntimeError, ArithmeticError, MemoryError)


@contextmanager
def interpreting(path: Path | str, kind: str, also: tuple[type[Exception], ...] = ()) -> Iterator[None]:
    """Context manager around the interpretation of foreign weights.

    Arguments:
        path: The file, for the message.
        kind: What the weights should be, such as `causal-gen's HVAE`.
        also: Further exceptions that the file can cause.

    Raises:
        BadFile: If an exception occurs that foreign names, shapes or numbers can cause.
    """
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        if not isinstance(error, _FOREIGN + also):
            raise
        cause = f"it has no {error.args[0]}" if type(error) is KeyError and error.args else _line(error)
        raise BadFile(f"{path}: not the weights of {kind} ({cause}); name another file") from None


def _line(error: BaseException) -> str:
    """Returns the message of an exception on one line; of several lines the last one, which PyTorch makes specific."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return reason(type(error)(lines[-1])) if len(lines) > 1 else reason(error)


def renamed(
    state: Mapping[str, Tensor],
    name: Callable[[str, Tensor], str | None] | Mapping[str, str],
    change: Callable[[str, Tensor], Tensor] | None = None,
) -> dict[str, Tensor]:
    """Returns a state dictionary by other names.

    Arguments:
        state: The published state dictionary.
        name: Our name of a tensor, given the published name and the tensor; None leaves it out. A mapping holds our
            name of each module by the published one; modules that are not in it keep their name, so that the network
            refuses them.
        change: Our tensor, given the published name and the tensor; by default unchanged.

    Raises:
        ValueError: If two tensors get one name.
    """
    found: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if isinstance(name, Mapping):
            module, _, leaf = key.rpartition(".")
            ours: str | None = f"{name.get(module, module)}.{leaf}"
        else:
            ours = name(key, tensor)
        if ours is None:
            continue
        if ours in found:
            raise ValueError(f"{key} occurs twice under different names")
        found[ours] = tensor if change is None else change(key, tensor)
    return found


def fitted(
    build: Callable[[], Network], rename: Callable[[], Mapping[str, Tensor]], path: Path | str, kind: str
) -> Network:
    """Returns a network with foreign weights, in evaluation mode and without gradients.

    Names, shapes and types are compared before memory is allocated, so that a file cannot claim a huge network.

    Arguments:
        build: Returns the network.
        rename: Returns the foreign weights by the names of that network.
        path: The file, for messages.
        kind: What the weights should be.

    Raises:
        BadFile: If the weights do not fit.
    """
    with interpreting(path, kind):
        state = rename()
        with torch.device("meta"):
            expected = build().state_dict()
        _compare(state, expected)
        network = build()
        network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def _compare(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raises a ValueError if the names, shapes or types of weights are not the expected ones."""
    for key, one in expected.items():
        if key not in state:
            if key.endswith(".num_batches_tracked"):  # not used, and absent from old files
                continue
            raise ValueError(f"it has no {key}")
        found = state[key]
        if found.shape != one.shape:
            raise ValueError(f"{key} has the shape {tuple(found.shape)}, not {tuple(one.shape)}")
        if found.is_floating_point() != one.is_floating_point():
            raise ValueError(f"{key} holds {str(found.dtype).removeprefix('torch.')} numbers")
    for key in state:
        if key not in expected:
            raise ValueError(f"it has {key}, which this network does not have")


def examples(*shape: int) -> Tensor:
    """Returns uniform numbers in [-1, 1] with a shape: images, or encoded parents, for :func:`checked`."""
    return 2.0 * torch.rand(shape, generator=torch.Generator().manual_seed(0)) - 1.0


def checked(
    compute: Callable[[], Tensor | Iterable[Tensor]],
    path: Path | str,
    kind: str,
    also: tuple[type[Exception], ...] = (),
) -> list[Tensor]:
    """Returns outputs of an imported network.

    Arguments:
        compute: Computes one output or several, without gradients.
        path: The file, for messages.
        kind: What the weights should be.
        also: Further exceptions that the file can cause.

    Raises:
        BadFile: If the network cannot compute them, or if they are not finite.
    """
    with interpreting(path, kind, also), torch.inference_mode():
        found = compute()
        outputs = [found] if isinstance(found, Tensor) else list(found)
    if not all(bool(torch.isfinite(one).all()) for one in outputs):
        raise BadFile(
            f"{path}: with these weights {kind} computes numbers that are not finite; name another file"
        )
    return outputs
