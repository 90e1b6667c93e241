"""Labels of tiles fit their place, however long the names of classes are."""

import matplotlib
import pytest
from matplotlib.figure import Figure

from counterfactory.report.style import _SETTINGS, SMALLEST, fitted

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
