import numpy as np
import pytest
import torch
from scipy import stats

from counterfactory.scm.gumbel import gumbel_max, gumbel_noise, gumbel_posterior

ROWS = 20_000


def gumbels(rows: int, classes: int, seed: int) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).gumbel(size=(rows, classes)))


def classes_of(logits: torch.Tensor, rows: int, seed: int) -> torch.Tensor:
    return gumbel_max(logits, gumbels(rows, logits.shape[-1], seed))


@pytest.mark.parametrize("classes", [2, 3, 10])
@pytest.mark.parametrize("spread", [0.0, 1.0, 10.0, 1000.0])
def test_noise_always_returns_the_observed_class(classes, spread):
    logits = spread * torch.randn(
        ROWS, classes, generator=torch.Generator().manual_seed(0), dtype=torch.float64
    )
    # Uniform, so that classes of very small probability are observed too.
    observed = torch.randint(classes, (ROWS,), generator=torch.Generator().manual_seed(1))
    noise = gumbel_posterior(logits, observed, gumbels(ROWS, classes, 2))
    assert noise.isfinite().all()
    assert (gumbel_max(logits, noise) == observed).all()
    # Also if the logits are computed again with different rounding.
    again = logits * (1.0 + 1e-13)
    assert (gumbel_max(again, noise) == observed).all()


def test_noise_of_classes_drawn_from_the_prior_is_standard_gumbel():
    logits = torch.tensor([1.0, -2.0, 0.0, 0.5], dtype=torch.float64)
    observed = classes_of(logits, ROWS, 3)
    noise = gumbel_posterior(logits, observed, gumbels(ROWS, 4, 4)).numpy()
    for k in range(4):
        assert stats.kstest(noise[:, k], "gumbel_r").pvalue > 0.01
    correlations = np.corrcoef(noise.T) - np.eye(4)
    assert np.abs(correlations).max() < 4 / np.sqrt(ROWS)


def test_the_maximum_does_not_depend_on_the_class():
    logits = torch.tensor([2.0, 0.0, -1.0], dtype=torch.float64)
    shift = float(logits.logsumexp(0))
    for k in range(3):
        noise = gumbel_posterior(logits, torch.full((ROWS,), k), gumbels(ROWS, 3, 5 + k))
        top = (logits + noise).amax(-1).numpy()
        assert stats.kstest(top, stats.gumbel_r(loc=shift).cdf).pvalue > 0.01


def test_adding_a_constant_to_the_logits_changes_nothing():
    logits = torch.randn(50, 5, generator=torch.Generator().manual_seed(8), dtype=torch.float64)
    observed, drawn = torch.arange(50) % 5, gumbels(50, 5, 9)
    noise = gumbel_posterior(logits, observed, drawn)
    torch.testing.assert_close(gumbel_posterior(logits + 7.0, observed, drawn), noise)


def test_counterfactual_class_of_two_has_its_closed_form():
    # With two classes the difference of the noises is logistic, so P(y* = 0 | y = 1) = 1 - s(d*) / s(d) for d* < d.
    before, after = torch.tensor([0.0, 1.5]).double(), torch.tensor([0.0, -0.5]).double()
    noise = gumbel_posterior(before, torch.ones(ROWS, dtype=torch.int64), gumbels(ROWS, 2, 10))
    flipped = (gumbel_max(after, noise) == 0).double().mean()
    expected = 1.0 - torch.sigmoid(after[1]) / torch.sigmoid(before[1])
    assert abs(float(flipped - expected)) < 4 * np.sqrt(0.25 / ROWS)


def test_interventional_distribution_follows_from_the_posterior():
    # The law of total probability: abduct from the prior's classes, predict under new logits, get the new prior.
    before, after = torch.tensor([1.0, 0.0, -1.0]).double(), torch.tensor([-1.0, 0.3, 0.8]).double()
    noise = gumbel_posterior(before, classes_of(before, ROWS, 11), gumbels(ROWS, 3, 12))
    counts = torch.bincount(gumbel_max(after, noise), minlength=3).numpy()
    assert stats.chisquare(counts, after.softmax(-1).numpy() * ROWS).pvalue > 0.01


def test_a_class_gives_way_only_to_one_whose_odds_rose():
    before = torch.tensor([0.0, 1.0, 0.5, -0.5], dtype=torch.float64)
    after = torch.tensor([0.2, 1.0, 2.0, -1.0], dtype=torch.float64)
    observed = classes_of(before, ROWS, 13)
    then = gumbel_max(after, gumbel_posterior(before, observed, gumbels(ROWS, 4, 14)))
    gain = after - before
    moved = then != observed
    assert moved.any()
    assert (gain[then[moved]] > gain[observed[moved]]).all()


def test_noise_is_a_function_of_the_rows_own_seed():
    noise = gumbel_noise([5, 6, 7], 4, "abduction", "digit")
    assert torch.equal(gumbel_noise([6], 4, "abduction", "digit")[0], noise[1])
    assert not torch.equal(gumbel_noise([6], 4, "abduction", "kind")[0], noise[1])
    assert stats.kstest(gumbel_noise(range(500), 4).flatten().numpy(), "gumbel_r").pvalue > 0.01
