"""Morpho-MNIST with thickness and intensity: a simulated world, and the data set drawn from it.

Thickness causes intensity; both, and the digit, cause the image (:mod:`counterfactory.data.processes`). The image's own
noise is the original digit of MNIST, so the true counterfactual of an image is the same digit rendered at other parents
(:func:`counterfactory.data.morphology.render`).

Splits: `test` is drawn from MNIST's t10k; `judges`, `valid` and `train` are disjoint draws from its 60,000. Rows are in
the order of MNIST. A digit's thickness and intensity are a function of the seed and the digit alone, whatever the sizes
of the splits.

The set is also written in the published format, which the loaders of others read: `idx/train-*` holds the rows of the
train split and `idx/t10k-*` those of the test split, 28 x 28, `index` being the row of the file. Given the published
tables, and asked for as many images as there are, they are the published files.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import read_table, write_array, write_table, write_text
from ..core.noise import generator
from ..core.progress import progress
from .dataset import SPLITS, Dataset, Variable, save_dataset
from .idx import write_idx
from .morphology import measure, render
from .processes import abduct, counterfactual_parents, log_density, sample_parents

__all__ = [
    "BLANK",
    "DATASET",
    "TEST",
    "TRAIN",
    "abduct",
    "counterfactual_parents",
    "log_density",
    "measure",
    "read_published",
    "render_counterfactual",
    "sample_parents",
    "split_rows",
    "synthesise",
]

TRAIN, TEST = 60_000, 10_000
_CHUNK = 250

# The range of the published training set, by which peers scale to [-1, 1].
DATASET = Dataset(
    name="morphomnist",
    variables=(
        Variable("thickness", "continuous", unit="px", low=0.87598526, high=6.255515),
        Variable("intensity", "continuous", unit="grey levels", low=66.601204, high=254.90317),
        Variable("digit", "categorical", classes=10),
    ),
    edges=(("thickness", "intensity"),),
    shape=(1, 32, 32),
    simulated=True,
)

BLANK = {"thickness": 0.0, "intensity": 0.0}
"""An image of one grey level has no strokes: none at all is thickness 0."""


class DataSettings(Protocol):
    """What :func:`synthesise` reads of the configuration's section `data`."""

    published: str | None
    seed: int
    train: int
    valid: int
    judges: int
    test: int
    image_size: int


def synthesise(
    settings: DataSettings, confounded: bool, digits: Path | str, out: Path | str, threads: int = 1
) -> None:
    """Writes the data set: its four splits, `dataset.json`, and `idx/` in the published format.

    Arguments:
        settings: The section `data`.
        confounded: Whether intensity depends on thickness in the judges' split too. If not, the split's intensities
            are dealt out anew at random, so that each variable keeps its marginal and neither tells of the other; the
            noise of intensity is then what the process would have needed, and no longer standard normal.
        digits: A folder with MNIST as `images.npy` (70000, 28, 28) and `labels.npy`, the t10k rows last.
        out: The data set's folder.
        threads: How many threads to use; no pixel depends on it.

    Raises:
        UserError: If the splits need more digits than there are, or digits or the published tables are missing or
            damaged.
    """
    out = Path(out)
    rows = split_rows(settings)
    images, labels = _read_digits(digits)
    if settings.published is None:
        parents = sample_parents(TRAIN + TEST, settings.seed)
    else:
        parents = read_published(settings.published)
    for split in SPLITS:
        attributes = parents.iloc[rows[split]].reset_index(drop=True)
        if split == "judges" and not confounded:
            attributes = _unconfounded(attributes, settings.seed)
        rendered = _render(images[rows[split]], attributes, threads, split)
        if split in ("train", "test"):
            _write_published(out / "idx", split, rendered, labels[rows[split]], attributes)
        attributes.insert(0, "index", np.arange(len(attributes)))
        attributes.insert(1, "source", rows[split])
        attributes.insert(2, "digit", labels[rows[split]].astype(np.int64))
        write_array(out / split / "images.npy", _pad(rendered, settings.image_size))
        write_table(out / split / "attributes.parquet", attributes)
    save_dataset(out, DATASET)


def split_rows(settings: DataSettings) -> dict[str, np.ndarray]:
    """Returns the rows of MNIST (0-59,999 train, 60,000-69,999 t10k) in each split, ascending.

    Raises:
        UserError: If there are not enough.
    """
    asked = settings.train + settings.valid + settings.judges
    if asked > TRAIN:
        raise UserError(
            f"data.train + data.valid + data.judges is {asked}, but MNIST has {TRAIN} training digits; lower one"
        )
    if settings.test > TEST:
        raise UserError(f"data.test is {settings.test}, but MNIST has {TEST} test digits; lower it")
    rows = generator(settings.seed, "splits", "train").permutation(TRAIN)
    test = generator(settings.seed, "splits", "test").permutation(TEST) + TRAIN
    # Train comes last, so that asking for more of it moves no digit of the others.
    ends = np.cumsum([settings.judges, settings.valid, settings.train])
    judges, valid, train, _ = np.split(rows, ends)
    found = {"train": train, "valid": valid, "judges": judges, "test": test[: settings.test]}
    return {split: np.sort(found[split]) for split in SPLITS}


