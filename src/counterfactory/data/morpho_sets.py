"""Generates data sets of MNIST digits rendered by a process of :mod:`counterfactory.data.processes`.

Thickness causes one effect (intensity, slant or width); both, and the digit, cause the image. The exogenous noise of
an image is the original digit of MNIST, so the true counterfactual of an image is the same digit rendered at other
parents.

The split `test` is drawn from t10k, the 10,000 test digits of MNIST; `judges`, `valid` and `train` are disjoint draws
from its 60,000 training digits. Rows are in the order of MNIST. The parents of a digit are a function of the seed and
of the digit, independent of the sizes of the splits.

Each set is also written in the format of the published sets: `idx/train-*` holds the rows of the train split and
`idx/t10k-*` those of the test split, 28 x 28 px, where `index` is the row in the file.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core.errors import BadFile, UserError
from ..core.files import write_text
from ..core.foreign.npy import load_npy
from ..core.noise import generator
from ..core.progress import progress
from .dataset import SPLITS, declared, save_dataset, save_split
from .idx import write_idx
from .processes import Process

if TYPE_CHECKING:
    from ..config.data import DataSettings

__all__ = ["TEST", "TRAIN", "generate", "generate_sampled", "read_digits", "render_true", "split_rows"]

TRAIN, TEST = 60_000, 10_000
_CHUNK = 250


def generate_sampled(
    name: str,
    process: Process,
    settings: "DataSettings",
    confounded: bool,
    digits: Path | str,
    out: Path | str,
    threads: int = 1,
) -> None:
    """Writes a data set of a process that has no published tables, with sampled parents; arguments of :func:`generate`.

    Raises:
        UserError: If `data.published` is set, or as :func:`generate` does.
    """
    if settings.published is not None:
        raise UserError(
            f"data.published: {settings.published}: the published tables have no {process.effect}; set null for {name}"
        )
    parents = process.sample(TRAIN + TEST, settings.seed)
    generate(name, process, parents, settings, confounded, digits, out, threads)


def generate(
    name: str,
    process: Process,
    parents: pd.DataFrame,
    settings: "DataSettings",
    confounded: bool,
    digits: Path | str,
    out: Path | str,
    threads: int = 1,
) -> None:
    """Writes a data set: its four splits, `dataset.json`, and `idx/` in the published format.

    Arguments:
        name: The name of the data set.
        process: The generating process.
        parents: Columns `thickness`, `<effect>`, `noise_thickness`, `noise_<effect>`; 70,000 rows in the order of
            MNIST.
        settings: The section `data`.
        confounded: Whether the effect depends on thickness in the judges' split too. If not, the values of the effect
            are permuted within that split: each variable keeps its marginal and the two become independent. The noise
            of the effect is then the one that the process requires for these values, and is not standard normal.
        digits: A folder with MNIST as `images.npy` (70000, 28, 28) and `labels.npy`, the t10k rows last.
        out: The folder of the data set.
        threads: The number of threads; no pixel depends on it.

    Raises:
        UserError: If the splits need more digits than MNIST has, or the digits are missing or damaged.
    """
    out = Path(out)
    rows = split_rows(settings)
    images, labels = read_digits(digits)
    for split in SPLITS:
        attributes = parents.iloc[rows[split]].reset_index(drop=True)
        if split == "judges" and not confounded:
            attributes = _unconfounded(process, attributes, settings.seed)
        rendered = _render(process, images[rows[split]], attributes, threads, split)
        if split in ("train", "test"):
            _write_published(out / "idx", split, rendered, labels[rows[split]], attributes, process.effect)
        attributes.insert(0, "index", np.arange(len(attributes)))
        attributes.insert(1, "source", rows[split])
        attributes.insert(2, "digit", labels[rows[split]].astype(np.int64))
        save_split(out, split, _pad(rendered, settings.image_size), attributes)
    save_dataset(out, declared(name, settings.image_size))


def split_rows(settings: "DataSettings") -> dict[str, np.ndarray]:
    """Returns the rows of MNIST (0-59,999 train, 60,000-69,999 t10k) in each split, ascending.

    Raises:
        UserError: If MNIST has too few digits.
    """
    required = settings.train + settings.valid + settings.judges
    if required > TRAIN:
        raise UserError(
            f"data.train + data.valid + data.judges is {required}, but MNIST has {TRAIN} training digits; lower one"
        )
    if settings.test > TEST:
        raise UserError(f"data.test is {settings.test}, but MNIST has {TEST} test digits; lower it")
    rows = generator(settings.seed, "splits", "train").permutation(TRAIN)
    test = generator(settings.seed, "splits", "test").permutation(TEST) + TRAIN
    # The train split comes last, so that a larger one changes no digit of the others.
    ends = np.cumsum([settings.judges, settings.valid, settings.train])
    judges, valid, train, _ = np.split(rows, ends)
    found = {"train": train, "valid": valid, "judges": judges, "test": test[: settings.test]}
    return {split: np.sort(found[split]) for split in SPLITS}


def render_true(
    process: Process,
    data: Path | str,
    attributes: pd.DataFrame,
    parents: dict[str, np.ndarray],
    threads: int = 1,
    size: int = 32,
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the true counterfactual images: the same handwriting at other parents.

    Arguments:
        process: The generating process.
        data: The folder of the data set, with MNIST in `digits/`.
        attributes: Rows of a split's attributes, with `source` and `digit`.
        parents: The three variables after the intervention, each (N,).
        threads: The number of threads.
        size: Height and width of an image in px.

    Returns:
        Images, uint8 (N, 1, size, size), and for each whether it is determined, bool (N,). The image of another digit
        by the same writer is not determined; it is black.

    Raises:
        UserError: If the digits are missing, or a value cannot be rendered.
    """
    images, _ = read_digits(Path(data) / "digits")
    known = np.asarray(parents["digit"]) == attributes["digit"].to_numpy()
    rows = attributes["source"].to_numpy()[known]
    rendered = np.zeros((len(attributes), 1, size, size), dtype=np.uint8)
    thickness, value = (
        np.asarray(parents[name], np.float64)[known] for name in ("thickness", process.effect)
    )
    rendered[known] = _pad(process.render(images[rows], thickness, value, threads), size)
    return rendered, known


