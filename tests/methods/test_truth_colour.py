"""Two categorical variables: the truth of do(colour) is an image; that of do(digit) is a colour without an image."""

from types import SimpleNamespace

import numpy as np
import pytest

from counterfactory.core.files import read_table
from counterfactory.data import colour_mnist
from counterfactory.data.dataset import Variable
from counterfactory.methods.run import Job, answer
from counterfactory.metrics.inputs import compare, load_suite
from counterfactory.metrics.measured import measured
from counterfactory.metrics.truth import truth
from counterfactory.questions.interventions import write_questions
from tests.data.samples import strokes

TEST = 30


@pytest.fixture(scope="module")
def scores(tmp_path_factory):
    """The scores of `truth` and `copy`, by method and metric, and the questions."""
    folder = tmp_path_factory.mktemp("colour_mnist")
    data, questions = folder / "data", folder / "do.parquet"
    digits = data / "digits"
    digits.mkdir(parents=True)
    np.save(digits / "images.npy", np.tile(strokes(100), (700, 1, 1)))
    np.save(digits / "labels.npy", (np.arange(70_000) % 10).astype(np.uint8))
    settings = SimpleNamespace(seed=0, confounding=0.8, train=60, valid=1, judges=1, test=TEST, image_size=32)
    colour_mnist.synthesise(settings, True, digits, data)
    do = SimpleNamespace(images=TEST, interventions=["digit", "colour"], protocols=["marginal"], values={})
    write_questions("do", SimpleNamespace(seed=0, do=do), data, questions)
    for method in ("truth", "copy"):
        chunk = f"{0:06d}-{2 * TEST:06d}"
        job = Job(method, "do", chunk, data, data, questions, folder / method / "do")
        answer(SimpleNamespace(batch_size=10), job)
    found = {}
    for method in ("truth", "copy"):
        answers = load_suite("do", data, questions, folder / method, folder / "truth")
        found[method] = {score.metric: score.values for score in measured(answers) + truth(answers)}
    return found, read_table(questions)


def test_the_truth_is_exact_under_do_colour_and_absent_under_do_digit(scores):
    found, questions = scores
    colour = (questions["intervention"] == "colour").to_numpy()
    for metric in ("measured_colour", "measured_colour_truth", "parents_colour"):
        assert (found["truth"][metric][colour] == 1).all()
    assert (found["truth"]["truth_l1"][colour] == 0).all()
    # Scores of unanswered questions are left out when they are written, see counterfactory.metrics.run.
    assert np.isnan(found["truth"]["parents_colour"][~colour]).all()


def test_the_colour_after_do_digit_is_scored(scores):
    found, questions = scores
    rows = (questions["intervention"] == "digit").to_numpy()
    true = questions["true_colour"].to_numpy()
    assert not np.isnan(true).any()
    shown = found["copy"]["measured_colour"][rows]
    assert 0 < shown.mean() < 0.6  # the colours of images in another hue stay
    np.testing.assert_array_equal(found["copy"]["parents_colour"][rows], shown)
    assert np.isnan(found["copy"]["truth_l1"][rows]).all()
    assert np.isnan(found["copy"]["measured_colour_truth"][rows]).all()
    assert "parents_digit" not in found["copy"]  # the digit has no cause


def test_classes_agree_or_not_and_numbers_have_an_error():
    values, target = np.array([3.0, 4.0, np.nan, 1.0]), np.array([3.0, 9.0, 2.0, np.nan])
    nan = np.nan
    classes = compare(Variable("colour", "categorical", classes=10), values, target)
    np.testing.assert_array_equal(classes, [1.0, 0.0, nan, nan])
    np.testing.assert_array_equal(
        compare(Variable("arm", "continuous"), values, target), [0.0, 5.0, nan, nan]
    )
