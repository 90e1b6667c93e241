"""Imports published or own weights in place of a training.

The result is a folder like that of a trained model and is loaded in the same way. Its `model.json` holds `imported`:
the name and the SHA-256 of the file, and the options that were used. There is no training log, and the workflow does
not train the model.
"""

import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from ..core.checkpoint import save_model
from ..core.errors import UserError
from ..core.provenance import describe
from ..core.run import Run
from ..pretrained.checkpoints import Published, open_checkpoint
from ..pretrained.import_options import Options
from .registry import MODELS, split_name

__all__ = ["import_model"]


def import_model(source: Path | str, values: Mapping[str, Any], run: Run) -> dict[str, Any]:
    """Imports a model from a file of weights and writes it to `run.out`.

    Arguments:
        source: The file: a checkpoint of `torch.save`, a safetensors file or, for a classifier, an ONNX file.
        values: The options: what the file does not contain.
        run: The name, as for a training, folders, seed, device and attributes.

    Returns:
        The description of the model, as written to `model.json`.

    Raises:
        UserError: If the model cannot be imported, or an option is missing, unknown or contradicts the file.
        BadFile: If the file is damaged or holds the weights of another network.
    """
    model = MODELS[split_name(run.name)[0]]
    if not model.imports:
        known = ", ".join(name for name, one in MODELS.items() if one.imports)
        raise UserError(f"{run.name}: no published weights are known for this model; choose from {known}")
    path = Path(os.path.expanduser(source))  # unchanged if there is no such user
    published = Published.of_onnx(path) if path.suffix == ".onnx" else open_checkpoint(path)
    module, function = model.imports.split(":")
    options = Options(values, kind=f"the weights of {run.name}")
    state, meta = getattr(import_module(f"..{module}", __package__), function)(published, options, run)
    meta = meta | {
        "seed": run.seed,
        "imported": published.origin | {"options": options.finish()},
        "provenance": describe(),
    }
    save_model(run.out, state, meta)
    return meta
