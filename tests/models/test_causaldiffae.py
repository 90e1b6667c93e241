"""Tests of CausalDiffAE: codes and priors in closed form, its loss, partial labels, and a complete training."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.core.errors import UserError
from counterfactory.core.run import Run
from counterfactory.data.dataset import encode_parents
from counterfactory.diffusion.schedule import linear
from counterfactory.models.causaldiffae.model import build_causaldiffae, load_causaldiffae
from counterfactory.models.causaldiffae.network import CodeEncoder, LabelPrior
from counterfactory.models.causaldiffae.train import CausalDiffAELoss, labelled_rows, train_causaldiffae
from tests.models.test_finetune import Tuning
from tests.squares import SQUARES
from tests.training.toys import settings as toy_settings

pytest_plugins = ["tests.squares"]

NETWORK = {
    "width": 8,
    "multipliers": [1, 2],
    "blocks": 1,
    "groups": 1,
    "skips": "level",
    "exposure": ["shade"],
}
CODES = {
    "width": 4,
    "hidden": 8,
    "encoder": [8, 8],
    "form": "recursive",
    "mechanism": "affine",
    "prior": "fixed",
    "prior_scale": 0.5,
}
DIFFUSION = {"schedule": "linear", "steps": 50, "prediction": "velocity"}
OWN = {
    "kl_label": 0.1,
    "kl_noise": 0.1,
    "ramp": 0.0,
    "posterior": "consistent",
    "labels": "given",
    "drop": 0.0,
    "labelled": 1.0,
}


def training(**changed) -> Tuning:
    return Tuning(**{**dict(toy_settings(learning_rate=1e-3)), **OWN, **changed})


def build(**changed):
    torch.manual_seed(0)
    model, schedule = build_causaldiffae(SQUARES, NETWORK, {**CODES, **changed}, DIFFUSION)
    return model.train(), schedule


def batch(count=12, labelled=None) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(0)
    parents = {
        "size": rng.uniform(1, 4, count),
        "shade": rng.uniform(40, 250, count),
        "kind": rng.integers(0, 3, count),
    }
    return {
        "images": torch.from_numpy(rng.integers(0, 256, (count, 1, 6, 6), dtype=np.uint8)),
        "parents": torch.from_numpy(encode_parents(SQUARES, parents)),
        "labelled": torch.ones(count) if labelled is None else labelled,
    }


def loss_of(model, schedule, data, progress=1.0, seed=0, **changed):
    loss = CausalDiffAELoss(schedule, training(**changed))
    value, scores = loss(model, data, torch.Generator().manual_seed(seed), progress)
    return value, {name: float(score) for name, score in scores.items()}


# --- codes and priors


@pytest.mark.parametrize("size", [6, 16, 28, 32, 33])
def test_the_encoder_accepts_any_size(size):
    encoder = CodeEncoder((3, size, size), [4, 8], 5, 6, -2.0)
    mean, log_variance = encoder(torch.randn(2, 3, size, size))
    assert mean.shape == log_variance.shape == (2, 5, 6)
    assert (log_variance == -2.0).all()


def test_the_fixed_prior_is_the_label_in_every_dimension():
    prior = LabelPrior(SQUARES, 4, "fixed", 0.5)
    mean, log_scale = prior(torch.tensor([[0.25, -1.0, 0.0, 1.0, 0.0]]))
    assert mean[0, 0].tolist() == [0.25] * 4 and mean[0, 1].tolist() == [-1.0] * 4
    assert torch.allclose(log_scale, torch.tensor(math.log(0.5)))
    signs = torch.stack([prior(torch.tensor([[0.0, 0.0, *row]]))[0][0, 2] for row in np.eye(3)])
    assert (signs.abs() == 1).all() and torch.equal(signs @ signs.T, 4 * torch.eye(3))


@pytest.mark.parametrize("kind", ["fixed", "learned"])
def test_codes_at_their_priors_mean_show_the_label(kind):
    torch.manual_seed(1)
    prior = LabelPrior(SQUARES, 8, kind, 0.5)
    parents = torch.tensor([[0.25, -1.0, 0.0, 1.0, 0.0], [-0.75, 0.5, 0.0, 0.0, 1.0]])
    shown = prior.read(prior(parents)[0])
    torch.testing.assert_close(shown, torch.tensor([[0.25, -1.0, 1.0], [-0.75, 0.5, 2.0]]), atol=0.01, rtol=0)


@pytest.mark.parametrize("kind", ["fixed", "learned"])
def test_moved_codes_show_the_label_and_keep_their_residual(kind):
    torch.manual_seed(1)
    prior = LabelPrior(SQUARES, 8, kind, 0.5)
    here = torch.tensor([[0.25, -1.0, 0.0, 1.0, 0.0]])
    there = torch.tensor([[-0.5, 0.75, 0.0, 0.0, 1.0]])
    noise = 0.1 * torch.randn(1, 3, 8)
    noise = noise - noise.mean(2, keepdim=True)  # dimensions of the fixed prior without a label
    (mean, log_scale), (mean_there, log_scale_there) = prior(here), prior(there)
    codes = mean + log_scale.exp() * noise
    moved = prior.move(codes, there)
    atol = (
        1e-5 if kind == "fixed" else 0.05
    )  # the label of a learned prior is searched on a grid and is inexact under noise
    torch.testing.assert_close(moved, mean_there + log_scale_there.exp() * noise, atol=atol, rtol=0)
    torch.testing.assert_close(prior.move(moved, here), codes, atol=atol, rtol=0)
    assert prior.encode(prior.read(mean)).allclose(here, atol=0.01)


def test_the_condition_of_the_denoiser():
    """Codes without the variable that acts as exposure, and the indicator."""
    model, _ = build()
    condition = model.condition(torch.full((2, 3, 4), 7.0), torch.tensor([True, False]))
    assert condition.shape == (2, 9)
    assert (condition[0, :8] == 7).all() and condition[0, 8] == 1 and (condition[1] == 0).all()
    assert model.condition(torch.zeros(1, 3, 4))[0, 8] == 1  # codes of zero are not the same as none
    codes = torch.randn(1, 3, 4)
    other = codes.clone()
    other[:, 1] = 9.0
    assert model.condition(codes).equal(model.condition(other))


def test_exposure_is_removed_and_applied_again():
    model, _ = build()
    model.exposure.fill_(0.5)
    x, parents = torch.rand(2, 1, 6, 6) * 2 - 1, torch.tensor([[0.0, 1.0, 1, 0, 0], [0.0, -0.4, 0, 1, 0]])
    developed = model.develop(x, parents)
    torch.testing.assert_close(developed + 1, (x + 1) / torch.tensor([1.5, 0.8])[:, None, None, None])
    torch.testing.assert_close(model.expose(developed, parents), x)


# --- the loss


def test_divergences_in_closed_form():
    """Codes are Gaussian given those of their causes; the likelihood of the mechanisms is that of the labels' codes."""
    model, schedule = build()
    for parameter in model.layer.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    mean, log_variance = torch.randn(3, 3, 4), torch.randn(3, 3, 4) * 0.1
    data = batch(3)
    codes, label, noise = CausalDiffAELoss(schedule, training()).codes(
        model, mean, log_variance, torch.zeros_like(mean), data["parents"]
    )
    torch.testing.assert_close(codes, model.layer(mean))  # no spread
    target, log_scale = model.prior(data["parents"])[0], model.layer.moments(codes)[1]
    assert log_scale[:, 1].all() and not log_scale[:, [0, 2]].any()  # shade alone has a cause
    deviation = log_scale + 0.5 * log_variance
    by_hand = (
        math.log(0.5) - deviation + ((2 * deviation).exp() + (codes - target) ** 2) / (2 * 0.25) - 0.5
    ).sum((1, 2))
    torch.testing.assert_close(label, by_hand)
    shift, log_scale = (moment[:, 1] for moment in model.layer.moments(target))
    likelihood = torch.distributions.Normal(shift, log_scale.exp()).log_prob(target[:, 1]).sum(1)
    torch.testing.assert_close(noise, -likelihood - 4 * 0.5 * math.log(2 * math.pi))


