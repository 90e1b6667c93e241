"""The error against the truth: zero for the truth, exact for a shift, missing if there is no truth."""

import numpy as np
import pytest

from counterfactory.data.dataset import save_dataset
from counterfactory.metrics.inputs import load_suite
from counterfactory.metrics.truth import truth

from .conftest import toy_dataset

QUESTIONS = [
    {
        "intervention": "thickness",
        "protocol": "marginal",
        "steps": [{"thickness": 2.0}],
        "true_thickness": 2.0,
    },
    {
        "intervention": "random",
        "protocol": "marginal",
        "steps": [{"intensity": 99.0}],
        "true_intensity": 99.0,
    },
    {
        "intervention": "random",
        "protocol": "marginal",
        "steps": [{"intensity": 99.0, "digit": 2}],
        "true_digit": 2.0,
    },
    {"intervention": "digit", "protocol": "marginal", "steps": [{"digit": 3}]},
]


@pytest.fixture
def ready(place):
    questions = place.write_questions("do", QUESTIONS)
    place.write_answers("truth", questions, place.images[:4])
    return place, questions


def scores(place, folder, compare=True):
    folder_of_truth = place.answers / "truth" / "seed0" if compare else None
    found = truth(load_suite("do", place.data, place.questions["do"], folder, folder_of_truth))
    return {score.metric: score for score in found}


def test_a_shift_of_the_truth(ready):
    place, questions = ready
    own = questions["true_thickness"] + [0.5, -0.25, 0.0, 0.0]
    found = scores(
        place, place.write_answers("shift", questions, place.images[:4] + np.uint8(3), thickness=own)
    )
    # Setting the digit requires another image, even if the value is the factual digit.
    np.testing.assert_array_equal(found["truth_l1"].values, [3.0, 3.0, np.nan, np.nan])
    assert found["truth_l1"].reason.endswith("it would be another image")
    assert found["parents_thickness"].values.tolist() == [0.5, 0.25, 0.0, 0.0]
    assert found["parents_intensity"].values.tolist() == [0.0] * 4
    assert set(found) == {"truth_l1", "parents_thickness", "parents_intensity"}


def test_the_truth_scores_zero(ready):
    place, _ = ready
    values = scores(place, place.answers / "truth" / "seed0")["truth_l1"].values
    np.testing.assert_array_equal(values, [0.0, 0.0, np.nan, np.nan])


def test_questions_without_a_true_answer_have_no_score(ready):
    place, questions = ready
    place.write_answers("truth", questions, place.images[:4], answered=np.array([True, False, True, True]))
    values = scores(place, place.write_answers("copy", questions, place.images[:4]))["truth_l1"].values
    np.testing.assert_array_equal(values, [0.0, np.nan, np.nan, np.nan])


def test_a_data_set_that_is_not_simulated(ready):
    place, questions = ready
    save_dataset(place.data, toy_dataset(simulated=False))
    found = scores(place, place.write_answers("copy", questions, place.images[:4]), compare=False)
    assert np.isnan(found["truth_l1"].values).all() and "not simulated" in found["truth_l1"].reason
