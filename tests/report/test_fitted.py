"""Labels of tiles fit their place, however long the names of classes are."""

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from counterfactory.methods.registry import METHODS
from counterfactory.report.examples import ACROSS, _Pair, _panel
from counterfactory.report.style import _SETTINGS, SMALLEST, WIDTH, fitted

WORDS = ["thick\n→ not", "summer\n→ autumn", "not\n→ wearing necktie", "a\n→ a very long name of a class"]


@pytest.mark.parametrize("text", WORDS)
@pytest.mark.parametrize("width", [20.0, 30.0, 60.0])
def test_a_fitted_text_is_not_wider_than_its_place(text, width):
    shown, size = fitted(text, width, 6.5)
    assert SMALLEST <= size <= 6.5 and shown.count("\n") == text.count("\n")
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(3, 1), dpi=288)
        drawn = figure.text(0, 0.5, shown, fontsize=size)
        figure.draw_without_rendering()
        assert drawn.get_window_extent().width / 4 <= 1.05 * width
    # Nothing is cut that fits in small letters.
    longest = max(map(len, text.split("\n")))
    assert shown == text or longest * SMALLEST * 0.6 > width


@pytest.mark.parametrize(("size", "text"), [(7.0, "3"), (7.0, "2.5"), (6.5, "")])
def test_short_labels_keep_their_size(size, text):
    assert fitted(text, 30.0, size) == (text, size)


@pytest.mark.parametrize("size", [28, 64, 128])
def test_names_of_rows_are_inside_the_figure_of_explanations(size):
    image = np.zeros((3, size, size), np.uint8)
    pairs = [_Pair(image, image, False)] * ACROSS
    names = [entry.title for entry in METHODS.values()]
    panel = _panel("01", "", [image] * ACROSS, ["no → yes"] * ACROSS, [(name, pairs) for name in names])
    with matplotlib.rc_context(_SETTINGS):
        figure = Figure(figsize=(WIDTH, panel.height), dpi=200)
        panel.draw(figure)
        figure.draw_without_rendering()
    [axes] = figure.axes
    texts = {text.get_text().replace("\n", " "): text.get_window_extent() for text in axes.texts}
    for name in names:
        assert texts[name].x0 >= 0 and texts[name].x1 <= axes.get_window_extent().x0, name
