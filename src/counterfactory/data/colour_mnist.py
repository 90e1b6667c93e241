r"""Colour-MNIST: MNIST digits in colour, a simulated world of two categorical variables, and its data set.

The digit d causes the colour c, one of ten hues, and both cause the image. With the strength p of the confounding
(`data.confounding`), every digit has a hue of its own with probability p, and otherwise one of all ten:

.. math::
    c = \begin{cases} d & \text{if } g = 1 \\ h & \text{if } g = 0 \end{cases}, \qquad
    g \sim \mathrm{Bernoulli}(p), \quad h \sim U\{0, \ldots, 9\}

so that P(c = d | d) = p + (1 - p) / 10. A classifier of digits trained on such images may use the colour instead of the
shape (Kim et al., 2019, arXiv:1812.10352; Arjovsky et al., 2019, arXiv:1907.02893).

The image is the digit of MNIST, of grey levels y, in one hue and one brightness:

.. math::
    x = y \, v \, \mathrm{rgb}(\theta), \qquad
    \theta = 36^\circ c + 12^\circ (2 \Phi(u_\theta) - 1), \quad v = 0.8 + 0.2 (2 \Phi(u_v) - 1)

with standard normal noises and fully saturated colours: the largest channel of a colour is 1 and the smallest is 0.
Hues of two classes are at least 12° apart.

The exogenous noises are g and h (`noise_own`, `noise_colour`), the noises of hue and brightness (`noise_hue`,
`noise_brightness`) and the original digit of MNIST (`source`). All are stored, so the true colour after every
intervention is known. The true image is known if the digit is kept: do(colour) is the same handwriting, brightness and
deviation of the hue in the hue of another class. How the same writer writes another digit is not determined.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import pandas as pd
from scipy.special import ndtr

from ..core.errors import UserError
from ..core.noise import generator
from ..core.progress import progress
from .action import read_action
from .dataset import SPLITS, declared, save_dataset, save_split
from .morpho_sets import TEST, TRAIN, read_digits, split_rows

if TYPE_CHECKING:
    from ..config.data import DataSettings

__all__ = [
    "BLANK",
    "CLASSES",
    "DATASET",
    "UNDETERMINED",
    "abduct",
    "counterfactual_parents",
    "log_probability",
    "measure",
    "render",
    "render_counterfactual",
    "sample_noises",
    "synthesise",
]

DATASET = declared("colour_mnist")

BLANK = {"colour": -1.0, "brightness": 0.0, "area": 0.0}
"""The measurements of an image without colour: no class, so that its colour counts as wrong. It has no hue."""

UNDETERMINED = ("digit",)
"""Setting the digit determines the colour, but not the image."""

CLASSES = 10
"""The number of hues, one for each digit."""

_STEP, _DEVIATION = 360.0 / CLASSES, 12.0  # degrees
_BRIGHTNESS, _BRIGHTNESS_SPREAD = 0.8, 0.2
_CHUNK = 250
_FAINT = 0.02
"""Images whose colourfulness is below this share of full colour have no hue."""

Columns: TypeAlias = Mapping[str, np.ndarray] | pd.DataFrame


def synthesise(
    settings: "DataSettings", confounded: bool, digits: Path | str, out: Path | str, threads: int = 1
) -> None:
    """Writes the data set: its four splits and `dataset.json`.

    The split `test` is drawn from MNIST's 10,000 test digits, the others are disjoint draws from its 60,000 training
    digits. The noises of an image are a function of the seed and of the digit, independent of the sizes of the splits.

    Arguments:
        settings: The section `data`.
        confounded: Whether the colour depends on the digit in the judges' split too. If not, the colours are permuted
            within that split: both variables keep their marginals and become independent. The noises are then those
            of a colour that is not the digit's own, g = 0 and h = c.
        digits: A folder with MNIST as `images.npy` (70000, 28, 28) and `labels.npy`, the t10k rows last.
        out: The folder of the data set.
        threads: Not used.

    Raises:
        UserError: If the splits need more digits than MNIST has, or the digits are missing or damaged.
    """
    out = Path(out)
    rows = split_rows(settings)
    images, labels = read_digits(digits)
    noises = sample_noises(TRAIN + TEST, settings.seed, settings.confounding)
    for split in SPLITS:
        own = rows[split]
        digit = labels[own].astype(np.int64)
        noise = noises.iloc[own].reset_index(drop=True)
        colour = _colour(digit, noise)
        if split == "judges" and not confounded:
            colour = colour[generator(settings.seed, "judges", "colour").permutation(len(colour))]
            noise = noise.assign(noise_own=0, noise_colour=colour)
        columns = {"index": np.arange(len(own)), "source": own, "digit": digit, "colour": colour}
        attributes = pd.concat([pd.DataFrame(columns), noise], axis=1)
        rendered = np.empty((len(own), 3, settings.image_size, settings.image_size), np.uint8)
        starts = range(0, len(own), _CHUNK)
        for start in progress(starts, len(starts), f"synthesise {split}"):
            part = slice(start, start + _CHUNK)
            rendered[part] = render(images[own[part]], colour[part], noise[part], settings.image_size)
        save_split(out, split, rendered, attributes)
    save_dataset(out, declared("colour_mnist", settings.image_size))


def sample_noises(n: int, seed: int, confounding: float) -> pd.DataFrame:
    """Samples the exogenous noises, without the digit.

    Arguments:
        n: The number of rows; the first n rows of a longer sample are the same.
        seed: Any integer. The draws of two strengths are coupled: a stronger confounding only adds rows with g = 1.
        confounding: The probability p that a digit has its own hue, 0 to 1.

    Returns:
        Columns `noise_own` (g, 0 or 1), `noise_colour` (h, a class), and the standard normal `noise_hue` and
        `noise_brightness`, n rows.

    Raises:
        UserError: If the strength is not a probability.
    """
    if not 0.0 <= confounding <= 1.0:
        raise UserError(f"data.confounding is {confounding:g}; choose 0 to 1")

    def stream(name: str) -> np.random.Generator:
        return generator(seed, "parents", "colour_mnist", name)

    return pd.DataFrame(
        {
            "noise_own": (stream("own").random(n) < confounding).astype(np.int64),
            # Not integers(): its rejections would make a row depend on those before it.
            "noise_colour": np.floor(CLASSES * stream("colour").random(n)).astype(np.int64),
            "noise_hue": stream("hue").standard_normal(n),
            "noise_brightness": stream("brightness").standard_normal(n),
        }
    )


def abduct(attributes: Columns) -> pd.DataFrame:
    """Returns the exogenous noises of the colour, g and h.

    The noises that the data set stores are returned as they are. Without them a colour that is not the digit's own has
    g = 0 and h = c. Where the colour is the digit's own, the variables do not determine g: its most likely value, 1, is
    returned (its probability is 10 p / (9 p + 1), 0.99 for p = 0.9), with h = c.

    Arguments:
        attributes: `digit` and `colour`, each (N,), and optionally `noise_own` and `noise_colour`.

    Returns:
        Columns `noise_own` and `noise_colour`, int64, N rows.

    Raises:
        UserError: If a digit or a colour is not a class, or the stored noises do not generate the colour.
    """
    values = {}
    for name in DATASET.names:
        found = np.asarray(attributes[name], np.float64)
        if not np.all(np.isin(found, np.arange(CLASSES))):
            raise UserError(f"{name}: must be a class of 0 to {CLASSES - 1}")
        values[name] = found.astype(np.int64)
    names = ("noise_own", "noise_colour")
    if not all(name in attributes for name in names):
        own = (values["colour"] == values["digit"]).astype(np.int64)
        return pd.DataFrame({"noise_own": own, "noise_colour": values["colour"]})
    noises = pd.DataFrame({name: np.asarray(attributes[name], np.int64) for name in names})
    wrong = _colour(values["digit"], noises) != values["colour"]
    if wrong.any():
        raise UserError(
            f"noise_own, noise_colour: {wrong.sum()} rows do not generate their colour; remove the two columns"
        )
    return noises


def counterfactual_parents(attributes: Columns, do: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the true parents after an intervention, by abduction, action and prediction in the true process.

    If the digit is set and the colour is not, an image with g = 1 takes the hue of the new digit, and an image with
    g = 0 keeps its colour. Setting the colour changes no digit.

    Arguments:
        attributes: The factual `digit` and `colour`, each (N,), with `noise_own` and `noise_colour` where they are
            known (see :func:`abduct`).
        do: The class each variable is set to, (N,), NaN where it is not set; variables may be left out.

    Returns:
        The two variables after the intervention, float64 (N,).

    Raises:
        UserError: If `do` names another variable or a value that is not a class, or as :func:`abduct` does.
    """
    factual, action = read_action(DATASET.names, attributes, do)
    for name, values in action.items():
        if not np.all(np.isnan(values) | np.isin(values, np.arange(CLASSES))):
            raise UserError(f"do: {name} must be a class of 0 to {CLASSES - 1}")
    noises = abduct(attributes)
    digit = np.where(np.isnan(action["digit"]), factual["digit"], action["digit"])
    colour = np.where(np.isnan(action["colour"]), _colour(digit, noises), action["colour"])
    return {"digit": digit, "colour": colour}


