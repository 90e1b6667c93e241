r"""CelebA: photographs of faces with 40 binary attributes, read from a folder (Liu et al., 2015, arXiv:1411.7766).

The aligned images have 178 x 218 px. `data.celeba.preprocessing` is one of three published ways to cut out a square:

- `benchmark`: the central 150 px, resized (Melistas et al., 2024, arXiv:2403.20287; 64 px);
- `causalgan`: the central 108 px, resized (Kocaoglu et al., 2018, arXiv:1709.02023; 64 px);
- `dime`: resized so that the width is that of the result, and the central square (Jeanneret et al., 2022,
  arXiv:2203.15636; 128 px).

Resizing is bilinear with antialiasing. Splits follow the official partitions: `valid` and `test` are drawn from
partitions 1 and 2. `train` and `judges` are cut from partition 0 by identity: in an order drawn from the seed, the
images of one identity after another are added to `judges` and then to `train`, until each has its number of images. No
person is then in both. Images of partition 0 whose person is also in another partition are left out. Without a list of
identities, images are divided one by one.

No true counterfactuals are known, and the judges' split is confounded as the others are.
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.noise import generator
from ..core.progress import progress
from .celeba_lists import read_lists
from .dataset import SPLITS, described_by, save_dataset, save_split
from .photographs import cropped, decode, resized
from .registry import entry_of

if TYPE_CHECKING:
    from ..config.data import DataSettings

__all__ = ["CROPS", "divide", "read_face", "synthesise"]

CHUNK = 500
"""Images read between two updates of the progress line."""


CROPS = {"benchmark": 150, "causalgan": 108}
"""The side of the centred square of a preprocessing, in px."""


def read_face(path: Path | str, preprocessing: str, size: int) -> np.ndarray:
    """Returns the image in a file, cut out and resized, uint8 (3, size, size).

    Raises:
        UserError: If the file cannot be read.
        BadFile: If it is not an image, or is smaller than the crop.
    """
    face, _ = decode(path, channels=3)
    if preprocessing in CROPS:
        square = cropped(face, CROPS[preprocessing], path, "use the aligned images of 178 x 218 px")
        face = resized(square, (size, size))
    else:
        short = min(face.size)
        width, height = (size if side == short else int(size * side / short) for side in face.size)
        face = cropped(resized(face, (width, height)), size, path)
    return np.ascontiguousarray(np.asarray(face).transpose(2, 0, 1))


def divide(table: pd.DataFrame, settings: "DataSettings") -> dict[str, pd.DataFrame]:
    """Divides the images into the four splits.

    Arguments:
        table: The images (:func:`counterfactory.data.celeba_lists.read_lists`).
        settings: The section `data`: the sizes of the splits, `seed` and `celeba.test_partition`.

    Returns:
        The rows of each split, in an order drawn from the seed.

    Raises:
        UserError: If a partition has too few images.
    """
    test = settings.celeba.test_partition
    people = table["identity"] if "identity" in table else table["index"]
    others = set(people[table["partition"] != 0])
    doubtful = (table["partition"] == 0) & people.isin(others)
    if doubtful.any():
        print(
            f"celeba: {int(doubtful.sum()):,} images of partition 0 left out: their identity is also in partition 1 "
            "or 2",
            file=sys.stderr,
        )
    pools = {0: table[(table["partition"] == 0) & ~doubtful]}
    pools |= {number: table[table["partition"] == number] for number in (1, 2)}
    wanted = {split: getattr(settings, split) for split in SPLITS}
    needed = {0: ("train", "judges"), 3 - test: ("valid",), test: ("test",)}
    for number, splits in needed.items():
        count = sum(wanted[split] for split in splits)
        if count > len(pools[number]):
            keys = " + ".join(f"data.{split}" for split in splits)
            raise UserError(
                f"{keys} is {count:,}, but partition {number} has {len(pools[number]):,} images in "
                f"{settings.celeba.folder}; lower it"
            )
    rows = {
        "valid": _drawn(pools[3 - test], settings.seed, "valid")[: wanted["valid"]],
        "test": _drawn(pools[test], settings.seed, "test")[: wanted["test"]],
    }
    rows["judges"], rows["train"] = _by_identity(pools[0], wanted["judges"], wanted["train"], settings.seed)
    return {split: table.loc[rows[split]].reset_index(drop=True) for split in SPLITS}


def _drawn(pool: pd.DataFrame, seed: int, name: str) -> np.ndarray:
    """Returns the labels of the rows of a pool in random order."""
    return pool.index.to_numpy()[generator(seed, "celeba", name).permutation(len(pool))]


def _by_identity(pool: pd.DataFrame, first: int, second: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Cuts two groups of `first` and `second` rows, which share no identity, and shuffles each.

    Raises:
        UserError: If too few images remain for the second group, because the first one ends within an identity.
    """
    people = (pool["identity"] if "identity" in pool else pool["index"]).to_numpy()
    known = np.unique(people)
    rank = np.empty(len(known), np.int64)
    rank[generator(seed, "celeba", "identities").permutation(len(known))] = np.arange(len(known))
    place = rank[np.searchsorted(known, people)]
    order = np.argsort(place, kind="stable")
    # The second group begins with the identity after the one in which the first group ends.
    begin = int(np.searchsorted(place[order], place[order[first - 1]], side="right"))
    if begin + second > len(order):
        raise UserError(
            f"data.train is {second:,}, but {len(order) - begin:,} images are left when {first:,} are cut by identity "
            "for the judges; lower it"
        )
    labels = pool.index.to_numpy()[order]
    return tuple(
        rows[generator(seed, "celeba", name).permutation(len(rows))]
        for name, rows in (("judges", labels[:first]), ("train", labels[begin : begin + second]))
    )


def synthesise(
    settings: "DataSettings", confounded: bool, digits: Path | str, out: Path | str, threads: int = 1
) -> None:
    """Writes the four splits and `dataset.json`.

    Attributes have the columns `index` (the row in the official list), `path`, `partition`, `identity` (if there is a
    list of identities) and the 40 attributes, 0 or 1.

    Arguments:
        settings: The section `data`.
        confounded: Has no effect: photographs cannot be made again with other attributes.
        digits: Not read.
        out: The output folder.
        threads: The number of reading threads; no image depends on it.

    Raises:
        UserError: If the folder, a list or a file is missing or damaged, or there are too few images.
    """
    own, out, size = settings.celeba, Path(out), settings.image_size
    splits = divide(read_lists(own.folder), settings)
    root = Path(own.folder or "").expanduser()
    with ThreadPoolExecutor(threads) as pool:
        for split, attributes in splits.items():
            images = np.empty((len(attributes), 3, size, size), np.uint8)
            paths = [root / path for path in attributes["path"]]
            starts = range(0, len(paths), CHUNK)
            for start in progress(starts, len(starts), f"read {split}", "chunks"):
                part = paths[start : start + CHUNK]
                for row, face in enumerate(
                    pool.map(lambda path: read_face(path, own.preprocessing, size), part), start
                ):
                    images[row] = face
            save_split(out, split, images, attributes)
    save_dataset(out, described_by("celeba", entry_of("celeba", settings), size))
