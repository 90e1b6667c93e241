"""The figures of the cost of explanations: labels belong to their dots, and no curve hides another one."""

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.text import Annotation

from counterfactory.report.cost_quality import _draw_quality, _draw_scale, curve_layers
from counterfactory.report.label_places import label_places
from counterfactory.report.style import _SETTINGS, method_colours

SIZE = (222.0, 108.0)


def boxes(dots, places, widths, height=8.0):
    """Returns the left, right, lower and upper end of each label."""
    found = []
    for (x, y), (right, up, side), width in zip(dots, places, widths, strict=True):
        left = x + right - (width if side == "right" else 0)
        found.append((left, left + width, y + up - height / 2, y + up + height / 2))
    return np.array(found)


def overlapping(found):
    """Returns whether any two labels overlap."""
    one, other = found[:, None], found[None]
    apart = (one[..., 1] <= other[..., 0]) | (other[..., 1] <= one[..., 0])
    apart |= (one[..., 3] <= other[..., 2]) | (other[..., 3] <= one[..., 2])
    return bool((~apart & ~np.eye(len(found), dtype=bool)).any())


def placed(dots, widths, lines=()):
    dots = np.array(dots, float)
    return boxes(dots, label_places(dots, np.repeat(dots[:, 1:], 2, 1), lines, widths, SIZE), widths)


@pytest.mark.parametrize(
    "first", [(30, 26), (30, 40)], ids=["the lower one is first", "the upper one is first"]
)
def test_of_two_labels_of_dots_above_each_other_each_is_nearest_to_its_own(first):
    dots = [first, (30, 33)]
    found = placed(dots, [14, 20])
    assert not overlapping(found)
    for k, (left, right, low, high) in enumerate(found):
        x, y = dots[k]
        edge = left if left > x else right
        away = [np.hypot(edge - a, (low + high) / 2 - b) for a, b in dots]
        assert int(np.argmin(away)) == k


def test_labels_of_many_dots_stay_apart_and_inside():
    rng = np.random.default_rng(0)
    for _ in range(40):
        dots = np.stack([rng.uniform(8, 150, 6), rng.uniform(10, 98, 6)], 1)
        found = placed(dots, rng.uniform(14, 60, 6))
        assert not overlapping(found)
        assert (found[:, :2] >= 0).all() and (found[:, :2] <= SIZE[0]).all()
        assert (found[:, 2:] >= 0).all() and (found[:, 2:] <= SIZE[1]).all()


def test_labels_of_equal_dots_do_not_overlap_nor_lie_on_a_line():
    found = placed([(30, 50)] * 3, [20, 30, 25], lines=[50.0])
    assert not overlapping(found) and not ((found[:, 2] < 50) & (found[:, 3] > 50)).any()


@pytest.mark.parametrize("values", [{"vae": 4.9, "hvae": 10.9}, {"hvae": 10.9, "vae": 4.9}])
def test_labels_have_the_colour_of_their_dots(values):
    colours = method_colours(["copy", "vae", "hvae", "dime"])
    points = {name: (3.0, value, value, value) for name, value in values.items()} | {
        "dime": (40.0, 75.0, 70.0, 80.0)
    }
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(3.65, 2.3), layout="constrained")
        _draw_quality(figure, "L1", points, {"copy": 0.0}, (1.5, 240.0), colours)
        figure.draw_without_rendering()
        [axes] = figure.axes
        texts = {text.get_text(): text for text in axes.texts if isinstance(text, Annotation)}
        for name, title in {"vae": "VAE", "hvae": "HVAE", "dime": "DiME"}.items():
            assert to_hex(texts[title].get_color()) == to_hex(colours[name])
        ends = {title: text.get_window_extent() for title, text in texts.items()}
        for title, box in ends.items():
            dots = {"VAE": 4.9, "HVAE": 10.9, "DiME": 75.0}
            middle = axes.transData.inverted().transform((box.x0, (box.y0 + box.y1) / 2))[1]
            assert min(dots, key=lambda one: abs(dots[one] - middle)) == title
        assert not any(one.overlaps(other) for a, one in ends.items() for b, other in ends.items() if a < b)


def curve(*steps):
    """Returns a curve from pairs of scale and share."""
    return np.array(steps, float).reshape(-1, 2).T


@pytest.mark.parametrize(
    ("curves", "layers"),
    [
        ([curve((2, 0.5), (8, 1.0))] * 3, [0, 1, 2]),
        ([curve((2, 0.5)), curve((8, 1.0))], [0, 0]),  # both are 0 below the scale 2
        ([curve((2, 0.5)), curve(), curve()], [0, 0, 1]),  # two methods that flip nothing
        ([curve((2, 0.5), (4, 1.0)), curve((2, 0.8), (4, 1.0), (40, 1.0))], [0, 1]),
        ([curve((2, 0.5), (4, 0.9)), curve((2, 0.5), (4, 0.8), (9, 0.8))], [0, 0]),
        ([curve(), curve()], [0, 0]),
    ],
)
def test_a_curve_on_another_one_is_in_a_layer_above(curves, layers):
    assert list(curve_layers({str(k): one for k, one in enumerate(curves)}).values()) == layers


def test_of_equal_curves_both_are_visible():
    same = curve((2, 0.25))
    curves = {"dime": (same, 4), "fastdime": (same, 4), "dime_x": (curve((3.5, 1.0)), 4)}
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(3.65, 2.4), layout="constrained")
        _draw_scale(figure, "holes", curves, method_colours(list(curves)))
    styles = [line.get_linestyle() for line in figure.axes[0].lines]
    assert styles == ["-", "--", "-"]
