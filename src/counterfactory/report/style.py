"""Style of figures, and saving as PNG (for papers) and SVG (for the page).

A figure is a list of panels. Each panel is saved as a file of its own, so that the page can arrange the panels by the
width of the screen; all panels together are saved as one figure. An SVG contains colours for light and dark pages.
Files do not depend on time or machine.
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure, SubFigure

from ..core.files import write_text, writing
from .vocabulary import CEILING, FLOOR

__all__ = [
    "FAINT",
    "INK",
    "LEGEND",
    "MUTED",
    "PAPER",
    "WIDTH",
    "AnyFigure",
    "Panel",
    "Picture",
    "add_axes",
    "add_legend",
    "frame_tiles",
    "legend_height",
    "method_colours",
    "plain_number",
    "rows_that_fit",
    "save_picture",
]

AnyFigure = Figure | SubFigure
"""The figure of one panel, or its part in the figure of all panels."""

INK, MUTED, FAINT, PAPER = "#1c2430", "#667085", "#d5dae2", "#fefefe"
_DARK = {INK: "#e7eaf0", MUTED: "#9aa4b5", FAINT: "#3a4250", PAPER: "#12161c"}
# Colours that differ in lightness, have contrast to white and to near-black, and are safe for colour blindness.
_COLOURS = ("#d9792b", "#2f7fd6", "#2a9d78", "#a468d5", "#c9485b", "#8c8f1f", "#20a4b8", "#b0679a")
_FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, 'DejaVu Sans'"
_SETTINGS = {
    "axes.edgecolor": MUTED,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8,
    "axes.linewidth": 0.7,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlecolor": INK,
    "axes.titlelocation": "left",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "figure.dpi": 96,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 8,
    "grid.color": FAINT,
    "grid.linewidth": 0.6,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "legend.handlelength": 1.4,
    "legend.columnspacing": 1.2,
    "legend.borderaxespad": 0.0,
    "legend.labelcolor": INK,
    "lines.linewidth": 1.6,
    "svg.fonttype": "none",
    "svg.hashsalt": "counterfactory",
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "xtick.major.size": 2.5,
    "ytick.major.size": 2.5,
    "xtick.minor.size": 1.5,
    "ytick.minor.size": 1.5,
}


@dataclass(frozen=True)
class Panel:
    """One part of a figure.

    Arguments:
        name: The name of its file.
        alt: The alternative text.
        draw: Draws the panel on a figure or subfigure.
        height: Its height in inches; the width is :data:`WIDTH`.
    """

    name: str
    alt: str
    draw: Callable[[AnyFigure], None]
    height: float = 2.5


@dataclass(frozen=True)
class Picture:
    """A figure: panels under one title and caption.

    Arguments:
        key: Its name, also the name of its files.
        title: Its title.
        caption: Its caption.
        panels: Its panels.
        columns: The number of panels per row in the file of the whole figure.
        layout: The layout engine of matplotlib; `none` for panels with explicit positions.
    """

    key: str
    title: str
    caption: str
    panels: tuple[Panel, ...]
    columns: int = 2
    layout: str = "constrained"


WIDTH = 3.65
"""The width of a panel in inches: 350 px, the text width of a phone."""

LETTER = 0.67
"""The mean width of a letter as a share of its size."""

SMALLEST = 4.5
"""The smallest size of letters in points."""

LEGEND = 4
"""The number of entries in one row of a legend."""


def method_colours(methods: Sequence[str]) -> dict[str, str]:
    """Returns the colours of methods: grey for the floor, black for the ceiling, hues for the others in order."""
    hues = [name for name in methods if name not in (FLOOR, CEILING)]
    colours = {name: _COLOURS[k % len(_COLOURS)] for k, name in enumerate(hues)}
    return {FLOOR: MUTED, CEILING: INK} | colours


def _figure(width: float, height: float, layout: str) -> Figure:
    return Figure(figsize=(width, height), layout=layout)  # type: ignore[arg-type]  # the stubs lack "none"


def save_picture(picture: Picture, folder: Path) -> dict[str, Any]:
    """Saves a figure as `<key>.png`, `<key>.svg` and `<key>/<panel>.svg`.

    Arguments:
        picture: The figure.
        folder: The folder of figures.

    Returns:
        The entry of the figure in `index.json`: key, title, caption and, for each panel, file, alt text and size in px.
    """
    # The layout engine requires a renderer; Agg works without a display.
    settings: Any = _SETTINGS | {"backend": "Agg"}
    with matplotlib.rc_context(settings):
        panels = []
        for panel in picture.panels:
            figure = _figure(WIDTH, panel.height, picture.layout)
            panel.draw(figure)
            path = f"{picture.key}/{panel.name}.svg"
            write_text(folder / path, _svg(figure))
            panels.append(
                {
                    "file": path,
                    "alt": panel.alt,
                    "width": round(WIDTH * 96),
                    "height": round(panel.height * 96),
                }
            )
        columns = min(picture.columns, len(picture.panels))
        rows = [picture.panels[start : start + columns] for start in range(0, len(picture.panels), columns)]
        heights = [max(panel.height for panel in row) for row in rows]
        figure = _figure(WIDTH * columns, sum(heights), picture.layout)
        parts = figure.subfigures(len(rows), columns, squeeze=False, height_ratios=heights)
        for row, cells in zip(rows, parts, strict=True):
            for panel, part in zip(row, cells, strict=False):
                panel.draw(part)
        write_text(folder / f"{picture.key}.svg", _svg(figure))
        with writing(folder / f"{picture.key}.png") as temporary:
            figure.savefig(temporary, dpi=200, facecolor="white")
    return {"key": picture.key, "title": picture.title, "caption": picture.caption, "panels": panels}


def _svg(figure: Figure) -> str:
    """Returns a figure as SVG with transparent background and colours for light and dark pages."""
    file = io.StringIO()
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue().replace("'DejaVu Sans'", _FONTS)
    rules = "".join(
        f'[style*="{attribute}: {light}"]{{{attribute}:{dark}!important}}'
        for light, dark in _DARK.items()
        for attribute in ("fill", "stroke")
    )
    style = f'<style type="text/css">@media (prefers-color-scheme: dark){{{rules}}}</style>'
    return re.sub(r"<defs>", lambda match: f"<defs>{style}", text, count=1)


def add_legend(axes: Axes, columns: int = LEGEND) -> None:
    """Places the legend between title and plot, and moves the title above all of its rows."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        axes.legend(handles, labels, loc="lower left", bbox_to_anchor=(0.0, 1.02), ncols=columns)
        title = axes.get_title(matplotlib.rcParams["axes.titlelocation"])
        axes.set_title(title, pad=8 + 72 * legend_height(len(handles), columns))