def test_gradients_of_the_mechanisms():
    """Only the likelihood of the labels' codes trains the mechanisms; all other terms train the encoder."""
    model, schedule = build()
    loss_of(model, schedule, batch(), kl_noise=0.0)[0].backward()
    assert not any(p.grad.any() for p in model.layer.parameters() if p.grad is not None)
    assert model.encoder.head.weight.grad.any()


@pytest.mark.parametrize("prediction", ["noise", "velocity"])
def test_the_error_of_velocity_is_that_of_the_noise_over_the_signal(prediction):
    torch.manual_seed(0)
    model, schedule = build_causaldiffae(SQUARES, NETWORK, CODES, {**DIFFUSION, "prediction": prediction})
    seen = {}
    model.denoiser.register_forward_hook(lambda *call: seen.update(t=call[1][1], output=call[2]))
    _, scores = loss_of(model, schedule, batch(), drop=1.0)
    draws = torch.Generator().manual_seed(0)
    torch.rand(12, generator=draws)
    error = (seen["output"] - torch.randn(12, 1, 6, 6, generator=draws)).square().mean((1, 2, 3))
    weight = 1.0 / schedule.alphas_bar[seen["t"]] if prediction == "velocity" else 1.0
    assert scores["simple"] == pytest.approx(float((weight * error).mean()), rel=1e-4)


def test_the_published_divergences():
    model, schedule = build(form="one_shot", mechanism="additive")
    mean, log_variance = torch.randn(3, 3, 4), torch.randn(3, 3, 4) * 0.1
    data, spread = batch(3), torch.ones(3, 3, 4)
    codes, label, noise = CausalDiffAELoss(schedule, training(posterior="published")).codes(
        model, mean, log_variance, spread, data["parents"]
    )
    clean = model.layer(mean)
    torch.testing.assert_close(codes, clean + math.sqrt(0.001) * (0.5 * log_variance).exp())
    torch.testing.assert_close(label, 0.5 * (clean - model.prior(data["parents"])[0]).square().sum((1, 2)))
    torch.testing.assert_close(noise, 0.5 * (log_variance.exp() + mean**2 - 1 - log_variance).sum((1, 2)))


