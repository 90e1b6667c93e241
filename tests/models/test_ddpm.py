"""Tests of the diffusion model: the hybrid loss in closed form, complete and resumed trainings."""

import itertools
import json
import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from counterfactory.config import Settings
from counterfactory.core.checkpoint import save_model
from counterfactory.core.errors import UserError
from counterfactory.core.run import Run
from counterfactory.data.dataset import load_split
from counterfactory.diffusion.denoiser import denoiser
from counterfactory.diffusion.parameterisation import Velocity
from counterfactory.diffusion.schedule import linear, respace
from counterfactory.diffusion.steps import q_sample
from counterfactory.models.ddpm.model import build_ddpm, load_ddpm
from counterfactory.models.ddpm.train import DiffusionLoss, stratified_steps, train_ddpm
from counterfactory.nets.likelihood import discretised_gaussian_nll
from counterfactory.training import clock
from tests.diffusion.reference import ancestral
from tests.fixtures.originals import check_value, made, values
from tests.squares import SQUARES

pytest_plugins = ["tests.squares"]

SCHEDULE = linear(40)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def settings(variance: str = "learned", network: dict | None = None, **changed) -> SimpleNamespace:
    ddpm = Settings().models.ddpm
    short = {"steps": 8, "batch_size": 16, "warmup": 2, "valid_every": 4, "precision": "float32"}
    short |= {"optimizer": "adamw", "learning_rate": 0.002}
    return SimpleNamespace(
        network=ddpm.network.model_copy(update={"width": 8, "multipliers": [1], **(network or {})}),
        diffusion=ddpm.diffusion.model_copy(update={"steps": 40, "variance": variance}),
        training=ddpm.training.model_copy(update={**short, **changed}),
    )


# --- the loss


class Stub(nn.Module):
    """Returns a fixed output and records its inputs."""

    def __init__(self, answer) -> None:
        super().__init__()
        self.answer, self.asked = answer, []

    def forward(self, x_t, t):
        self.asked.append((x_t, t))
        return self.answer(x_t, t)


def batch(count: int) -> dict[str, torch.Tensor]:
    return {"images": torch.randint(0, 256, (count, 1, 6, 6), generator=generator(7), dtype=torch.uint8)}


def drawn(count: int):
    """Returns the steps and noise that the loss draws with seed 0, and the noisy images."""
    source = generator()
    index = stratified_steps(count, len(SCHEDULE), source)
    x0 = batch(count)["images"].float() / 127.5 - 1
    noise = torch.randn(x0.shape, generator=source)
    return x0, index, noise, q_sample(SCHEDULE, x0, index, noise)


def test_the_simple_loss_is_the_error_of_the_noise():
    x0, index, noise, x_t = drawn(12)
    model = Stub(lambda x, t: torch.full_like(x, 0.25))
    loss, scores = DiffusionLoss(SCHEDULE, learned=False)(model, batch(12), generator(), 0.0)
    torch.testing.assert_close(loss, (noise - 0.25).square().mean())
    assert scores == {"simple": loss}
    ((asked, t),) = model.asked
    torch.testing.assert_close(asked, x_t)
    assert torch.equal(t, index)


def test_the_error_of_a_velocity():
    x0, index, noise, x_t = drawn(40)
    left = SCHEDULE.alphas_bar[index][:, None, None, None].float()
    model = Velocity(Stub(lambda x, t: torch.full_like(x, 0.25)), SCHEDULE)
    loss, _ = DiffusionLoss(SCHEDULE, learned=False)(model, batch(40), generator(), 0.0)
    truth = left.sqrt() * noise - (1 - left).sqrt() * x0
    torch.testing.assert_close(loss, (truth - 0.25).square().mean(), rtol=1e-4, atol=0)


def test_the_bound_is_that_of_the_gaussians():
    x0, index, noise, x_t = drawn(40)
    model = Stub(lambda x, t: torch.cat([torch.full_like(x, 0.25), torch.tanh(x)], dim=1))
    loss, scores = DiffusionLoss(SCHEDULE, vlb_weight=0.01)(model, batch(40), generator(), 0.0)
    torch.testing.assert_close(loss, scores["simple"] + 0.01 * scores["vlb"])
    assert set(index.tolist()) == set(range(40))
    predicted = denoiser(model, SCHEDULE, clip=False)(x_t, index)
    at = lambda values: values[index][:, None, None, None].float()  # noqa: E731
    mean = at(SCHEDULE.posterior_weight_clean) * x0 + at(SCHEDULE.posterior_weight_noisy) * x_t
    truth = torch.distributions.Normal(mean, at(SCHEDULE.posterior_log_variance).mul(0.5).exp())
    guess = torch.distributions.Normal(predicted.mean, predicted.variance.sqrt())
    terms = torch.distributions.kl_divergence(truth, guess)
    first = index == 0
    terms[first] = discretised_gaussian_nll(x0, predicted.mean, 0.5 * predicted.log_variance)[first]
    torch.testing.assert_close(scores["vlb"], 40 * terms.mean(), rtol=1e-4, atol=1e-4)