def legend_height(entries: int, columns: int = LEGEND) -> float:
    """Returns the height of a legend in inches."""
    return math.ceil(entries / columns) / 6


def add_axes(figure: AnyFigure, title: str) -> Axes:
    """Returns axes with a title that fill a figure."""
    axes = figure.subplots()
    axes.set_title(title, pad=8)
    return axes


def frame_tiles(axes: Axes, corners: Sequence[tuple[float, float]], size: float) -> None:
    """Draws a thin frame around each tile of a grid of images, so that white tiles are visible on a white page.

    Arguments:
        axes: The axes of the tiles, with y downwards.
        corners: The upper left corner (x, y) of each tile, in px of the images.
        size: The side length of a tile, in px of the images.
    """
    squares = [[(x, y), (x + size, y), (x + size, y + size), (x, y + size)] for x, y in corners]
    # Half of the line lies outside of the tile, so frames are not clipped at the edge of the axes.
    frames = PolyCollection(
        squares,
        facecolors="none",
        edgecolors=FAINT,
        linewidths=0.5,
        joinstyle="miter",
        clip_on=False,
        zorder=1.5,
    )
    axes.add_collection(frames, autolim=False)


def rows_that_fit(figure: AnyFigure, head: float, step: float) -> float:
    """Returns the number of rows of `step` inches that fit below a header of `head` inches."""
    return (figure.bbox.height / figure.dpi - head) / step


def plain_number(value: float, _: Any = None) -> str:
    """Returns the label of a tick without trailing zeros."""
    return f"{value:g}"


def fitted(text: str, width: float, largest: float) -> tuple[str, float]:
    """Returns a text and the size of its letters with which its longest line fits a width.

    Letters are not smaller than :data:`SMALLEST`; longer lines are cut.

    Arguments:
        text: The text, of one or more lines.
        width: The width in points.
        largest: The largest size of letters in points.
    """
    lines = text.split("\n")
    longest = max(map(len, lines))
    size = max(SMALLEST, min(largest, width / (LETTER * max(1, longest))))
    most = max(2, int(width / (LETTER * size) + 1e-9))
    return "\n".join(line if len(line) <= most else f"{line[: most - 1]}…" for line in lines), size
