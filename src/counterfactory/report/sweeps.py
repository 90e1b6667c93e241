"""Figures of the suite `sweep`: one image with one variable set to a sequence of values, by every method.

A block shows a factual image and, for each value, the true counterfactual, the answer of each method, and their
difference. All questions about one image share a seed, so that only the value differs along a row.
"""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..answers.store import gather
from ..core.files import read_table
from ..data.dataset import Dataset, Variable, load_split
from .style import MUTED, WIDTH, AnyFigure, Panel, Picture, fitted, frame_tiles
from .vocabulary import CEILING, FLOOR, describe_score, method_title, set_title

__all__ = ["REACH", "difference_colours", "image_colours", "sweep_pictures"]

REACH = 128.0
"""The difference, in grey levels, that is shown in full colour."""

_BRIGHTER, _DARKER = (1.0, 0.62, 0.25), (0.30, 0.62, 1.0)
_NO_ANSWER = (0.5, 0.53, 0.58, 0.35)
_GAP = 2  # px between tiles
_MARGIN = 8  # px between the factual image and the rest


def sweep_pictures(
    questions: Path, answers: Path, data: Path, dataset: Dataset, methods: list[str], images: int
) -> list[Picture]:
    """Returns one figure per variable, with one block per image.

    Arguments:
        questions: The folder of questions; no figure is returned if it has no `sweep.parquet`.
        answers: The folder of answers.
        data: The folder of the data set.
        dataset: The data set.
        methods: The methods in the order of rows.
        images: The largest number of images.

    Raises:
        UserError: If answers are damaged or belong to other questions.
    """
    if not (questions / "sweep.parquet").exists():
        return []
    table = read_table(questions / "sweep.parquet")
    answered: dict[str, np.ndarray] = {}
    whole: dict[str, np.ndarray] = {}
    for method in methods:
        seeds = sorted(
            answers.glob(f"{method}/seed*/sweep"), key=lambda path: (len(path.parent.name), path.parent.name)
        )
        if method == FLOOR or not seeds:
            continue
        made, rows = gather(seeds[0].parent, "sweep", table)
        answered[method], whole[method] = made, rows["answered"].to_numpy(bool)
    test = load_split(data, "test")
    pictures = []
    for variable in dataset.variables:
        chosen = table[table["intervention"] == variable.name]
        panels: list[Panel] = []
        for row in chosen["index"].drop_duplicates().tolist()[:images]:
            block = chosen[chosen["index"] == row]
            values = [json.loads(steps)[0][variable.name] for steps in block["steps"]]
            order = np.argsort(values, kind="stable")
            numbers = block["question"].to_numpy()[order]
            # The ceiling is shown only if it answers every value; it always answers the factual value.
            enough = {
                name: present[numbers].all() if name == CEILING else present[numbers].any()
                for name, present in whole.items()
            }
            shown = {name: made[numbers] for name, made in answered.items() if enough[name]}
            present = {name: whole[name][numbers] for name in shown}
            if shown:
                attributes = test.attributes.iloc[row]
                panels.append(
                    _block(
                        variable,
                        float(attributes[variable.name]),
                        np.sort(values),
                        test.images[row],
                        shown,
                        present,
                        len(panels),
                    )
                )
        if panels:
            pictures.append(_picture(variable, dataset, panels))
    return pictures


def _picture(variable: Variable, dataset: Dataset, panels: list[Panel]) -> Picture:
    score = describe_score(f"predicted_{variable.name}", dataset)
    unit = f" (in {score.unit})" if score.unit else ""
    caption = (
        f"Left: the factual image and its {variable.name}. Right: the same image with the {variable.name} set to "
        f"the value above each column{unit}. "
    )
    if "differences" in panels[0].alt:
        caption += (
            "Differences: black is zero, orange is brighter than the truth, blue is darker, full colour is "
            f"{REACH:.0f} grey levels or more."
        )
    elif not dataset.simulated:
        caption += "No true counterfactual is known: the data set is not simulated."
    else:
        caption += f"No true counterfactual exists: an image of another {variable.name} is not determined."
    title = f"Answers under {set_title(variable.name)}"
    return Picture(f"sweep_{variable.name}", title, caption, tuple(panels), 2, "none")


def difference_colours(difference: np.ndarray) -> np.ndarray:
    """Returns signed differences as colours: black for zero, orange for positive, blue for negative values.

    Arguments:
        difference: Differences in grey levels, with shape :math:`(H, W)`.

    Returns:
        RGBA in [0, 1], with shape :math:`(H, W, 4)`.
    """
    strength = np.clip(np.abs(difference) / REACH, 0.0, 1.0)[..., None]
    hue = np.where((difference > 0)[..., None], _BRIGHTER, _DARKER)
    return np.concatenate([strength * hue, np.ones_like(strength)], axis=-1)


