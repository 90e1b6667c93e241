"""Checkpoints: weights as safetensors, and a JSON beside them that says what made them.

A trained model is a folder with `model.safetensors` (tensors only, so that loading runs no code) and
`model.json` (settings, seed, data checksum, git revision, package versions, validation scores).
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .errors import BadFile, MissingWeights, UserError
from .files import read_json, write_json, writing

__all__ = ["load_model", "load_network", "save_missing", "save_model"]

Network = TypeVar("Network", bound=nn.Module)


def save_model(folder: Path | str, state: dict[str, Tensor], meta: dict[str, Any]) -> None:
    """Writes `model.safetensors` and `model.json` in `folder`, each whole or not at all.

    Arguments:
        folder: The model's folder.
        state: The weights, as given by `state_dict()`.
        meta: What made them; anything that JSON can hold.
    """
    folder = Path(folder)
    # Clones: safetensors refuses tensors that share memory, as tied or sliced weights do.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    with writing(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(folder / "model.json", meta)


def load_model(folder: Path | str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Reads what :func:`save_model` wrote.

    Returns:
        The weights, on the CPU, and the JSON.

    Raises:
        UserError: If either file is missing.
        BadFile: If either file is damaged, or a weight is not finite.
        MissingWeights: If it was written in place of weights that were not there.
    """
    folder = Path(folder)
    path = folder / "model.safetensors"
    if not path.exists():
        raise UserError(f"{path}: no such file; train this model first")
    try:
        state = load_file(path)
    except Exception as error:
        raise BadFile(f"{path}: not a whole safetensors file ({error}); delete it and train again") from None
    meta = read_json(folder / "model.json")
    if not isinstance(meta, dict):
        raise BadFile(f"{folder / 'model.json'}: holds no keys and values; delete it and train again")
    if "missing" in meta:
        raise MissingWeights(meta["missing"])
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise BadFile(f"{path}: {name} holds a number that is not finite; delete it and train again")
    return state, meta


def save_missing(folder: Path | str, kind: str, reason: str) -> None:
    """Writes, in the place of a model, that there are no weights for it: :func:`load_model` gives the reason."""
    save_model(folder, {}, {"kind": kind, "missing": reason})


def load_network(
    folder: Path | str, build: Callable[..., Network], device: str
) -> tuple[Network, dict[str, Any]]:
    """Reads a convolutional network that is asked and no longer trained.

    Arguments:
        folder: Its folder, whose JSON holds under `network` the arguments it was built with.
        build: Its class.
        device: Where it is to run.

    Returns:
        The network, in evaluation mode, its weights without gradients and channels last (faster on CPUs); and the JSON.

    Raises:
        UserError: If it is missing or damaged, or the weights are another network's.
    """
    state, meta = load_model(folder)
    network = build(**meta["network"])
    try:
        network.load_state_dict(state)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(
            f"{folder}: not the weights of this network ({reason}); delete it and train again"
        ) from None
    return network.eval().requires_grad_(False).to(device, memory_format=torch.channels_last), meta
