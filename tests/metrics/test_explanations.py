"""Identity, MNAC, CD, diversity and COUT: cases that can be checked by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from counterfactory.metrics.correlation import correlation_difference, correlation_scores, correlations
from counterfactory.metrics.cout import cout, cout_scores, transitions
from counterfactory.metrics.diversity import diversity_scores, repeats_of
from counterfactory.metrics.identity import identity_scores, similarity
from counterfactory.metrics.jpeg import jpeg_round_trip
from counterfactory.metrics.mnac import changed, mnac_scores
from counterfactory.metrics.predictions import NOT_FLIPPED
from tests.metrics.flips import StubClassifier, answer_flips, blank, lit, pixel

BOOTSTRAP = SimpleNamespace(resamples=50, level=0.95, seed=0)
CLASSIFIER = StubClassifier(bright=pixel(0))
ORACLE = StubClassifier(bright=pixel(0), thick=pixel(1), tall=pixel(2))


def test_similarity_is_the_cosine():
    first, second = np.array([[3.0, 4.0], [1.0, 0.0]]), np.array([[6.0, 8.0], [0.0, 2.0]])
    np.testing.assert_allclose(similarity(first, second), [1.0, 0.0])


def test_only_flipped_answers_have_identity_scores():
    def embed(images):
        return np.stack([images[:, 0, 1, 0] + 1.0, images[:, 0, 2, 0] + 0.0], axis=1)

    images = np.concatenate([lit(blank(1), 0), lit(lit(blank(1), 0), 2, level=2), blank(1)])
    fva, fs = identity_scores(answer_flips(blank(3), images), CLASSIFIER, embed, threshold=0.5)
    np.testing.assert_allclose(fs.values, [1.0, 1 / np.sqrt(5), np.nan])
    np.testing.assert_array_equal(fva.values, [1.0, 0.0, np.nan])
    assert fva.reason[2] == NOT_FLIPPED


def test_a_perfect_edit_changes_one_attribute():
    one, other = answer_flips(blank(2), lit(blank(2), 0)), lit(lit(blank(2), 0), 1)
    assert mnac_scores(one, CLASSIFIER, ORACLE)[0].values.tolist() == [1.0, 1.0]
    both = answer_flips(blank(2), other)
    assert mnac_scores(both, CLASSIFIER, ORACLE)[0].values.tolist() == [2.0, 2.0]


def test_classes_count_as_one_attribute():
    assert changed(
        {"a": np.array([0, 1]), "k": np.array([3, 3])}, {"a": np.array([1, 1]), "k": np.array([8, 3])}
    ).tolist() == [2.0, 0.0]


def test_without_flips_all_scores_are_missing_with_the_reason():
    copies = answer_flips(blank(3), blank(3))
    scores = [
        *identity_scores(copies, CLASSIFIER, lambda x: None, 0.5),
        mnac_scores(copies, CLASSIFIER, ORACLE)[0],
    ]
    for score in scores:
        assert np.isnan(score.values).all() and set(score.reason) == {NOT_FLIPPED}
    (cd,) = correlation_scores(copies, CLASSIFIER, ORACLE, np.eye(3), BOOTSTRAP)
    assert np.isnan(cd.value) and cd.n == 0 and NOT_FLIPPED in cd.reason


def test_correlations_are_pearsons():
    values = np.random.default_rng(0).integers(0, 2, (50, 4)).astype(float)
    np.testing.assert_allclose(correlations(values), np.corrcoef(values.T))
    np.testing.assert_allclose(correlations(values, 2), np.corrcoef(values.T)[2])
    assert np.isnan(correlations(np.array([[1.0, 0.1], [0.0, 0.1], [1.0, 0.1]]), 0)).tolist() == [False, True]


def test_changes_with_the_correlations_of_the_labels_have_no_difference():
    labels = np.random.default_rng(1).integers(0, 2, (200, 3)).astype(float)
    labels[:150, 1] = labels[:150, 0]
    train = correlations(labels)
    # Differences between random pairs of labels have the same correlations as the labels.
    rows = np.random.default_rng(2).integers(0, 200, (2, 20_000))
    changes = labels[rows[0]] - labels[rows[1]]
    assert correlation_difference(changes, train[0], 0) < 0.05
    # Changes equal to the labels have exactly the same correlations.
    assert correlation_difference(labels, train[0], 0) == pytest.approx(0.0, abs=1e-12)


def test_correlation_difference_by_hand():
    changes = [[1, 1, 0], [1, 1, 0], [-1, -1, 0], [-1, 1, 0]]
    # r(q, 1) = 1 / sqrt(3); the last attribute never changes.
    assert correlation_difference(changes, np.array([1.0, 0.25, -0.5]), 0) == pytest.approx(
        abs(0.25 - 1 / np.sqrt(3)) + 0.5
    )
    assert np.isnan(correlation_difference(changes, np.array([1.0, 0.25, -0.5]), 0, "nan"))


def test_correlation_difference_has_n_and_an_interval():
    factual = np.concatenate([blank(20), lit(blank(20), 0)])
    images = np.concatenate([lit(blank(20), 0), blank(20)])
    images[::4, 0, 1, 0] = 255
    train = np.array([[1.0, 0.5, 0.0], [0.5, 1.0, 0.0], [0.0, 0.0, 1.0]])
    (score,) = correlation_scores(answer_flips(factual, images), CLASSIFIER, ORACLE, train, BOOTSTRAP)
    assert score.metric == "cd" and score.n == 40 and score.reason == "" and score.group == ("bright", "", 1)
    assert score.value == pytest.approx(0.5) and 0.0 <= score.low < score.value < score.high
    (score,) = correlation_scores(answer_flips(factual, images), CLASSIFIER, ORACLE, train, BOOTSTRAP, "nan")
    assert np.isnan(score.value) and "1 of 3 attributes never change" in score.reason
    (score,) = correlation_scores(answer_flips(blank(9), images[:9]), CLASSIFIER, ORACLE, train, BOOTSTRAP)
    assert np.isnan(score.value) and "alike in all 9" in score.reason


class Lpips:
    """A stand-in for the network."""


def test_identical_repeats_have_no_spread(monkeypatch):
    monkeypatch.setattr(
        "counterfactory.metrics.diversity.lpips_distance",
        lambda model, a, b: np.abs(a.astype(float) - b).sum((1, 2, 3)),
    )
    images = lit(blank(9), 0)
    images[3:6, 0, 1, 1] = [0, 1, 3]  # pairs at 1, 2, 3
    images[7, 0, 0, 0] = 0  # one repeat of three does not flip
    answered = answer_flips(blank(9), images, repeat=[0, 1, 2] * 3, index=np.repeat([0, 1, 2], 3))
    assert [rows.tolist() for rows in repeats_of(answered)] == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    (score,) = diversity_scores(answered, CLASSIFIER, Lpips())
    np.testing.assert_array_equal(score.values, [0.0, 2.0, np.nan])
    assert score.rows.tolist() == [0, 3, 6] and score.reason.tolist() == [
        "",
        "",
        "some repeats flipped and some did not",
    ]
    (score,) = diversity_scores(answer_flips(blank(2), lit(blank(2), 0)), CLASSIFIER, Lpips())
    assert np.isnan(score.values).all() and "asked once" in score.reason


def test_pixels_are_ranked_by_their_change():
    images = np.array([[[[0, 5], [9, 5]]]], dtype=np.uint8)
    place, portion = transitions(np.zeros_like(images), images)
    assert place.tolist() == [[3, 1, 0, 2]] and portion == 1
    assert transitions(np.zeros((1, 3, 32, 32), np.uint8), np.ones((1, 3, 32, 32), np.uint8))[1] == 20


def test_cout_of_a_step_function():
    # 100 pixels, two per portion. One pixel flips the classifier: it is replaced first, in the middle, or never.
    factual, images = blank(3, 10), blank(3, 10)
    images[:, 0, 5:] = 100  # 50 pixels change
    images[0, 0, 0, 0] = 255  # the first of all
    images[1, 0, 0, 0] = 99  # after those 50, so its rank is 50
    step = StubClassifier(bright=lambda x: (x[:, 0, 0, 0] > 50).astype(float))
    found = cout(factual, images, step, np.array(["bright"] * 3), np.zeros(3, int), np.ones(3, int))
    # The curve rises from -1 to 1 within one portion of 0.02, whose middle is at 0.01 or 0.51.
    np.testing.assert_allclose(found, [0.98, -0.02, -1.0])


def test_cout_skips_wrong_predictions_and_later_questions():
    answered = answer_flips(blank(3), lit(blank(3), 0), label=[0, 1, 0])
    (score,) = cout_scores(answered, CLASSIFIER, questions=2)
    assert score.rows.tolist() == [0, 1] and score.values[0] > 0.9 and np.isnan(score.values[1])
    assert score.reason[1] == "the classifier is wrong about the factual image"
    (score,) = cout_scores(answer_flips(blank(3), blank(3)), CLASSIFIER, questions=9)
    assert score.values.tolist() == [-1.0] * 3  # answers that did not flip are scored


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_keeps_shape_and_flat_images(channels):
    images = np.random.default_rng(0).integers(0, 256, (3, channels, 16, 16), dtype=np.uint8)
    back = jpeg_round_trip(images)
    assert back.shape == images.shape and back.dtype == np.uint8 and (back != images).any()
    flat = np.full((1, channels, 16, 16), 128, dtype=np.uint8)
    np.testing.assert_array_equal(jpeg_round_trip(flat), flat)