def test_the_true_reverse_step_has_no_divergence():
    x0, index, noise, _ = drawn(40)
    model = Stub(lambda x, t: torch.cat([noise, torch.full_like(x, -1.0)], dim=1))
    terms = DiffusionLoss(SCHEDULE)._bound(*bound_arguments(x0, index, noise, model))
    torch.testing.assert_close(terms[index > 0], torch.zeros_like(terms[index > 0]), rtol=0, atol=1e-4)
    assert (terms[index == 0] > 0).all()


def bound_arguments(x0, index, noise, model):
    x_t = q_sample(SCHEDULE, x0, index, noise)
    return x0, x_t, index, model(x_t, index)


def test_the_bound_trains_the_variance_only():
    eps, v = (torch.zeros(40, 1, 6, 6, requires_grad=True) for _ in range(2))
    model = Stub(lambda x, t: torch.cat([eps, v], dim=1))
    grads = []
    for weight in (0.0, 1.0):
        loss, _ = DiffusionLoss(SCHEDULE, vlb_weight=weight)(model, batch(40), generator(), 0.0)
        grads.append(torch.autograd.grad(loss, (eps, v)))
    torch.testing.assert_close(grads[0][0], grads[1][0])
    assert not grads[0][1].any() and grads[1][1].abs().amax((1, 2, 3)).min() > 0


def test_images_are_mirrored_in_training_only():
    x0 = batch(200)["images"].float() / 127.5 - 1
    loss = DiffusionLoss(SCHEDULE, learned=False, mirror=True)
    for training in (True, False):
        model = Stub(lambda x, t: torch.zeros_like(x)).train(training)
        loss(model, batch(200), generator(), 0.0)
        asked, t = model.asked[0]
        clear = t < 3
        straight, turned = ((asked - image)[clear].abs().mean((1, 2, 3)) < 0.3 for image in (x0, x0.flip(3)))
        assert (straight ^ turned).all()
        share = turned.float().mean().item()
        assert 0.1 < share < 0.9 if training else share == 0


@pytest.mark.parametrize(("count", "steps"), [(64, 500), (500, 500), (7, 40), (100, 40)])
def test_steps_are_uniform_and_stratified(count, steps):
    found = torch.stack([stratified_steps(count, steps, generator(seed)) for seed in range(400)])
    assert found.min() == 0 and found.max() == steps - 1
    # One step in each of B equal parts of the schedule.
    low, high = (torch.arange(count) + shift for shift in (0, 1))
    assert (found >= (low * steps / count).floor()).all() and (found <= (high * steps / count).ceil()).all()
    assert found.double().mean().item() == pytest.approx((steps - 1) / 2, rel=0.01)
    assert found.double().std().item() == pytest.approx(steps / math.sqrt(12), rel=0.02)


# --- complete trainings