def read_digits(folder: Path | str) -> tuple[np.ndarray, np.ndarray]:
    """Reads MNIST, memory-mapped.

    Arguments:
        folder: The folder with `images.npy` and `labels.npy`, which the step `digits` writes.

    Returns:
        Images, uint8 (70000, 28, 28), and labels, uint8 (70000,), the t10k rows last.

    Raises:
        UserError: If a file is missing or damaged.
    """
    arrays = []
    for name, shape in (("images", (TRAIN + TEST, 28, 28)), ("labels", (TRAIN + TEST,))):
        path = Path(folder) / f"{name}.npy"
        if not path.exists():
            raise UserError(f"{path}: no such file; run the step digits first")
        array = load_npy(path, mapped=True)
        if array.shape != shape or array.dtype != np.uint8:
            raise BadFile(
                f"{path}: holds {array.dtype} {array.shape}, not uint8 {shape}; delete it and run again"
            )
        arrays.append(array)
    return arrays[0], arrays[1]


def _unconfounded(process: Process, attributes: pd.DataFrame, seed: int) -> pd.DataFrame:
    """Permutes the effect, so that it is independent of thickness."""
    effect = process.effect
    order = generator(seed, "judges", effect).permutation(len(attributes))
    value = attributes[effect].to_numpy()[order]
    noises = process.abduct(attributes["thickness"], value)
    return attributes.assign(**{effect: value, f"noise_{effect}": noises[f"noise_{effect}"]})


def _render(
    process: Process, digits: np.ndarray, attributes: pd.DataFrame, threads: int, split: str
) -> np.ndarray:
    """Renders a split, uint8 (N, 28, 28), and shows the progress."""
    images = np.empty_like(digits)
    thickness, value = attributes["thickness"].to_numpy(), attributes[process.effect].to_numpy()
    step = _CHUNK * max(1, threads)
    starts = range(0, len(digits), step)
    for start in progress(starts, len(starts), f"synthesise {split}"):
        part = slice(start, start + step)
        images[part] = process.render(digits[part], thickness[part], value[part], threads)
    return images


def _pad(images: np.ndarray, size: int) -> np.ndarray:
    """Pads images (N, 28, 28) with zeros to (N, 1, size, size)."""
    border = (size - images.shape[1]) // 2
    return np.pad(images, ((0, 0), (border, border), (border, border)))[:, None]


def _write_published(
    folder: Path, split: str, images: np.ndarray, labels: np.ndarray, attributes: pd.DataFrame, effect: str
) -> None:
    """Writes a split in the published format: idx files, and a table of single-precision values in shortest form."""
    part = "train" if split == "train" else "t10k"
    write_idx(folder / f"{part}-images-idx3-ubyte.gz", images)
    write_idx(folder / f"{part}-labels-idx1-ubyte.gz", np.ascontiguousarray(labels))
    columns = attributes[["thickness", effect]].to_numpy().astype(np.float32)
    lines = [f"{index},{thickness!s},{value!s}\n" for index, (thickness, value) in enumerate(columns)]
    write_text(folder / f"{part}-morpho.csv", f"index,thickness,{effect}\n" + "".join(lines))
