"""Flip rate and confidence by hand; a constant classifier has neither."""

import numpy as np
import pytest

from counterfactory.core.errors import UserError
from counterfactory.metrics.flip import flip_scores
from counterfactory.metrics.predictions import predict, prediction_of, probability_of
from tests.metrics.flips import StubClassifier, answer_flips, blank, lit, pixel


def values(scores):
    return {score.metric: score.values.tolist() for score in scores}


def test_flip_rate_confidence_and_distance():
    factual = blank(3)
    images = np.concatenate([lit(blank(1), 0), lit(blank(1), 0, level=102), blank(1)])
    scores = flip_scores(answer_flips(factual, images), StubClassifier(bright=pixel(0)))
    assert values(scores) == {
        "flip_rate": [1.0, 0.0, 0.0],
        "mad": [1.0, pytest.approx(0.4), 0.0],
        "l1": [255 / 16, 102 / 16, 0.0],
    }


def test_the_goal_is_the_opposite_of_the_prediction_whatever_the_label():
    factual = lit(blank(1), 0)
    answered = answer_flips(factual, blank(1), label=0, target=1)  # the label differs from the prediction
    predictions = predict(answered, StubClassifier(bright=pixel(0)))
    assert (
        predictions.before.tolist() == [1] and predictions.goal.tolist() == [0] and predictions.flipped.all()
    )
    assert predictions.goal_before.tolist() == [0.0] and predictions.goal_after.tolist() == [1.0]


def test_a_class_has_flipped_if_it_is_the_target():
    def classes(images):
        return np.eye(3)[images[:, 0, 0, 0] % 3]

    images = np.concatenate([lit(blank(1), 0, level=2), lit(blank(1), 0, level=1)])
    answered = answer_flips(blank(2), images, attribute="digit", label=0, target=2)
    assert values(flip_scores(answered, StubClassifier(digit=classes)))["flip_rate"] == [1.0, 0.0]


def test_a_constant_classifier_has_missing_scores_with_its_reason():
    stub = StubClassifier(constant={"bright": "says no to bright for all 9 images"}, bright=pixel(0))
    rate, mad, l1 = flip_scores(answer_flips(blank(2), lit(blank(2), 0)), stub)
    assert np.isnan(rate.values).all() and np.isnan(mad.values).all() and np.isfinite(l1.values).all()
    assert set(rate.reason) == {"the classifier says no to bright for all 9 images"}
    assert not predict(answer_flips(blank(2), lit(blank(2), 0)), stub).flipped.any()


def test_repeats_and_unanswered_questions_do_not_count():
    answered = answer_flips(
        blank(4),
        lit(blank(4), 0),
        repeat=[0, 1, 0, 1],
        index=[0, 0, 1, 1],
        answered=[True, True, False, False],
    )
    rate = flip_scores(answered, StubClassifier(bright=pixel(0)))[0]
    assert rate.rows.tolist() == [0, 2]
    predictions = predict(answered, StubClassifier(bright=pixel(0)))
    assert predictions.flipped.tolist() == [True, True, False, False]
    assert predictions.why_none(np.array([2, 3])) == "the method does not answer this question"


def test_an_attribute_that_the_classifier_does_not_predict_is_a_one_line_error():
    answers = answer_flips(blank(1), blank(1), attribute="slanted")
    with pytest.raises(UserError, match="flip slanted, which the classifier does not predict") as caught:
        predict(answers, StubClassifier(bright=pixel(0)))
    assert "\n" not in str(caught.value)


def test_predictions_of_mixed_attributes():
    predictions = {"a": np.array([0.5, 0.9]), "k": np.array([[0.1, 0.2, 0.7], [0.6, 0.3, 0.1]])}
    which = np.array(["a", "k"])
    assert prediction_of(predictions, which).tolist() == [0, 0]
    assert probability_of(predictions, which, np.array([0, 1])).tolist() == [0.5, 0.3]
    assert prediction_of(predictions, np.array(["k", "a"])).tolist() == [2, 1]
