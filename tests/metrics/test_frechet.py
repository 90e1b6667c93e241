"""Distances between sets: closed forms for normal distributions, split distances, too few images."""

from types import SimpleNamespace

import numpy as np
import pytest

from counterfactory.metrics.bootstrap import bootstrap_statistic
from counterfactory.metrics.fid import fid_scores
from counterfactory.metrics.frechet import frechet_distance, kernel_distance, split_frechet_distance
from counterfactory.metrics.jpeg import jpeg_round_trip
from counterfactory.metrics.oracle_frechet import oracle_frechet_scores
from tests.metrics.flips import StubClassifier, answer_flips, lit, pixel


def with_moments(mean, covariance, count, seed=0):
    """Returns features whose sample mean and covariance are exactly these."""
    draws = np.random.default_rng(seed).normal(size=(count, len(mean)))
    draws -= draws.mean(0)
    whitened = draws @ np.linalg.inv(np.linalg.cholesky(np.cov(draws.T))).T
    return whitened @ np.linalg.cholesky(covariance).T + mean


def test_identical_sets_have_distance_zero():
    for count in (10, 100):  # fewer and more images than features
        features = np.random.default_rng(0).normal(size=(count, 30))
        assert frechet_distance(features, features[::-1]) == pytest.approx(0.0, abs=1e-9)


def test_normal_distributions_have_a_closed_form():
    first = with_moments(np.array([0.0, 1.0]), np.diag([4.0, 9.0]), 50)
    second = with_moments(np.array([3.0, 1.0]), np.diag([1.0, 16.0]), 70, seed=1)
    assert frechet_distance(first, second) == pytest.approx(9.0 + (2 - 1) ** 2 + (3 - 4) ** 2)
    # Covariances that do not commute: for 2 x 2, tr(M^1/2) = sqrt(tr M + 2 sqrt(det M)), M their product.
    a, b = np.array([[2.0, 0.6], [0.6, 1.0]]), np.array([[1.0, -0.4], [-0.4, 3.0]])
    mixed = np.sqrt(np.trace(a @ b) + 2 * np.sqrt(np.linalg.det(a @ b)))
    found = frechet_distance(with_moments(np.zeros(2), a, 40), with_moments(np.zeros(2), b, 40, seed=1))
    assert found == pytest.approx(np.trace(a) + np.trace(b) - 2 * mixed)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_equals_pytorch_fid_if_well_conditioned():
    from counterfactory.pretrained.inception import _package

    _package()
    fid_score = pytest.importorskip("pytorch_fid.fid_score")
    rng = np.random.default_rng(0)
    sets = [rng.normal(size=(300, 20)) @ rng.normal(size=(20, 20)) + rng.normal(size=20) for _ in range(2)]
    moments = [(x.mean(0), np.cov(x, rowvar=False)) for x in sets]
    expected = fid_score.calculate_frechet_distance(*moments[0], *moments[1])
    assert frechet_distance(*sets) == pytest.approx(expected, rel=1e-8)


def test_fewer_images_than_features_is_the_same_formula():
    rng = np.random.default_rng(0)
    first, second = rng.normal(size=(6, 40)), rng.normal(size=(9, 40))
    sigma = [np.cov(x, rowvar=False) for x in (first, second)]
    values, vectors = np.linalg.eigh(sigma[0])
    root = vectors @ np.diag(np.sqrt(np.clip(values, 0, None))) @ vectors.T
    mixed = np.sqrt(np.clip(np.linalg.eigvalsh(root @ sigma[1] @ root), 0, None)).sum()
    expected = ((first.mean(0) - second.mean(0)) ** 2).sum() + np.trace(sigma[0] + sigma[1]) - 2 * mixed
    assert frechet_distance(first, second) == pytest.approx(expected, abs=1e-5)
    with pytest.raises(ValueError, match="two images"):
        frechet_distance(first[:1], second)


def test_halves_share_no_content():
    # Every answer equals its factual image: the distance is 0, the split distance is not.
    real = np.random.default_rng(0).normal(size=(40, 5))
    pairs = np.arange(40)
    assert frechet_distance(real, real) == pytest.approx(0.0, abs=1e-9)
    found = split_frechet_distance(real, real, pairs, 10, seed=0)
    assert found > 0.1 and found == split_frechet_distance(real, real, pairs, 10, seed=0)
    # One shuffle is the mean of its two halves.
    seen = []
    from counterfactory.core.noise import generator

    order = generator(3, "halves", 0).permutation(40)
    for one, other in ((order[:20], order[20:]), (order[20:], order[:20])):
        seen.append(frechet_distance(real[one], real[other]))
    assert split_frechet_distance(real, real, pairs, 1, seed=3) == pytest.approx(np.mean(seen))
    assert np.isnan(split_frechet_distance(real[:3], real[:3], pairs[:3], 1, seed=0))


