"""Classes are called by their names wherever a question is described."""

import pandas as pd
import pytest

from counterfactory.api.checks import outside_values
from counterfactory.report.explorer.browse import _questions
from counterfactory.report.vocabulary import action_words, change_words, flip_title, set_title
from tests.report.named import NAMED
from tests.report.pretend import DATASET


@pytest.mark.parametrize(
    ("name", "change", "words", "title"),
    [
        ("season", (2, 0), "summer → autumn", "another season"),
        ("season", (0, 1), "autumn → spring", "another season"),
        ("holes", (1, 0), "yes → no", "holes flipped"),
        ("sex", (0, 1), "female → male", "sex flipped"),
        ("old", (0, 1), "not → old", "old flipped"),
        ("long", (1, 0), "long → not", "the opposite of long"),
        ("length", (1, 0), "length → not", "the opposite of length"),
    ],
)
def test_classes_are_called_by_their_names(name, change, words, title):
    assert change_words(name, *change, NAMED) == words and flip_title(name, NAMED) == title


def test_classes_of_interventions_are_called_by_their_names():
    assert set_title("season=1", NAMED) == "do(season = spring)" and set_title("season=1") == "do(season = 1)"
    assert set_title("length=4.5", NAMED) == "do(length = 4.5)" and set_title("none", NAMED) == "null"
    assert set_title("holes+season", NAMED) == "do(holes, season)"
    assert action_words({"holes": 0, "length": 4.56789}, NAMED) == "holes = no, length = 4.568"
    assert action_words({}, NAMED) == "nothing" and action_words({"digit": 3}, DATASET) == "digit = 3"


def test_the_explorer_lists_classes_by_their_names():
    table = pd.DataFrame(
        {
            "intervention": ["season", "holes", "long"], "protocol": "",
            "attribute": ["season", "holes", "long"], "target": [0, 1, 0],
            "steps": ['[{"season": 0}]', '[{"holes": 1}]', '[{"length": 4.25}]'],
        }
    )  # fmt: skip
    listed = _questions("flip", table, NAMED)
    assert listed["target"] == ["season → autumn", "holes → yes", "long → no"]
    assert listed["steps"] == ["season = autumn", "holes = yes", "length = 4.25"]
    do = _questions("do", table.assign(intervention=["season=2", "holes", "length"]), NAMED)
    assert do["titles"] == ["do(holes)", "do(length)", "do(season = summer)"]


def test_a_class_without_training_images_is_called_by_its_name():
    known = {"variables": {"season": {"classes": [0, 1]}}}
    [line] = outside_values(NAMED, known, {}, [{"season": 2}])
    assert line == "do(season) = summer is outside of the training data, which have no image of this class"