def test_a_run(squares, tmp_path):
    chosen = settings(steps=100, learning_rate=5e-3, valid_every=25, ema=0.9, network={"width": 16})
    train_ddpm(chosen, Run("ddpm", squares, tmp_path, tmp_path, seed=1))
    meta = json.loads((tmp_path / "model.json").read_text())
    assert meta["model"] == "ddpm" and meta["seed"] == 1 and meta["diffusion"]["steps"] == 40
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    log = [dict(zip(header.split(","), map(float, row.split(",")), strict=True)) for row in rows]
    assert log[-1]["valid_simple"] < 0.6 * log[0]["valid_simple"]
    assert log[-1]["valid_loss"] == pytest.approx(
        log[-1]["valid_simple"] + 0.001 * log[-1]["valid_vlb"], rel=1e-5
    )
    network, schedule = load_ddpm(tmp_path, SQUARES)
    assert meta["parameters"] == sum(p.numel() for p in network.parameters())
    assert not network.training and not any(p.requires_grad for p in network.parameters())
    assert len(schedule) == 40
    # Denoising reduces the distance to the original image for any number of steps.
    x0 = torch.from_numpy(load_split(squares, "test").images.copy()).float() / 127.5 - 1
    noise = torch.randn(x0.shape, generator=generator())
    for short in (schedule, respace(schedule, 10)):
        denoise = denoiser(network, short, learned=network.learned_variance)
        x_t = q_sample(short, x0, len(short) // 3, noise)
        with torch.no_grad():
            assert (denoise(x_t, len(short) // 3).x0 - x0).abs().mean() < 0.5 * (x_t - x0).abs().mean()
            back = ancestral(denoise, x_t, len(short) // 3, lambda step: torch.zeros_like(noise))
        assert (back - x0).abs().mean() < 0.5 * (x_t - x0).abs().mean()


@pytest.mark.parametrize("variance", ["learned", "fixed"])
def test_a_network_that_predicts_velocity_is_used_as_one_that_predicts_noise(squares, tmp_path, variance):
    chosen = settings(variance)
    chosen.diffusion = chosen.diffusion.model_copy(update={"prediction": "velocity"})
    train_ddpm(chosen, Run("ddpm", squares, tmp_path, tmp_path, seed=1))
    network, schedule = load_ddpm(tmp_path, SQUARES, precision="float32")
    x, t = torch.randn(4, 1, 6, 6, generator=generator()), torch.tensor([0, 5, 20, 39])
    with torch.no_grad():
        output, raw = network(x, t), network.network(x, t)
    left = schedule.alphas_bar[t][:, None, None, None].float()
    torch.testing.assert_close(output[:, :1], (1 - left).sqrt() * x + left.sqrt() * raw[:, :1])
    assert torch.equal(output[:, 1:], raw[:, 1:])
    prediction = denoiser(network, schedule, clip=False, learned=network.learned_variance)(x, t)
    torch.testing.assert_close(
        prediction.x0, left.sqrt() * x - (1 - left).sqrt() * raw[:, :1], rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("variance", ["learned", "fixed"])
def test_a_killed_run_continues_to_the_same_bits(squares, tmp_path, monkeypatch, variance):
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=itertools.count(0.0, 30.0).__next__))
    chosen = settings(variance, mirror=True, ema=0.9, network={"dropout": 0.0})
    train_ddpm(chosen, Run("ddpm", squares, tmp_path, tmp_path / "whole", seed=1))
    steps, call = itertools.count(), DiffusionLoss.__call__

    def killed(self, model, *arguments):
        if model.training and next(steps) == 5:
            raise KeyboardInterrupt
        return call(self, model, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(DiffusionLoss, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            train_ddpm(chosen, Run("ddpm", squares, tmp_path, tmp_path / "halved", seed=1))
    train_ddpm(chosen, Run("ddpm", squares, tmp_path, tmp_path / "halved", seed=1))
    whole, halved = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "halved"))
    assert whole == halved
    network, _ = load_ddpm(tmp_path / "whole", SQUARES)
    assert network.learned_variance == (variance == "learned")


def test_networks_that_cannot_be_built_are_refused():
    chosen = settings()
    for network, diffusion, text in (
        ({"patch": 5}, {}, "models.ddpm.network: multipliers"),
        ({}, {"steps": 5}, "models.ddpm.diffusion: a linear schedule needs at least 21 steps"),
        ({}, {"schedule": "square"}, "models.ddpm.diffusion: square: no such schedule"),
    ):
        with pytest.raises(UserError, match=text) as error:
            build_ddpm(SQUARES, {**dict(chosen.network), **network}, {**dict(chosen.diffusion), **diffusion})
        assert "\n" not in str(error.value)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    chosen = settings()
    network, diffusion = dict(chosen.network), dict(chosen.diffusion)
    model, _ = build_ddpm(SQUARES, network, diffusion)
    whole = {"model": "ddpm", "network": network, "diffusion": diffusion}
    save_model(tmp_path, model.state_dict(), whole)
    load_ddpm(tmp_path, SQUARES)
    for meta in (
        {},
        {**whole, "network": {**network, "width": 16}},
        {**whole, "network": {**network, "colour": 3}},
        {**whole, "diffusion": {**diffusion, "variance": "fixed"}},
        {**whole, "diffusion": {"steps": 40}},
    ):
        save_model(tmp_path, model.state_dict(), meta)
        with pytest.raises(UserError, match="of another network or data set|not ddpm"):
            load_ddpm(tmp_path, SQUARES)


def test_most_layers_are_cast(tmp_path):
    chosen = settings()
    model, _ = build_ddpm(SQUARES, dict(chosen.network), dict(chosen.diffusion))
    meta = {"model": "ddpm", "network": dict(chosen.network), "diffusion": dict(chosen.diffusion)}
    save_model(tmp_path, model.state_dict(), meta)
    network, _ = load_ddpm(tmp_path, SQUARES, precision="bfloat16")
    assert network.stem.weight.dtype == torch.bfloat16
    network, _ = load_ddpm(tmp_path, SQUARES, precision="float32")
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("row", values("ddpm_loss")["rows"], ids=lambda row: f"{row['T']}-{row['t']}")
def test_both_terms_of_the_loss_as_published(row):
    """DiME adds bits of single steps at T = 500, which is the weight 0.002885 of our sum over steps in nats."""
    shape = [1, 3, 8, 8]
    x, noise, epsilon = (
        made(name, shape, rule) for name, rule in (("x", "image"), ("noise", "normal"), ("epsilon", "normal"))
    )
    v, index = made("v", shape, "uniform"), torch.tensor([row["t"]])
    loss = DiffusionLoss(linear(row["T"]))
    bound = loss._bound(x, q_sample(loss.schedule, x, index, noise), index, torch.cat([epsilon, v], 1)).mean()
    check_value("ddpm_loss", "mean square", float((epsilon - noise).square().mean()), row["mse"], 1e-4)
    factor = row["T"] / 1000 if row["rescale_learned_sigmas"] else 1.0
    check_value("ddpm_loss", "variational term", factor * float(bound) / math.log(2), row["vb"], 1e-4)
    if row["T"] == 500 and not row["rescale_learned_sigmas"]:
        assert 0.002885 * row["T"] * float(bound) == pytest.approx(row["vb"], rel=3e-4)