def test_the_ramp():
    model, schedule = build()
    value, scores = loss_of(model, schedule, batch(), progress=0.25, ramp=0.5)
    expected = scores["simple"] + 0.5 * (0.1 * scores["kl_label"] + 0.1 * scores["kl_noise"])
    assert float(value.detach()) == pytest.approx(expected, rel=1e-5)
    assert CausalDiffAELoss(schedule, training(ramp=0.0)).weight(0.0) == 1.0


@pytest.mark.parametrize("changed", [{"labelled": torch.zeros(12)}, {"drop": 1.0}])
def test_a_batch_without_any_label_trains_without_nan(changed):
    model, schedule = build()
    value, scores = loss_of(
        model, schedule, batch(labelled=changed.get("labelled")), drop=changed.get("drop", 0.0)
    )
    value.backward()
    assert math.isfinite(float(value.detach())) and scores["kl_label"] == scores["kl_noise"] == 0
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    assert gradients and all(bool(gradient.isfinite().all()) for gradient in gradients)
    assert all(
        not gradient.any()
        for gradient in (p.grad for p in model.encoder.parameters())
        if gradient is not None
    )


def test_images_without_labels_do_not_condition_the_denoiser():
    model, schedule = build()
    some = (torch.arange(12) < 4).float()
    mixed = loss_of(model, schedule, batch(labelled=some))[1]
    data = batch()
    mean, log_variance = model.encoder(data["images"].float() / 127.5 - 1)
    spread_of = torch.Generator().manual_seed(0)
    torch.rand(12, generator=spread_of), torch.randn(12, 1, 6, 6, generator=spread_of)
    spread = torch.randn(mean.shape, generator=spread_of)
    _, label, _ = CausalDiffAELoss(schedule, training()).codes(
        model, mean, log_variance, spread, data["parents"]
    )
    assert mixed["kl_label"] == pytest.approx(float(label[:4].mean().detach()), rel=1e-4)


def test_labelled_rows_are_a_share_drawn_once():
    few, many = labelled_rows(100, 0.1, 3), labelled_rows(100, 0.4, 3)
    assert int(few.sum()) == 10 and int(many.sum()) == 40 and (many | ~few).all()
    assert not few.equal(labelled_rows(100, 0.1, 4)) and labelled_rows(9, 1.0, 0).all()


# --- building and complete trainings


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match=r"models\.causaldiffae\.network"):
        build_causaldiffae(SQUARES, {**NETWORK, "multipliers": [1, 2, 3]}, CODES, DIFFUSION)
    with pytest.raises(UserError, match=r"models\.causaldiffae\.diffusion"):
        build_causaldiffae(SQUARES, NETWORK, CODES, {**DIFFUSION, "steps": 5})


@pytest.mark.parametrize("changed", [{}, {"prior": "learned"}, {"form": "one_shot", "mechanism": "additive"}])
def test_a_trained_model_is_loaded(squares, tmp_path, changed):
    posterior = "published" if changed.get("form") else "consistent"
    settings = SimpleNamespace(
        network=NETWORK,
        codes={**CODES, **changed},
        diffusion=DIFFUSION,
        training=training(steps=4, batch_size=16, drop=0.2, labelled=0.5, ramp=0.5, posterior=posterior),
    )
    train_causaldiffae(settings, Run("causaldiffae", squares, tmp_path, tmp_path))
    model, schedule = load_causaldiffae(tmp_path, SQUARES, precision="float32")
    assert len(schedule) == len(linear(50)) and not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
    other = SQUARES.__class__(**{**SQUARES.__dict__, "variables": SQUARES.variables[:2]})
    with pytest.raises(UserError, match="another network or data set"):
        load_causaldiffae(tmp_path, other)


def test_a_short_training_aligns_codes_with_labels(squares, tmp_path):
    """After two hundred steps on squares, the code of size shows the size."""
    from counterfactory.data.dataset import load_split

    settings = SimpleNamespace(
        network=NETWORK,
        codes=CODES,
        diffusion=DIFFUSION,
        training=training(steps=150, batch_size=32, learning_rate=5e-3, valid_every=150),
    )
    train_causaldiffae(settings, Run("causaldiffae", squares, tmp_path, tmp_path))
    model, _ = load_causaldiffae(tmp_path, SQUARES, precision="float32")
    test = load_split(squares, "test")
    with torch.no_grad():
        codes = model.layer(model.encoder(torch.from_numpy(np.array(test.images)).float() / 127.5 - 1)[0])
    shown = model.prior.read(codes).numpy()
    true = encode_parents(SQUARES, test.attributes)
    assert np.corrcoef(shown[:, 1], true[:, 1])[0, 1] > 0.9