def read_published(folder: Path | str) -> pd.DataFrame:
    """Reads the published tables `train-morpho.csv` and `t10k-morpho.csv`.

    Returns:
        Columns `thickness` (px), `intensity` (grey levels), `noise_thickness`, `noise_intensity`, 70,000 rows in the
        order of MNIST.

    Raises:
        UserError: If one is missing, damaged, of another length, or holds values that the process never gives.
    """
    tables = []
    for part, count in (("train", TRAIN), ("t10k", TEST)):
        path = Path(folder).expanduser() / f"{part}-morpho.csv"
        if not path.exists():
            raise UserError(
                f"data.published: {path}: no such file; put both published tables there, or set null"
            )
        table = read_table(path)
        missing = [name for name in ("index", "thickness", "intensity") if name not in table]
        if missing:
            raise UserError(f"{path}: has no column {missing[0]}; fetch it again")
        if not np.array_equal(table["index"], np.arange(count)):
            raise UserError(f"{path}: its index must run from 0 to {count - 1}; fetch it again")
        try:
            values = table[["thickness", "intensity"]].astype(np.float64)
            noises = abduct(values["thickness"], values["intensity"])
        except (UserError, ValueError) as error:
            raise UserError(f"{path}: {error}; fetch it again") from None
        tables.append(pd.concat([values, noises], axis=1))
    return pd.concat(tables, ignore_index=True)


def render_counterfactual(
    data: Path | str, attributes: pd.DataFrame, parents: dict[str, np.ndarray], threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the true counterfactual images: the same handwriting at other parents.

    Arguments:
        data: The data set's folder, with MNIST in `digits/`.
        attributes: Rows of a split's attributes, with `source` and `digit`.
        parents: `thickness` (px), `intensity` (grey levels) and `digit` afterwards, each (N,).
        threads: How many threads to use.

    Returns:
        Images, uint8 (N, 1, 32, 32), and for each whether it is determined, bool (N,): how the hand that wrote one
        digit would have written another is not, and such an image is black.

    Raises:
        UserError: If the digits are missing, or a value cannot be rendered.
    """
    images, _ = _read_digits(Path(data) / "digits")
    known = np.asarray(parents["digit"]) == attributes["digit"].to_numpy()
    rows = attributes["source"].to_numpy()[known]
    shape = DATASET.shape
    rendered = np.zeros((len(attributes), *shape), dtype=np.uint8)
    targets = (np.asarray(parents[name], np.float64)[known] for name in ("thickness", "intensity"))
    rendered[known] = _pad(render(images[rows], *targets, threads), shape[1])
    return rendered, known


def _read_digits(folder: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Reads MNIST, images memory-mapped."""
    arrays = []
    for name, shape in (("images", (TRAIN + TEST, 28, 28)), ("labels", (TRAIN + TEST,))):
        path = Path(folder) / f"{name}.npy"
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError:
            raise UserError(f"{path}: no such file; run the step digits first") from None
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read ({error}); delete it and run again") from None
        if array.shape != shape or array.dtype != np.uint8:
            raise UserError(
                f"{path}: holds {array.dtype} {array.shape}, not uint8 {shape}; delete it and run again"
            )
        arrays.append(array)
    return arrays[0], arrays[1]


def _unconfounded(attributes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Deals the intensities out anew, whatever the thickness."""
    order = generator(seed, "judges", "intensity").permutation(len(attributes))
    intensity = attributes["intensity"].to_numpy()[order]
    noises = abduct(attributes["thickness"], intensity)
    return attributes.assign(intensity=intensity, noise_intensity=noises["noise_intensity"])


def _render(digits: np.ndarray, attributes: pd.DataFrame, threads: int, split: str) -> np.ndarray:
    """Renders a split, showing how far it is."""
    images = np.empty_like(digits)
    thickness, intensity = attributes["thickness"].to_numpy(), attributes["intensity"].to_numpy()
    step = _CHUNK * max(1, threads)
    starts = range(0, len(digits), step)
    for start in progress(starts, len(starts), f"synthesise {split}"):
        part = slice(start, start + step)
        images[part] = render(digits[part], thickness[part], intensity[part], threads)
    return images


def _pad(images: np.ndarray, size: int) -> np.ndarray:
    """Pads images (N, 28, 28) with zeros to (N, 1, size, size)."""
    border = (size - images.shape[1]) // 2
    return np.pad(images, ((0, 0), (border, border), (border, border)))[:, None]


def _write_published(
    folder: Path, split: str, images: np.ndarray, labels: np.ndarray, attributes: pd.DataFrame
) -> None:
    """Writes a split in the published format: idx files, and a table of single precision in its shortest form."""
    part = "train" if split == "train" else "t10k"
    write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
    write_idx(folder / f"{part}-labels-idx1-ubyte.gz", np.ascontiguousarray(labels))
    columns = attributes[["thickness", "intensity"]].to_numpy().astype(np.float32)
    lines = [f"{index},{thickness!s},{intensity!s}\n" for index, (thickness, intensity) in enumerate(columns)]
    write_text(folder / f"{part}-morpho.csv", "index,thickness,intensity\n" + "".join(lines))
