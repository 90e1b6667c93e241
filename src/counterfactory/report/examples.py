"""Pictures of explanations: the same images turned over by every method, and the worst answers of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from matplotlib.figure import FigureBase
from matplotlib.patches import Rectangle

from ..data.dataset import Dataset
from .flip_answers import Explained
from .style import MUTED, WIDTH, Panel, Picture, frame_tiles
from .sweeps import REACH, difference_colours, image_colours
from .vocabulary import CEILING, FLOOR, method_role, method_title

__all__ = ["example_pictures", "worst_picture"]

ACROSS = 3
"""How many images stand side by side in a panel, each with its difference."""

_LEFT = 0.95  # inches for the names of rows
_GAP = 2  # px between tiles
_ASIDE = 6  # px between images
_MISSED = (0.79, 0.28, 0.36, 1.0)
_NOTHING = (0.5, 0.53, 0.58, 0.35)


@dataclass(frozen=True)
class _Pair:
    """An answer (None: there is none) beside its difference from the factual image, and whether it missed."""

    image: np.ndarray | None
    factual: np.ndarray
    missed: bool


def example_pictures(explained: Explained, dataset: Dataset, images: int) -> list[Picture]:
    """Returns a figure for each attribute: the same images, turned over by every method.

    Arguments:
        explained: The answers.
        dataset: The data set.
        images: How many images are shown at most; panels are filled.
    """
    pictures = []
    images = max(ACROSS, images - images % ACROSS)
    # What copying an image looks like needs no row.
    methods = [name for name in explained.images if name != FLOOR]
    for attribute in explained.attributes:
        rows = explained.first(attribute)
        shown = [name for name in methods if explained.answered(name)[rows].any()]
        if not any(method_role(name) == "method" for name in shown):
            continue
        # Images that all have answered, or as many as can be.
        count = np.sum([explained.answered(name)[rows] for name in shown], axis=0)
        rows = np.sort(rows[np.argsort(-count, kind="stable")[:images]])
        panels = [
            _examples(explained, attribute, rows[start : start + ACROSS], shown, number + 1)
            for number, start in enumerate(range(0, len(rows), ACROSS))
        ]
        what = f"another {attribute}" if attribute in dataset.names else f"{attribute} turned over"
        caption = (
            "Top: factual images. Below, for each method, the answer and its difference from the factual "
            f"image: black is none, orange is brighter, blue is darker, full colour is {REACH:.0f} grey levels "
            "or more. A red frame: the classifier's prediction did not flip. A grey tile: no answer."
        )
        pictures.append(Picture(f"flip_{attribute}", f"Explained: {what}", caption, tuple(panels), 2, "none"))
    return pictures


def _examples(
    explained: Explained, attribute: str, rows: np.ndarray, methods: Sequence[str], number: int
) -> Panel:
    grid, said = [], []
    for name in methods:
        missed = explained.score(name, "flip_rate") == 0
        grid.append((method_title(name), [_pair(explained, name, row, missed[row]) for row in rows]))
        if missed[rows].any():
            said.append(f"{method_title(name)} misses {int(missed[rows].sum())}")
    heads = []
    for row in rows:
        label, target = explained.questions[["label", "target"]].iloc[row].astype(int)
        heads.append(_sides(attribute, label, target, explained.questions["target"].max() > 1))
    alt = (
        f"{len(rows)} images ({'; '.join(heads)}) as turned over by {', '.join(name for name, _ in grid)}, and the "
        f"differences. {'; '.join(said) or 'All flip'}."
    )
    return _panel(f"{number:02d}", alt, [explained.factual[row] for row in rows], heads, grid)


def _sides(attribute: str, label: int, target: int, classes: bool) -> str:
    """Says which way the attribute goes: `3 → 8`, `thick → not`."""
    if label > 1 or target > 1 or (classes and label + target != 1):
        return f"{label} → {target}"
    return f"{attribute} → not" if label == 1 else f"not → {attribute}"


def _pair(explained: Explained, method: str, row: int, missed: bool) -> _Pair:
    image = explained.images[method][row] if explained.answered(method)[row] else None
    return _Pair(image, explained.factual[row], bool(missed))


def worst_picture(explained: Explained) -> Picture | None:
    """Returns the worst answers of each method: first those that did not flip, then those least like their image.

    Likeness is by the identity embedding (`fs`), or by pixels (`l1`) where that was not scored.

    Arguments:
        explained: The answers.
    """
    panels = []
    for name in explained.images:
        if name in (FLOOR, CEILING):
            continue
        rows = explained.first()
        rows = rows[explained.answered(name)[rows]]
        flips, likeness, distance = (explained.score(name, metric) for metric in ("flip_rate", "fs", "l1"))
        known = np.isfinite(likeness[rows]).any()
        order = likeness if known else -distance
        # What has not flipped is worst of all, and of those what changed most.
        rank = np.where(flips == 0, -1e9 - np.nan_to_num(distance), np.nan_to_num(order, nan=1e9))
        rows = rows[np.argsort(rank[rows], kind="stable")][: 2 * ACROSS]
        if not len(rows):
            continue
        heads = []
        for row in rows:
            asked = explained.questions["attribute"].iloc[row]
            worth = f"FS {likeness[row]:.2f}" if known else f"L1 {distance[row]:.1f}"
            heads.append(f"{asked}\n{'no flip' if flips[row] == 0 else worth}")
        grid = [
            ("worst", [_pair(explained, name, row, flips[row] == 0) for row in rows[start : start + ACROSS]])
            for start in range(0, len(rows), ACROSS)
        ]
        said = ", ".join(head.replace("\n", " ") for head in heads)
        panels.append(_worst(name, f"Worst answers of {method_title(name)}: {said}.", grid, heads))
    caption = (
        "For each method, of all questions that it answered: factual image, answer and difference. First "
        "those that did not flip (red frame), then the flipped ones that are least like their image (FS, the "
        "cosine of identity embeddings; L1 in grey levels where that is not scored)."
    )
    return Picture("explanations_worst", "Worst cases", caption, tuple(panels), 2, "none") if panels else None


def _worst(name: str, alt: str, grid: list[tuple[str, list[_Pair]]], heads: list[str]) -> Panel:
    """Lays a method's worst answers out as triples of factual image, answer and difference."""
    size = grid[0][1][0].factual.shape[-1]
    step, block = size + _GAP, 3 * (size + _GAP) - _GAP + _ASIDE
    above = 0.42 * size  # room for the head of each triple, in px
    height = len(grid) * (size + above)
    width = ACROSS * block - _ASIDE
    tiles, labels = [], []
    pairs = [(i, j, pair) for i, (_, row) in enumerate(grid) for j, pair in enumerate(row)]
    for (i, j, pair), head in zip(pairs, heads, strict=True):
        x, y = j * block, i * (size + above) + above
        labels.append((x, y - 2, head.replace("\n", ": ")))
        tiles.append((x, y, image_colours(pair.factual), False))
        tiles.append((x + step, y, image_colours(pair.image), pair.missed))
        tiles.append((x + 2 * step, y, _difference(pair), False))
    per_px = (WIDTH - 0.08) / width
    draw = partial(
        _draw_tiles, tiles=tiles, labels=labels, names=[], size=size, width=width, height=height, per_px=per_px,
        left=0.04, title=method_title(name),
    )  # fmt: skip
    return Panel(name, alt, draw, height * per_px + 0.34)