def log_probability(digit: np.ndarray, colour: np.ndarray, confounding: float) -> pd.DataFrame:
    """Returns the log-probabilities of the true process, in nats.

    This is not the function `log_density` of a world, because it requires the strength of the confounding, which is a
    setting.

    Arguments:
        digit: Classes, (N,), each of probability 1/10 (in MNIST 9 to 11 %).
        colour: Classes, (N,).
        confounding: The probability p that a digit has its own hue.

    Returns:
        Columns `digit` and `colour` (given the digit); their sum is the joint. -inf for values that are no class.
    """
    digit, colour = np.asarray(digit), np.asarray(colour)
    with np.errstate(divide="ignore"):
        given = np.log(confounding * (digit == colour) + (1.0 - confounding) / CLASSES)
    classes = np.arange(CLASSES)
    return pd.DataFrame(
        {
            "digit": np.where(np.isin(digit, classes), -np.log(CLASSES), -np.inf),
            "colour": np.where(np.isin(colour, classes), given, -np.inf),
        }
    )


def render(digits: np.ndarray, colour: np.ndarray, noises: Columns, size: int = 32) -> np.ndarray:
    """Renders grey digits in colour, on black.

    Arguments:
        digits: Digits of MNIST, uint8 (N, 28, 28).
        colour: Classes, (N,).
        noises: The standard normal `noise_hue` and `noise_brightness`, each (N,).
        size: Height and width of an image in px; the digit is padded with zeros.

    Returns:
        RGB images, uint8 (N, 3, size, size).
    """
    hue_noise, brightness_noise = (
        2.0 * ndtr(np.asarray(noises[f"noise_{name}"], np.float64)) - 1.0 for name in ("hue", "brightness")
    )
    hue = _STEP * np.asarray(colour, np.float64) + _DEVIATION * hue_noise
    scale = (_BRIGHTNESS + _BRIGHTNESS_SPREAD * brightness_noise)[:, None] * _rgb(hue)
    border = (size - digits.shape[1]) // 2
    images = np.zeros((len(digits), 3, size, size), np.uint8)
    inner = slice(border, border + digits.shape[1])
    images[:, :, inner, inner] = np.round(digits[:, None] * scale[:, :, None, None])
    return images