def image_colours(image: np.ndarray) -> np.ndarray:
    """Returns a uint8 image (C, H, W) as RGBA in [0, 1], (H, W, 4)."""
    grey = np.asarray(image, dtype=np.float64) / 255.0
    rgb = np.repeat(grey, 3, axis=0) if len(grey) == 1 else grey
    return np.concatenate([np.moveaxis(rgb, 0, -1), np.ones((*grey.shape[1:], 1))], axis=-1)


def _block(
    variable: Variable,
    was: float,
    values: np.ndarray,
    factual: np.ndarray,
    shown: Mapping[str, np.ndarray],
    present: Mapping[str, np.ndarray],
    number: int,
) -> Panel:
    """Returns the block of one image as a panel with labels."""
    rows: list[tuple[str, list[np.ndarray | None]]] = []
    truth = shown.get(CEILING)
    order = [*([CEILING] if truth is not None else []), *(name for name in shown if name != CEILING)]
    for name in order:
        made, ok = shown[name], present[name]
        tiles = [image_colours(image) if yes else None for image, yes in zip(made, ok, strict=True)]
        rows.append((method_title(name).lower() if name == CEILING else method_title(name), tiles))
        if truth is not None and name != CEILING:
            differences = (made.astype(np.float64) - truth).mean(1)  # (K, H, W): channels are averaged
            both = zip(differences, ok & present[CEILING], strict=True)
            rows.append(("− truth", [difference_colours(one) if yes else None for one, yes in both]))
    size = factual.shape[-1]
    step = size + _GAP
    height, width = len(rows) * step - _GAP, (len(values) + 1) * step - _GAP + _MARGIN
    canvas = np.zeros((height, width, 4))
    canvas[:size, :size] = image_colours(factual)
    corners = [(0, 0)]
    for i, (_, tiles) in enumerate(rows):
        for j, tile in enumerate(tiles):
            x = (j + 1) * step + _MARGIN
            canvas[i * step : i * step + size, x : x + size] = _NO_ANSWER if tile is None else tile
            corners.append((x, i * step))
    centres = [size / 2, *((j + 1) * step + _MARGIN + size / 2 for j in range(len(values)))]
    labels = [_short(value, variable) for value in (was, *values)]

    left, top = max(0.62, 0.07 * max(len(name) for name, _ in rows)), 0.2  # inches for labels
    per_px = (WIDTH - left - 0.04) / width
    inches = height * per_px + top + 0.06

    def draw(figure: AnyFigure) -> None:
        # Subfigures may be taller than the block, which is aligned with their top.
        box = figure.bbox
        dpi = figure.dpi
        wide, high = box.width / dpi, box.height / dpi
        axes = figure.add_axes(
            (left / wide, 1 - (top + height * per_px) / high, width * per_px / wide, height * per_px / high)
        )
        axes.imshow(canvas, interpolation="none", aspect="auto", extent=(0, width, height, 0))
        frame_tiles(axes, corners, size)
        axes.set_axis_off()
        for x, label in zip(centres, labels, strict=True):
            text, letters = fitted(label, 72 * per_px * step, 7 if len(values) < 9 else 6.5)
            weight = "bold" if x == centres[0] else "normal"
            axes.text(
                x,
                -3,
                text,
                ha="center",
                va="bottom",
                fontsize=letters,
                fontweight=weight,
            )
        if len(rows) > 2:
            axes.text(0, size + 3, "factual", ha="left", va="top", fontsize=6.5, color=MUTED)
        for i, (name, _) in enumerate(rows):
            weight = "normal" if name.startswith("−") else "bold"
            axes.text(-4, i * step + size / 2, name, ha="right", va="center", fontsize=7, fontweight=weight)

    names = ", ".join(method_title(name) for name in order)
    alt = (
        f"An image whose {variable.name} is {labels[0]}, and the same with {set_title(variable.name)} at "
        f"{', '.join(labels[1:])}: {names}{', and differences from the truth' if truth is not None else ''}."
    )
    return Panel(f"{number + 1:02d}", alt, draw, inches)


def _short(value: float, variable: Variable) -> str:
    if variable.kind == "categorical":
        return variable.names[int(value)] if variable.names else f"{value:.0f}"
    return f"{value:.1f}" if variable.high < 20 else f"{value:.0f}"