def _panel(
    key: str, alt: str, factual: list[np.ndarray], heads: list[str], grid: list[tuple[str, list[_Pair]]]
) -> Panel:
    """Lays rows of methods out under a row of factual images."""
    size = factual[0].shape[-1]
    step, block = size + _GAP, 2 * (size + _GAP) - _GAP + _ASIDE
    # As wide as a full one, so that all panels have tiles of one size.
    width, height = ACROSS * block - _ASIDE, (len(grid) + 1) * step - _GAP
    tiles = [(j * block, 0, image_colours(image), False) for j, image in enumerate(factual)]
    names = [("factual", size / 2)]
    for i, (name, pairs) in enumerate(grid):
        y = (i + 1) * step
        names.append((name, y + size / 2))
        for j, pair in enumerate(pairs):
            if pair.image is None:
                tiles.append((j * block, y, np.full((size, size, 4), _NOTHING), False))
                continue
            tiles.append((j * block, y, image_colours(pair.image), pair.missed))
            tiles.append((j * block + step, y, _difference(pair), False))
    labels = [(j * block + step, size / 2, head) for j, head in enumerate(heads)]
    per_px = (WIDTH - _LEFT - 0.04) / width
    draw = partial(
        _draw_tiles, tiles=tiles, labels=labels, names=names, size=size, width=width, height=height, per_px=per_px,
        left=_LEFT, title="",
    )  # fmt: skip
    return Panel(key, alt, draw, height * per_px + 0.1)


def _difference(pair: _Pair) -> np.ndarray:
    # Channels are averaged.
    return difference_colours((pair.image.astype(np.float64) - pair.factual).mean(0))


def _draw_tiles(
    figure: FigureBase,
    tiles: list[tuple[float, float, np.ndarray, bool]],
    labels: list[tuple[float, float, str]],
    names: list[tuple[str, float]],
    size: int,
    width: float,
    height: float,
    per_px: float,
    left: float,
    title: str,
) -> None:
    """Draws tiles at their places in px, each by itself: nothing of them is smoothed."""
    dpi = figure.dpi
    wide, high = figure.bbox.width / dpi, figure.bbox.height / dpi
    top = 0.28 if title else 0.05
    # Subfigures may be taller than the block: it hangs from their top.
    axes = figure.add_axes(
        (left / wide, 1 - (top + height * per_px) / high, width * per_px / wide, height * per_px / high)
    )
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    if title:
        axes.text(0, -3, title, ha="left", va="bottom", fontsize=9, fontweight="bold")
    canvas = np.zeros((int(np.ceil(height)), int(width), 4))
    for x, y, tile, missed in tiles:
        canvas[round(y) : round(y) + size, round(x) : round(x) + size] = tile
        if missed:
            frame = Rectangle((round(x), round(y)), size, size, fill=False, ec=_MISSED, lw=1.4, zorder=2)
            axes.add_patch(frame)
    axes.imshow(
        canvas, interpolation="none", aspect="auto", extent=(0, canvas.shape[1], canvas.shape[0], 0), zorder=1
    )
    frame_tiles(axes, [(round(x), round(y)) for x, y, _, _ in tiles], size)
    axes.set(xlim=(0, width), ylim=(height, 0))
    for x, y, text in labels:
        under = bool(names)
        axes.text(
            x + (1 if under else 0), y, text.replace(" → ", "\n→ ") if under else text, ha="left",
            va="center" if under else "bottom", fontsize=6.5, color=MUTED, zorder=3,
        )  # fmt: skip
    for name, y in names:
        weight = "normal" if name == "factual" else "bold"
        axes.text(-4, y, name, ha="right", va="center", fontsize=7, fontweight=weight)
