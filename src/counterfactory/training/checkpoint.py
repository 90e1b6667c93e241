"""Checkpoints: weights as safetensors, and a JSON beside them that says what made them.

A trained model is a folder with `model.safetensors` (tensors only, so that loading runs no code) and
`model.json` (settings, seed, data checksum, git revision, package versions, validation marks).
"""

from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor

from ..errors import UserError
from ..files import read_json, write_json, writing

__all__ = ["load_model", "save_model"]


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
        UserError: If either file is missing or damaged.
    """
    folder = Path(folder)
    path = folder / "model.safetensors"
    if not path.exists():
        raise UserError(f"{path}: no such file; train this model first")
    try:
        state = load_file(path)
    except Exception as error:
        raise UserError(
            f"{path}: not a whole safetensors file ({error}); delete it and train again"
        ) from None
    return state, read_json(folder / "model.json")
