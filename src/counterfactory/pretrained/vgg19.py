"""Fetches the weights of VGG-19, whose features define the perceptual distance of DiME (arXiv:2203.15636).

They are the ImageNet weights of torchvision, downloaded and verified by the checksum in the file name, or read from
that file. The classifier, most of the 548 MB, is discarded.
"""

from pathlib import Path

import torch
from torch import Tensor, nn

from ..core.checkpoint import load_model, save_model
from ..core.errors import BadFile, UserError
from ..core.foreign.torch_files import read_tensors
from .download import fetch_tensors
from .sources import DOWNLOADS, find_weights
from .torchvision_import import import_torchvision

__all__ = ["fetch_vgg19", "load_vgg19"]

SOURCES = DOWNLOADS["vgg19"]
KEY = "answers.vgg19_weights"


def fetch_vgg19(source: str, folder: Path | str) -> None:
    """Writes the convolutions of VGG-19 as `model.safetensors` and `model.json` in `folder`.

    Arguments:
        source: `torchvision`, or the file of that download (`vgg19-dcbb9e9d.pth`).
        folder: The output folder.

    Raises:
        UserError: If the download fails, or the file is not a checkpoint of VGG-19.
        MissingWeights: If `source` is a file that does not exist.
    """
    path = None if source in SOURCES else find_weights(KEY, source, SOURCES)
    state = _download() if path is None else read_tensors(path, kind="vgg19")
    kept = {
        name.removeprefix("features."): one for name, one in state.items() if name.startswith("features.")
    }
    _with_weights(kept, source)
    save_model(folder, kept, {"kind": "vgg19", "source": source if path is None else path.name})


def load_vgg19(folder: Path | str) -> nn.Sequential:
    """Loads the convolutions that :func:`fetch_vgg19` wrote, in evaluation mode and without gradients.

    Raises:
        UserError: If they are missing or damaged.
        MissingWeights: If their file did not exist when they were fetched.
    """
    if not (Path(folder) / "model.safetensors").exists():
        raise UserError(f"{folder}: no weights of VGG-19; fetch them first (counterfactory weights vgg19)")
    return _with_weights(load_model(folder)[0], str(folder))


def _with_weights(state: dict[str, Tensor], origin: str) -> nn.Sequential:
    with torch.device("meta"):  # without random weights, of which the unused classifier has most
        trunk = _models().vgg19().features
    try:
        trunk.load_state_dict(state, strict=True, assign=True)
    except RuntimeError:
        raise BadFile(f"{KEY}: {origin}: not the weights of vgg19; fetch them again") from None
    return trunk.eval().requires_grad_(False)


def _models():
    try:
        return import_torchvision().models
    except ImportError as error:
        raise UserError(
            f"torchvision cannot be imported ({error}); install it, or choose another perceptual"
        ) from None


def _download() -> dict[str, Tensor]:
    failure = f"{KEY}: torchvision could not download the weights of vgg19"
    advice = "check the network, name their file, or choose another perceptual"
    return fetch_tensors(_models().VGG19_Weights.IMAGENET1K_V1.url, failure, advice)