def test_kernel_distance_is_unbiased_and_detects_a_shift():
    rng = np.random.default_rng(0)
    same = [kernel_distance(rng.normal(size=(20, 8)), rng.normal(size=(20, 8))) for _ in range(300)]
    assert abs(np.mean(same)) < 4 * np.std(same) / np.sqrt(300) and min(same) < 0
    assert kernel_distance(rng.normal(size=(50, 8)), rng.normal(size=(50, 8)) + 1.0) > max(same)
    # By hand, with one feature: k(x, y) = (x y + 1)^3, pairs of an image with itself left out.
    real, made = np.array([[0.0], [1.0]]), np.array([[1.0], [2.0]])
    assert kernel_distance(real, made) == pytest.approx(1 + 27 - 2 * (1 + 1 + 8 + 27) / 4)
    assert kernel_distance(real, made, np.array([0, 1])) == pytest.approx(1 + 27 - 2 * (1 + 8) / 2)


def test_the_interval_contains_the_statistic():
    values = np.random.default_rng(0).normal(size=200)

    def spread(rows):
        return np.unique(values[rows]).std() + len(
            np.unique(rows)
        )  # grows with the number of distinct members

    low, high = bootstrap_statistic(spread, 200, 300)
    assert low < spread(np.arange(200)) < high
    low, high = bootstrap_statistic(lambda rows: values[rows].mean(), 200, 2000, seed=1)
    half = 1.96 * values.std() / np.sqrt(200)
    assert low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert high == pytest.approx(values.mean() + half, abs=0.1 * half)
    assert np.isnan(bootstrap_statistic(lambda rows: np.nan, 5, 10)).all()


SETTINGS = SimpleNamespace(images=40, least=5, real="flipped", shuffles=3, jpeg=False)
CLASSIFIER = StubClassifier(bright=pixel(0))


def features(images):
    return images[:, 0, :2, :3].reshape(-1, 6).astype(np.float64)


def some_images(count, seed=0):
    images = np.random.default_rng(seed).integers(0, 100, (count, 1, 4, 4), dtype=np.uint8)
    return images


def test_fid_is_of_flipped_answers_and_has_their_number():
    factual = some_images(60)
    images = lit(factual, 0, level=200)
    images[7] = factual[7]  # does not flip
    real = dict(enumerate(features(factual)))
    seen = []

    def embed(x):
        seen.append(len(x))
        return features(x)

    fid, sfid, kid = fid_scores(answer_flips(factual, images), CLASSIFIER, real, embed, SETTINGS)
    assert [m.metric for m in (fid, sfid, kid)] == ["fid", "sfid", "kid"] and seen == [39]
    assert fid.n == sfid.n == kid.n == 39 and "39 images" in fid.reason and not kid.reason
    kept = np.delete(np.arange(40), 7)
    assert fid.value == pytest.approx(frechet_distance(features(factual[kept]), features(images[kept])))
    every = SimpleNamespace(**vars(SETTINGS) | {"real": "all"})
    fid = fid_scores(answer_flips(factual, images), CLASSIFIER, real, features, every)[0]
    assert fid.value == pytest.approx(frechet_distance(features(factual[:40]), features(images[kept])))
    compressed = SimpleNamespace(**vars(SETTINGS) | {"jpeg": True})
    fid = fid_scores(answer_flips(factual, images), CLASSIFIER, real, features, compressed)[0]
    made = features(jpeg_round_trip(images[kept]))
    assert (made != features(images[kept])).any()
    assert fid.value == pytest.approx(frechet_distance(features(factual[kept]), made))


def test_too_few_flips_are_not_embedded():
    def never(images):
        raise AssertionError("embedded")

    factual = some_images(10)
    four = np.concatenate([lit(factual[:4], 0), factual[4:]])
    for images, reason in ((factual, "did not flip for any"), (four, "4 of 10")):
        scores = fid_scores(answer_flips(factual, images), CLASSIFIER, {}, never, SETTINGS)
        assert all(np.isnan(score.value) and score.n == 0 and reason in score.reason for score in scores)


def test_oracle_frechet_requires_more_images_than_features():
    oracle = SimpleNamespace(embed=features)
    bootstrap = SimpleNamespace(resamples=20, level=0.9, seed=0)
    factual = some_images(30)
    images = lit(factual, 0, level=200)
    (score,) = oracle_frechet_scores(answer_flips(factual, images), CLASSIFIER, oracle, bootstrap)
    assert score.n == 30 and score.low < score.value < score.high and "30 images" in score.reason
    assert score.value == pytest.approx(frechet_distance(features(factual), features(images)))
    (score,) = oracle_frechet_scores(answer_flips(factual[:6], images[:6]), CLASSIFIER, oracle, bootstrap)
    assert np.isnan(score.value) and "6 images; the covariance of 6 features" in score.reason
    (score,) = oracle_frechet_scores(answer_flips(factual, factual), CLASSIFIER, oracle, bootstrap)
    assert np.isnan(score.value) and "did not flip" in score.reason
