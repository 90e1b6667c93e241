"""States under which terms the models of a bundle can be used: whose weights they are, and what they were trained on.

Only what is known is stated. Weights that were trained by this package on images that it can fetch or render are under
the license of the package. The license of imported weights is unknown unless the caller names it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.descriptions import read_description
from ..core.plugins import is_plugin
from ..data.registry import DATASETS, module_of

__all__ = ["Terms", "images_of", "terms_of"]

MNIST = (
    "MNIST (Y. LeCun, C. Cortes, C. Burges), distributed under CC BY-SA 3.0, changed as in Morpho-MNIST (D. Castro et "
    "al., 2019; code under the MIT license)"
)
CELEBA = (
    "CelebA (Z. Liu et al., 2015), whose agreement allows non-commercial research only and forbids to pass the images "
    "on; https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html"
)

DOWNLOADED = ("lpips", "vgg19", "inception", "identity")
"""The folders of networks whose published weights the package downloads."""


@dataclass(frozen=True)
class Terms:
    """The terms of a bundle.

    Arguments:
        license: The identifier for the head of the model card: `mit`, or `other` if not everything is under it.
        lines: The sentences for the model card.
    """

    license: str
    lines: tuple[str, ...]


def images_of(dataset: str) -> tuple[str, bool]:
    """Returns the origin of the training images of a data set, and whether models of them may be passed on as MIT."""
    entry = DATASETS.get(dataset)
    if entry is None or is_plugin(module_of(dataset)):
        return f"those of the data set {dataset}, whose terms this card does not know", False
    if entry.digits:
        return MNIST, True
    if entry.simulated:
        return "rendered by the package", True
    if dataset == "celeba":
        return CELEBA, False
    return "own images of the person who trained the models, whose terms this card does not know", False


def terms_of(folder: Path, dataset: str, models: Sequence[str], weights_license: str = "") -> Terms:
    """Returns the terms of a bundle.

    Arguments:
        folder: The folder of the models.
        dataset: The name of the data set.
        models: The folders of the included models, relative to `folder`.
        weights_license: The license of imported weights, as their authors state it; empty: unknown.
    """
    imported, downloaded, trained = [], [], []
    for model in models:
        meta = read_description(folder / model / "model.json")
        origin = meta.get("imported")
        if isinstance(origin, dict):
            imported.append((model, origin))
        elif model.partition("/")[0] in DOWNLOADED and "settings" not in meta:
            downloaded.append(model)
        else:
            trained.append(model)
    words, free = images_of(dataset)
    named = weights_license or "unknown; ask their authors before you pass them on"
    lines = [f"Training images: {words}; none are included"]
    lines += [
        f"{model}: not trained here; weights imported from {origin.get('file')} (SHA-256 {origin.get('sha256')}). "
        f"License: {named}. Its training images are not known"
        for model, origin in imported
    ]
    if downloaded:
        lines.append(f"{', '.join(downloaded)}: published weights, under the terms of their authors")
    if trained and free:
        others = "the other weights, which were" if imported or downloaded else "the weights, which were"
        lines.append(f"License of the code and of {others} trained here: MIT")
    else:
        lines.append("License of the code: MIT")
        if trained:
            lines.append(
                f"License of the weights trained here ({', '.join(trained)}): not stated, because the terms of the "
                "training images decide it"
            )
    mit = free and not imported and not downloaded
    return Terms("mit" if mit else "other", tuple(lines))
