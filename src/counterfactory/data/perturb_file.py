"""Applies the perturbations of Morpho-MNIST to a file of images: idx, `.npy`, or a split of a data set."""

from pathlib import Path

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import write_array, write_table
from ..core.foreign.npy import load_npy
from ..core.progress import progress
from .idx import read_idx, write_idx
from .morphology.workspace import as_images
from .perturbations import KINDS, MIXES, mix, perturb

__all__ = ["perturb_file"]

_CHUNK = 100
_LARGEST = 2**30  # bytes; the images of EMNIST have 547 million


def perturb_file(source: Path | str, out: Path | str, kind: str, seed: int) -> None:
    """Perturbs all images of a file and writes them, with a table of the perturbations, in the folder `out`.

    An idx file gives an idx file of the same name and, in the published format, a file of labels
    (`train-images-idx3-ubyte.gz` gives `train-pert-idx1-ubyte.gz`). A `.npy` file, or a split of a data set, gives
    `images.npy`. In both cases `perturbations.csv` has the columns `index`, `kind` and `label` (0 plain, 1 thin, 2
    thicken, 3 swell, 4 fracture) and `seed`.

    Arguments:
        source: An idx file, compressed or not, or a `.npy` file, or a folder with `images.npy`; uint8 (N, H, W) or
            (N, 1, H, W).
        out: The output folder.
        kind: One of :data:`counterfactory.data.perturbations.KINDS` or
            :data:`counterfactory.data.perturbations.MIXES`.
        seed: Any integer. The perturbation of an image is a function of the seed, the kind and the index of the image.

    Raises:
        UserError: If the kind is unknown, the source is missing, cannot be read or holds other arrays, or the output
            would replace it.
    """
    if kind not in KINDS and kind not in MIXES:
        raise UserError(f"perturb: '{kind}' is not a kind; choose one of {', '.join([*KINDS, *MIXES])}")
    source, out = Path(source).expanduser(), Path(out).expanduser()
    source = source / "images.npy" if source.is_dir() else source
    numpy_format = source.suffix == ".npy"
    images = load_npy(source, mapped=True) if numpy_format else read_idx(source, _LARGEST)
    target = out / ("images.npy" if numpy_format else source.name)
    if target.exists() and target.samefile(source):
        raise UserError(f"{out}: contains the source itself; name another output folder")
    try:
        grey = as_images(images)
    except UserError as error:
        raise UserError(f"{source}: {error}") from None

    perturbed = np.empty_like(grey)
    labels = np.full(len(grey), KINDS.index(kind) if kind in KINDS else 0, np.uint8)
    starts = range(0, len(grey), _CHUNK)
    for start in progress(starts, len(starts), f"perturb {kind}"):
        part = slice(start, start + _CHUNK)
        indices = range(start, min(start + _CHUNK, len(grey)))
        if kind in KINDS:
            perturbed[part] = perturb(grey[part], kind, seed, indices)
        else:
            perturbed[part], labels[part] = mix(grey[part], kind, seed, indices)

    if numpy_format:
        write_array(target, perturbed.reshape(images.shape))
    else:
        write_idx(target, perturbed.reshape(images.shape))
        write_idx(out / _labels_name(source.name), labels)
    table = pd.DataFrame({"index": np.arange(len(labels)), "kind": [KINDS[label] for label in labels]})
    write_table(out / "perturbations.csv", table.assign(label=labels, seed=seed))


def _labels_name(name: str) -> str:
    """Returns the published name of the file of labels beside a file of images."""
    for images, labels in (("images-idx3", "pert-idx1"), ("images.idx3", "pert.idx1")):
        if images in name:
            return name.replace(images, labels)
    return f"pert-idx1-ubyte{'.gz' if name.endswith('.gz') else ''}"