def render_counterfactual(
    data: Path | str, attributes: pd.DataFrame, parents: dict[str, np.ndarray], threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the true counterfactual images: the same handwriting, brightness and deviation of the hue.

    Arguments:
        data: The folder of the data set, with MNIST in `digits/`.
        attributes: Rows of a split's attributes, with `source`, `digit` and the noises.
        parents: `digit` and `colour` after the intervention, each (N,).
        threads: Not used.

    Returns:
        Images, uint8 (N, 3, 32, 32), and for each whether it is determined, bool (N,). The image of another digit by
        the same writer is not determined; it is black.

    Raises:
        UserError: If the digits are missing.
    """
    digits, _ = read_digits(Path(data) / "digits")
    known = np.asarray(parents["digit"]) == attributes["digit"].to_numpy()
    images = np.zeros((len(attributes), *DATASET.shape), np.uint8)
    for start in range(0, len(attributes), _CHUNK):
        part = np.flatnonzero(known[start : start + _CHUNK]) + start
        rows = attributes.iloc[part]
        images[part] = render(digits[rows["source"].to_numpy()], np.asarray(parents["colour"])[part], rows)
    return images, known


def measure(images: np.ndarray, threads: int = 1) -> pd.DataFrame:
    r"""Measures the colour in the pixels.

    Each channel is summed over the image. An image in one hue has sums proportional to that colour, so the hue of the
    sums,

    .. math:: \theta = 60^\circ \left( 2 k + \frac{S_{k+1} - S_{k-1}}{S_{\max} - S_{\min}} \right), \qquad
        k = \arg\max_j S_j

    is its hue. The class is that of the nearest of the ten hues.

    Arguments:
        images: uint8 (N, 3, H, W).
        threads: Not used.

    Returns:
        Columns `colour` (the class), `hue` (degrees, -18 to 342), `brightness` (the largest channel of the brightest
        pixel, 0 to 1) and `area` (px above half of the brightness), N rows; NaN where the image has no colour or is
        black.
    """
    tables = [_measure(images[start : start + _CHUNK]) for start in range(0, len(images), _CHUNK)]
    names = ("colour", "hue", "brightness", "area")
    if not tables:
        return pd.DataFrame({name: np.empty(0) for name in names})
    return pd.concat(tables, ignore_index=True)


def _measure(images: np.ndarray) -> pd.DataFrame:
    channels = images.astype(np.float64).sum((2, 3))
    low, high = channels.min(1), channels.max(1)
    spread = np.where(high > 0.0, high - low, 0.0)
    seen = spread > _FAINT * np.maximum(high, 1.0)
    pure = (channels - low[:, None]) / np.where(seen, spread, 1.0)[:, None]
    red, green, blue = pure.T
    hue = np.select(
        [red >= np.maximum(green, blue), green >= blue],
        [60.0 * (green - blue), 120.0 + 60.0 * (blue - red)],
        240.0 + 60.0 * (red - green),
    )
    hue = (hue + 0.5 * _STEP) % 360.0 - 0.5 * _STEP
    largest = images.max(1)
    peak = largest.max((1, 2)).astype(np.float64)
    area = (2.0 * largest > peak[:, None, None]).sum((1, 2))
    return pd.DataFrame(
        {
            "colour": np.where(seen, np.round(hue / _STEP) % CLASSES, np.nan),
            "hue": np.where(seen, hue, np.nan),
            "brightness": np.where(peak > 0.0, peak / 255.0, np.nan),
            "area": np.where(peak > 0.0, area, np.nan),
        }
    )


def _colour(digit: np.ndarray, noises: pd.DataFrame) -> np.ndarray:
    """Returns the colour of each digit, (N,), from the noises g and h."""
    return np.where(noises["noise_own"].to_numpy() == 1, digit, noises["noise_colour"].to_numpy())


def _rgb(hue: np.ndarray) -> np.ndarray:
    """Returns the fully saturated colours (N, 3) of hues in degrees, (N,); channels are between 0 and 1."""
    distance = np.abs((hue[:, None] - np.array([0.0, 120.0, 240.0]) + 180.0) % 360.0 - 180.0)
    return np.clip(2.0 - distance / 60.0, 0.0, 1.0)
