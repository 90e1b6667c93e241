"""Figures of explanations: answers of all methods to the same images, and the worst answers of each method."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.patches import Rectangle

from ..data.dataset import Dataset
from .flip_answers import FlipAnswers
from .style import MUTED, WIDTH, AnyFigure, Panel, Picture, fitted, frame_tiles
from .sweeps import REACH, difference_colours, image_colours
from .vocabulary import CEILING, FLOOR, change_words, flip_title, method_role, method_title

__all__ = ["example_pictures", "worst_picture"]

ACROSS = 3
"""The number of images per row of a panel, each with its difference."""

_LEFT = 0.95  # inches for the names of rows
_GAP = 2  # px between tiles
_MARGIN = 6  # px between images
_MISSED = (0.79, 0.28, 0.36, 1.0)
_NO_ANSWER = (0.5, 0.53, 0.58, 0.35)


@dataclass(frozen=True)
class _Pair:
    """An answer (None: no answer), its factual image, and whether the prediction did not flip."""

    image: np.ndarray | None
    factual: np.ndarray
    missed: bool


@dataclass(frozen=True)
class _Layout:
    """The layout of a panel of tiles; positions are in px of the images.

    Arguments:
        tiles: Position (x, y), RGBA image, and whether a red frame marks it.
        labels: Position (x, y) and text.
        names: The name of each row and the position y of its centre.
        size: The side length of a tile.
        width: The width of the block.
        height: The height of the block.
        per_px: Inches per px.
        left: The margin for the names of rows, in inches.
        title: The title of the panel.
    """

    tiles: list[tuple[float, float, np.ndarray, bool]]
    labels: list[tuple[float, float, str]]
    names: list[tuple[str, float]]
    size: int
    width: float
    height: float
    per_px: float
    left: float
    title: str = ""


def example_pictures(flips: FlipAnswers, dataset: Dataset, images: int) -> list[Picture]:
    """Returns one figure per attribute with the answers of all methods to the same images.

    Arguments:
        flips: The answers.
        dataset: The data set.
        images: The largest number of images; rounded down to full rows.
    """
    pictures = []
    images = max(ACROSS, images - images % ACROSS)
    # The floor returns the factual image, which is shown anyway.
    methods = [name for name in flips.images if name != FLOOR]
    for attribute in flips.attributes:
        rows = flips.first(attribute)
        shown = [name for name in methods if flips.answered(name)[rows].any()]
        if not any(method_role(name) == "method" for name in shown):
            continue
        # Images that most methods answer come first.
        count = np.sum([flips.answered(name)[rows] for name in shown], axis=0)
        rows = np.sort(rows[np.argsort(-count, kind="stable")[:images]])
        panels = [
            _examples(flips, dataset, attribute, rows[start : start + ACROSS], shown, number + 1)
            for number, start in enumerate(range(0, len(rows), ACROSS))
        ]
        caption = (
            "Top: factual images. Below, for each method, the answer and its difference from the factual "
            f"image: black is zero, orange is brighter, blue is darker, full colour is {REACH:.0f} grey levels "
            "or more. A red frame: the classifier's prediction did not flip. A grey tile: no answer."
        )
        pictures.append(
            Picture(
                f"flip_{attribute}",
                f"Explanations: {flip_title(attribute, dataset)}",
                caption,
                tuple(panels),
                2,
                "none",
            )
        )
    return pictures


def _examples(
    flips: FlipAnswers,
    dataset: Dataset,
    attribute: str,
    rows: np.ndarray,
    methods: Sequence[str],
    number: int,
) -> Panel:
    grid, misses = [], []
    for name in methods:
        missed = flips.score(name, "flip_rate") == 0
        grid.append((method_title(name), [_pair(flips, name, row, missed[row]) for row in rows]))
        if missed[rows].any():
            misses.append(f"{method_title(name)} misses {int(missed[rows].sum())}")
    heads = []
    for row in rows:
        label, target = flips.questions[["label", "target"]].iloc[row].astype(int)
        heads.append(change_words(attribute, label, target, dataset))
    alt = (
        f"{len(rows)} images ({'; '.join(heads)}) as answered by {', '.join(name for name, _ in grid)}, and the "
        f"differences. {'; '.join(misses) or 'All flip'}."
    )
    return _panel(f"{number:02d}", alt, [flips.factual[row] for row in rows], heads, grid)


def _pair(flips: FlipAnswers, method: str, row: int, missed: bool) -> _Pair:
    image = flips.images[method][row] if flips.answered(method)[row] else None
    return _Pair(image, flips.factual[row], bool(missed))


def worst_picture(flips: FlipAnswers) -> Picture | None:
    """Returns the figure of the worst answers of each method: answers that did not flip, then the least similar ones.

    Similarity is that of the identity embedding (`fs`), or of the pixels (`l1`) where `fs` was not computed.

    Arguments:
        flips: The answers.
    """
    panels = []
    for name in flips.images:
        if name in (FLOOR, CEILING):
            continue
        rows = flips.first()
        rows = rows[flips.answered(name)[rows]]
        flipped, similarity, distance = (flips.score(name, metric) for metric in ("flip_rate", "fs", "l1"))
        known = np.isfinite(similarity[rows]).any()
        order = similarity if known else -distance
        # Answers that did not flip rank first, those with the largest change before the others.
        rank = np.where(flipped == 0, -1e9 - np.nan_to_num(distance), np.nan_to_num(order, nan=1e9))
        rows = rows[np.argsort(rank[rows], kind="stable")][: 2 * ACROSS]
        if not len(rows):
            continue
        heads = []
        for row in rows:
            attribute = flips.questions["attribute"].iloc[row]
            value = f"FS {similarity[row]:.2f}" if known else f"L1 {distance[row]:.1f}"
            heads.append(f"{attribute}\n{'no flip' if flipped[row] == 0 else value}")
        grid = [
            ("worst", [_pair(flips, name, row, flipped[row] == 0) for row in rows[start : start + ACROSS]])
            for start in range(0, len(rows), ACROSS)
        ]
        summary = ", ".join(head.replace("\n", " ") for head in heads)
        panels.append(_worst(name, f"Worst answers of {method_title(name)}: {summary}.", grid, heads))
    caption = (
        "For each method: factual image, answer and difference. First the answers that did not flip (red frame), then "
        "the flipped answers that are least similar to the factual image (FS, the cosine of identity embeddings; L1 in "
        "grey levels where FS was not computed)."
    )
    return (
        Picture("explanations_worst", "Worst answers", caption, tuple(panels), 2, "none") if panels else None
    )


def _worst(name: str, alt: str, grid: list[tuple[str, list[_Pair]]], heads: list[str]) -> Panel:
    """Returns a panel of the worst answers as triples of factual image, answer and difference."""
    size = grid[0][1][0].factual.shape[-1]
    step, block = size + _GAP, 3 * (size + _GAP) - _GAP + _MARGIN
    above = 0.42 * size  # space for the heading of each triple, in px
    height = len(grid) * (size + above)
    width = ACROSS * block - _MARGIN
    tiles, labels = [], []
    pairs = [(i, j, pair) for i, (_, row) in enumerate(grid) for j, pair in enumerate(row)]
    for (i, j, pair), head in zip(pairs, heads, strict=True):
        x, y = j * block, i * (size + above) + above
        labels.append((x, y - 2, head.replace("\n", ": ")))
        assert pair.image is not None  # only answers are ranked
        tiles.append((x, y, image_colours(pair.factual), False))
        tiles.append((x + step, y, image_colours(pair.image), pair.missed))
        tiles.append((x + 2 * step, y, _difference(pair.image, pair.factual), False))
    per_px = (WIDTH - 0.08) / width
    layout = _Layout(tiles, labels, [], size, width, height, per_px, 0.04, method_title(name))
    return Panel(name, alt, partial(_draw_tiles, layout=layout), height * per_px + 0.34)


def _panel(
    key: str, alt: str, factual: list[np.ndarray], heads: list[str], grid: list[tuple[str, list[_Pair]]]
) -> Panel:
    """Returns a panel with a row of factual images and one row per method."""
    size = factual[0].shape[-1]
    step, block = size + _GAP, 2 * (size + _GAP) - _GAP + _MARGIN
    # Every panel has the width of a full row, so that all tiles have the same size.
    width, height = ACROSS * block - _MARGIN, (len(grid) + 1) * step - _GAP
    tiles: list[tuple[float, float, np.ndarray, bool]] = [
        (j * block, 0, image_colours(image), False) for j, image in enumerate(factual)
    ]
    names = [("factual", size / 2)]
    for i, (name, pairs) in enumerate(grid):
        y = (i + 1) * step
        names.append((name, y + size / 2))
        for j, pair in enumerate(pairs):
            if pair.image is None:
                tiles.append((j * block, y, np.full((size, size, 4), _NO_ANSWER), False))
                continue
            tiles.append((j * block, y, image_colours(pair.image), pair.missed))
            tiles.append((j * block + step, y, _difference(pair.image, pair.factual), False))
    labels = [(j * block + step, size / 2, head) for j, head in enumerate(heads)]
    per_px = (WIDTH - _LEFT - 0.04) / width
    layout = _Layout(tiles, labels, names, size, width, height, per_px, _LEFT)
    return Panel(key, alt, partial(_draw_tiles, layout=layout), height * per_px + 0.1)


def _difference(image: np.ndarray, factual: np.ndarray) -> np.ndarray:
    """Returns the difference of an answer from its factual image, averaged over channels, as colours."""
    return difference_colours((image.astype(np.float64) - factual).mean(0))


def _draw_tiles(figure: AnyFigure, layout: _Layout) -> None:
    """Draws tiles at their positions without smoothing."""
    size, per_px = layout.size, layout.per_px
    width, height = layout.width, layout.height
    dpi = figure.dpi
    wide, high = figure.bbox.width / dpi, figure.bbox.height / dpi
    top = 0.28 if layout.title else 0.05
    # Subfigures may be taller than the block, which is aligned with their top.
    axes = figure.add_axes(
        (
            layout.left / wide,
            1 - (top + height * per_px) / high,
            width * per_px / wide,
            height * per_px / high,
        )
    )
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    if layout.title:
        axes.text(0, -3, layout.title, ha="left", va="bottom", fontsize=9, fontweight="bold")
    canvas = np.zeros((int(np.ceil(height)), int(width), 4))
    for x, y, tile, missed in layout.tiles:
        canvas[round(y) : round(y) + size, round(x) : round(x) + size] = tile
        if missed:
            frame = Rectangle((round(x), round(y)), size, size, fill=False, ec=_MISSED, lw=1.4, zorder=2)
            axes.add_patch(frame)
    axes.imshow(
        canvas, interpolation="none", aspect="auto", extent=(0, canvas.shape[1], canvas.shape[0], 0), zorder=1
    )
    frame_tiles(axes, [(round(x), round(y)) for x, y, _, _ in layout.tiles], size)
    axes.set(xlim=(0, width), ylim=(height, 0))
    for x, y, text in layout.labels:
        under = bool(layout.names)
        shown, letters = text, 6.5
        if under:  # beside the factual image, in the place of a tile
            shown, letters = fitted(text.replace(" → ", "\n→ "), 72 * per_px * (size - 1), letters)
        axes.text(
            x + (1 if under else 0), y, shown, ha="left", va="center" if under else "bottom", fontsize=letters,
            color=MUTED, zorder=3,
        )  # fmt: skip
    for name, y in layout.names:
        weight = "normal" if name == "factual" else "bold"
        # A name with a remark, such as "HVAE, residual x 0.1", takes two lines.
        shown, letters = fitted(name.replace(", ", ",\n"), 72 * (layout.left - 4 * per_px), 7)
        axes.text(-4, y, shown, ha="right", va="center", fontsize=letters, fontweight=weight)
