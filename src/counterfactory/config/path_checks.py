"""Checks whether the folders and files that a configuration names exist, before the workflow plans its steps.

Files that earlier steps have copied into the results are not checked again. A missing folder of images is an error, as
is one with too few images. A missing file of weights is a warning, since only the scores and methods that require it
are absent then.
"""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.errors import UserError
from ..core.names import nearest, similar
from ..data.registry import DATASETS
from ..pretrained.sources import Pretrained, pretrained, weights_available
from .data_checks import data_errors
from .explainers import EXPLAINERS
from .model_checks import used_networks

if TYPE_CHECKING:
    from .settings import Settings

__all__ = ["missing_folders", "missing_weights"]

_KEYS = {
    "lpips/alex": "scores.lpips.weights",
    "lpips/vgg": "scores.lpips.weights",
    "inception": "scores.fid.weights",
    "vgg19": "answers.vgg19_weights",
    "identity": "identity.network.weights",
}


def missing_folders(settings: "Settings") -> Iterator[str]:
    """Yields one line for each source of images that is missing or incomplete, with its key and the remedy."""
    data = Path(settings.results, settings.dataset, "data")
    if DATASETS[settings.dataset].digits and not (data / "digits" / "images.npy").exists():
        yield from _digits(settings.data.digits)
    # Only this data set reads the tables; others refuse the key.
    published = settings.data.published
    if settings.dataset == "morphomnist" and published and not (data / "dataset.json").exists():
        from ..data.published import find_published

        yield from _message(lambda: find_published(published))
    if not (data / "dataset.json").exists():
        yield from data_errors(settings)
    for name, network in _used_weights(settings).items():
        source = network.source
        if not weights_available(network, data.parent / "models" / name) and similar(
            source, network.downloads
        ):
            yield f"{_KEYS[name]} is '{source}', which is no file; {nearest(source, network.downloads)}"


def missing_weights(settings: "Settings") -> Iterator[str]:
    """Yields one line for each file of weights that is used and missing."""
    models = Path(settings.results, settings.dataset, "models")
    for name, network in _used_weights(settings).items():
        if not weights_available(network, models / name):
            yield (
                f"{_KEYS[name]} is '{network.source}', which is no file; what requires these weights will be absent, "
                "with this reason"
            )


def _digits(source: str) -> Iterator[str]:
    root = os.environ.get("MNIST_ROOT")
    if source in ("package", "torchvision") or (source == "auto" and not root):
        return
    from ..data.sources import check_folder, root_folder

    if source == "auto":
        yield from _message(root_folder)
    else:
        yield from _message(lambda: check_folder(source))


def _message(check: Callable[[], object]) -> Iterator[str]:
    try:
        check()
    except UserError as error:
        yield str(error)


def _used_weights(settings: "Settings") -> dict[str, Pretrained]:
    """Returns the pretrained networks that the chosen metrics and methods use, by their folders."""
    networks, used = pretrained(settings), set()
    for name in used_networks(settings):
        used.add(f"lpips/{settings.scores.lpips.net}" if name == "lpips" else name)
    for method in settings.methods:
        if method in EXPLAINERS:
            used.add(getattr(settings.answers, method).perceptual.replace("_", "/", 1))
    return {name: network for name, network in networks.items() if name in used}
