"""Saves and loads trained models: weights as safetensors, with a JSON description beside them.

A model is a folder with `model.safetensors` (tensors only, so that loading executes no code) and `model.json` (name,
settings, seed, code revision, package versions, validation scores). The name is compared when a model is loaded, so
that swapped files are refused.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from .descriptions import name_of, read_description
from .errors import BadFile, MissingWeights, reading
from .files import write_json, writing

__all__ = ["load_model", "load_network", "name_of", "save_missing", "save_model"]

Network = TypeVar("Network", bound=nn.Module)

_REMEDY = "delete it and train again"


def save_model(folder: Path | str, state: Mapping[str, Tensor], meta: Mapping[str, Any]) -> None:
    """Writes `model.safetensors` and `model.json` to `folder`, each atomically.

    Arguments:
        folder: The model's folder.
        state: The weights, as returned by `state_dict()`.
        meta: The description: values that JSON can represent. Its key `model` or `kind` is the name of the model.
    """
    folder = Path(folder)
    # Clones: safetensors refuses tensors that share memory, such as tied or sliced weights.
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in state.items()}
    with writing(folder / "model.safetensors") as temporary:
        save_file(tensors, temporary)
    write_json(folder / "model.json", meta)


def load_model(folder: Path | str, expected: str = "") -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Loads what :func:`save_model` wrote.

    Arguments:
        folder: The model's folder.
        expected: The name that the model must have, as :func:`name_of` returns it; by default any.

    Returns:
        The weights, on the CPU, and the description.

    Raises:
        UserError: If one of the files is missing or cannot be read.
        BadFile: If one of the files is damaged, the model has another name, or a weight is not finite.
        MissingWeights: If the folder records that the weights are missing, see :func:`save_missing`.
    """
    folder = Path(folder)
    path = folder / "model.safetensors"
    with reading(path, "not a complete safetensors file", _REMEDY, "train this model"):
        state = load_file(path)
    meta = read_description(folder / "model.json")
    if "missing" in meta:
        raise MissingWeights(str(meta["missing"]))
    if expected and name_of(meta) != expected:
        raise BadFile(f"{folder}: contains the model {name_of(meta)}, not {expected}; {_REMEDY}")
    for name, tensor in state.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            raise BadFile(f"{path}: {name} holds a number that is not finite; {_REMEDY}")
    return state, meta


def save_missing(folder: Path | str, kind: str, reason: str) -> None:
    """Records in a model's folder that its weights are missing. :func:`load_model` then raises the reason."""
    save_model(folder, {}, {"kind": kind, "missing": reason})


def load_network(
    folder: Path | str, build: Callable[..., Network], device: str, expected: str = ""
) -> tuple[Network, dict[str, Any]]:
    """Loads a convolutional network for inference.

    Arguments:
        folder: The model's folder. The key `network` of its description holds the arguments of `build`.
        build: The class of the network.
        device: The device of the network.
        expected: The name that the model must have, as :func:`name_of` returns it; by default any.

    Returns:
        The network and the description. The network is in evaluation mode, its weights do not require gradients, and
        its memory format is channels-last, which is faster on CPUs.

    Raises:
        UserError: As :func:`load_model` does, also if the weights do not fit the network.
    """
    state, meta = load_model(folder, expected)
    with reading(folder, "the weights do not fit the network", _REMEDY):
        network = build(**meta["network"])
        network.load_state_dict(state)
    network = network.eval().requires_grad_(False)
    return network.to(device, memory_format=torch.channels_last), meta  # type: ignore[call-overload]
