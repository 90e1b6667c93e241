"""Tests of counterfactual fine-tuning: interventions, gradients of the Lagrangian, complete and resumed runs."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.distributions import Categorical, Normal

from counterfactory.config import Settings
from counterfactory.core.errors import UserError
from counterfactory.core.run import Run
from counterfactory.data.dataset import encode_parents, load_split
from counterfactory.methods.dscm import counterfactual_image
from counterfactory.models.image import finetune as module
from counterfactory.models.image.finetune import CounterfactualLoss, finetune, intervene, nelbo
from counterfactory.models.image.model import load_image_mechanism
from counterfactory.models.image.sharpness import fit_sharpness
from counterfactory.models.image.train import train_image_mechanism
from counterfactory.models.judges.model import Judge, load_judge
from counterfactory.models.judges.train import train_judge
from counterfactory.scm.fit import fit_scm, load_scm
from counterfactory.training import clock
from tests.models.test_image_mechanism import settings as image_settings
from tests.squares import SQUARES

pytest_plugins = ["tests.squares"]


class Tuning(SimpleNamespace):
    """Settings that can be converted to a dictionary, as those of the configuration."""

    def __iter__(self):
        return iter(vars(self).items())


def settings(**changed) -> Tuning:
    training = dict(image_settings().training)
    training |= {"optimizer": "adamw"}
    short = {"steps": 6, "batch_size": 16, "valid_every": 3, "learning_rate": 1e-3, "clip": 1e9, "skip": 1e9}
    own = {"damping": 10.0, "multiplier_rate": 0.1, "intervene": "batch", "constraint": "image", "slack": 0.0}
    own |= {"categorical_weight": 1.0}
    return Tuning(**{**training, **short, **own, **changed})


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A data set of squares with all models that fine-tuning requires."""
    from tests import squares

    root = tmp_path_factory.mktemp("finetune")
    data = squares.squares.__wrapped__(root)
    fit_scm(
        SimpleNamespace(steps=20, bins=2, hidden=[4]),
        Run("scm", data, root / "models/scm/seed3", root / "models/scm/seed3", seed=0),
    )
    base = Run("hvae", data, root, root / "models/hvae/seed3")
    # Corrections of answers are not part of the loss. Moments of centred latents would follow the batches.
    plain = {"centred": False, "transport": False, "levels": False, "calibrate": False, "debias": 0.0}
    train_image_mechanism(image_settings(plain, steps=30, learning_rate=1e-2, optimizer="adamw"), base)
    judging = Settings().judges
    quick = judging.training.model_copy(
        update={
            "steps": 150,
            "batch_size": 64,
            "valid_every": 75,
            "optimizer": "adamw",
            "learning_rate": 1e-2,
            "precision": "float32",
        }
    )
    for name in SQUARES.names:
        predictor = judging.model_copy(update={"width": 4, "shift": 0, "training": quick})
        out = root / "models/predictors" / name
        train_judge(predictor, Run(f"predictors/{name}", data, root / "models", out))
    return SimpleNamespace(
        data=data,
        models=root / "models",
        parents=root / "models/scm/seed3",
        start=root / "models/hvae/seed3",
        predictors=root / "models/predictors",
    )


def tune(world, out, **changed) -> None:
    section = SimpleNamespace(training=settings(**changed))
    finetune(section, Run("hvae_ft", world.data, world.models, out, seed=3))


def values_of(table) -> torch.Tensor:
    return torch.from_numpy(np.stack([table[name].to_numpy(np.float64) for name in SQUARES.names], axis=1))


# --- interventions


@pytest.mark.parametrize("each", ["batch", "image"])
def test_an_intervention_sets_one_parent_to_the_value_of_another_image_and_changes_its_effects(world, each):
    table = load_split(world.data, "valid").attributes
    values, factual = values_of(table), torch.from_numpy(encode_parents(SQUARES, table))
    scm = load_scm(world.parents, SQUARES)
    seen = set()
    for seed in range(12):
        after = intervene(SQUARES, scm, values, each, torch.Generator().manual_seed(seed))
        changed = torch.stack([after[:, :1] != factual[:, :1], after[:, 1:2] != factual[:, 1:2]]).squeeze(2)
        kinds = (after[:, 2:] != factual[:, 2:]).any(1)
        # Size causes shade; shade and kind have no effects. All shades differ, so that any change is detected.
        assert (changed[1] | ~changed[0]).all() and not (kinds & changed.any(0)).any()
        if each == "batch":
            touched = (
                "size" * bool(changed[0].any()),
                "shade" * bool(changed[1].any()),
                "kind" * bool(kinds.any()),
            )
            assert not (touched[2] and (touched[0] or touched[1]))
            seen.add(touched)
            sets = [
                after[:, column].sort().values.equal(factual[:, column].sort().values) for column in (0, 1)
            ]
            assert sets[0] and after[:, 2:].sum(0).equal(factual[:, 2:].sum(0))
        else:
            assert kinds.any() and changed[1].any()
    if each == "batch":
        assert len(seen) >= 3


def test_an_intervention_is_a_function_of_the_generator(world):
    values = values_of(load_split(world.data, "valid").attributes)
    scm = load_scm(world.parents, SQUARES)
    one, other, third = (
        intervene(SQUARES, scm, values, "image", torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)
    )
    assert one.equal(other) and not one.equal(third)


# --- the loss


def test_nelbo_is_the_elbo_of_the_network(world):
    model = load_image_mechanism(world.start, SQUARES)
    x = torch.rand(8, 1, 6, 6).mul(255).round() / 127.5 - 1
    parents = torch.randn(8, SQUARES.width)
    noise = [torch.randn(8, *shape) for shape in model.noise_shapes]
    with torch.no_grad():
        each, z, location, _ = nelbo(model, x, parents, noise)
        nll, kl, _ = model.elbo(x, parents, noise)
    assert each.shape == (8,) and location.shape == x.shape and len(z) == len(noise)
    assert float(each.mean()) == pytest.approx(float(nll + kl), rel=1e-5)


def test_predictors_receive_the_image_of_the_answer(world, monkeypatch):
    """The loss sharpens instead of the head: x* is the image of the method, and F is the NELBO of the mean."""
    x = torch.rand(8, 1, 6, 6).mul(255).round() / 127.5 - 1
    before, after = torch.randn(2, 8, SQUARES.width)
    answering = load_image_mechanism(world.start, SQUARES)
    answering.head.sharpness.fill_(1.5)
    noise = [torch.randn(8, *shape) for shape in answering.noise_shapes]
    answer = counterfactual_image(answering, x, before, after, noise)

    tuned = load_image_mechanism(world.start, SQUARES)
    tuned.head.sharpness.fill_(1.5)
    assert module._remove_sharpness(tuned.head) == 1.5
    monkeypatch.setattr(module, "draw_noise", lambda *_: noise)
    monkeypatch.setattr(module, "intervene", lambda *_: after)
    monkeypatch.setattr(module, "to_pixels", lambda images: images)
    seen = []
    watching = SimpleNamespace(
        variable=SQUARES.variables[0],
        context=(),
        model=lambda images, context: seen.append(images) or Normal(images.mean((1, 2, 3)), torch.ones(8)),
    )
    loss = CounterfactualLoss(settings(), SQUARES, None, {"size": watching}, sharpness=1.5)
    batch = {"images": x, "parents": before, "values": None, "allowed": torch.zeros(8)}
    with torch.no_grad():
        _, scores = loss(tuned, batch, torch.Generator(), 1.0)
        plain = sum(part for part in tuned.elbo(x, before, noise)[:2])
    torch.testing.assert_close(seen[0], answer)
    assert float(scores["nelbo"]) == pytest.approx(float(plain), rel=1e-5)


class Whole(nn.Module):
    """A mechanism that predicts a constant image: parents[0] times a weight, plus the residual."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.5))
        self.multiplier = nn.Parameter(torch.tensor(0.3))
        self.noise_shapes = [(1,)]

    def predict(self, z, parents):
        location = (self.weight * parents[:, 0])[:, None, None, None].expand(-1, 1, 2, 2)
        return location, torch.zeros_like(location)


def lagrangian(monkeypatch, excess: float, model: Whole, **changed):
    """Returns the loss for a NELBO that exceeds its bound by `excess`, with gradient 1 in the weight."""

    def constant(model, x, parents, noise):
        location, log_scale = model.predict(noise, parents)
        cost = torch.full((len(x),), excess) + (model.weight - model.weight.detach())
        return cost, noise, location, log_scale

    monkeypatch.setattr(module, "nelbo", constant)
    monkeypatch.setattr(module, "intervene", lambda *_: torch.full((4, SQUARES.width), 0.25))
    mean_predictor = SimpleNamespace(
        variable=SimpleNamespace(classes=0),
        context=(),
        model=lambda x, context: Normal(x.mean((1, 2, 3)), torch.ones(len(x))),
    )
    loss = CounterfactualLoss(settings(**changed), SQUARES, None, {"size": mean_predictor})
    batch = {
        "images": torch.full((4, 1, 2, 2), 130, dtype=torch.uint8),
        "parents": torch.zeros(4, SQUARES.width),
        "values": torch.zeros(4, 3),
        "allowed": torch.zeros(4),
    }
    value, scores = loss(model, batch, torch.Generator(), 0.0)
    if model.training:
        value.backward()
    return float(value.detach()), scores


@pytest.mark.parametrize("excess", [0.02, -0.01])
def test_the_gradients_are_those_of_the_damped_lagrangian(monkeypatch, excess):
    """With x = 2.5/127.5, m = 0 and m* = w/4, so x* = x + w/4; A = ((x* - 1/4)^2 + log 2 pi) / 2."""
    model = Whole().train()
    value, scores = lagrangian(
        monkeypatch, excess, model, damping=10.0, multiplier_rate=0.02, learning_rate=0.001
    )
    shown = 2.5 / 127.5 + 0.5 / 4
    error = 0.5 * (shown - 0.25) ** 2 + 0.5 * np.log(2 * np.pi)
    weight = 20.0 * 0.3  # lambda: the parameter times the ratio of the rates
    assert value == pytest.approx(error + (weight + 10 * excess) * excess, rel=1e-5)
    # The damping has a stop-gradient: dL/dw = A' + (lambda + d (F - c)) F'.
    assert float(model.weight.grad) == pytest.approx((shown - 0.25) / 4 + weight + 10 * excess, rel=1e-5)
    # Gradient descent increases lambda in proportion to F - c.
    assert float(model.multiplier.grad) == pytest.approx(-20.0 * excess, rel=1e-5)
    assert float(scores["multiplier"]) == pytest.approx(6.0) and float(scores["error"]) == pytest.approx(
        error
    )


def test_a_negative_multiplier_is_set_to_zero(monkeypatch):
    model = Whole().train()
    model.multiplier.data.fill_(-1.0)
    lagrangian(monkeypatch, 0.1, model)
    assert float(model.multiplier) == 0.0
    assert float(model.multiplier.grad) < 0.0  # it can increase again


def test_validation_does_not_use_the_multiplier(monkeypatch):
    model = Whole().eval()
    error, scores = lagrangian(monkeypatch, 0.02, model, slack=0.005)
    assert error == pytest.approx(float(scores["error"])) and float(scores["excess"]) == pytest.approx(0.015)


def test_weights_that_satisfy_the_constraint_are_preferred(world, tmp_path, monkeypatch):
    chosen = []
    monkeypatch.setattr(module, "fit", lambda *arguments: chosen.append(arguments[-1].select) or 1 / 0)
    with pytest.raises(ZeroDivisionError):
        tune(world, tmp_path)
    kept = min(
        ({"error": e, "excess": x} for e, x in ((-9.0, 0.001), (-2.0, 0.0), (-1.0, -0.1), (-9.9, 0.002))),
        key=chosen[0],
    )
    assert kept == {"error": -2.0, "excess": 0.0}
    breaches = [{"error": -9.0, "excess": 0.002}, {"error": -2.0, "excess": 0.001}]
    assert min(breaches, key=chosen[0]) == breaches[1]


def test_the_bound_of_the_valid_split_uses_the_noise_of_validation(world, tmp_path):
    """A vanishing learning rate leaves the weights unchanged, so that the excess is zero."""
    tune(world, tmp_path, steps=1, valid_every=1, learning_rate=1e-12, weight_decay=0.0)
    table = pd.read_csv(tmp_path / "log.csv")
    assert table["valid_excess"].iloc[-1] == pytest.approx(0.0, abs=1e-6)


def test_predictors_receive_their_context():
    contexts = []

    def network(images, context):
        contexts.append(context)
        return Normal(torch.zeros(len(images)), torch.ones(len(images)))

    size, shade, kind = SQUARES.variables
    predictor = Judge(network, size, (shade, kind), "cpu")
    loss = CounterfactualLoss(settings(), SQUARES, None, {"size": predictor})
    parents = torch.tensor([[0.5, -0.5, 0.0, 1.0, 0.0]])
    found = loss.agreement(torch.zeros(1, 1, 6, 6), parents)
    assert contexts[0].tolist() == [[-0.5, 0.0, 1.0, 0.0]]
    assert float(found) == pytest.approx(-0.5 * 0.25 - 0.5 * np.log(2 * np.pi))


def test_categorical_parents_have_their_weight():
    def continuous(images, context):
        return Normal(torch.zeros(len(images)), torch.ones(len(images)))

    def categorical(images, context):
        return Categorical(logits=torch.tensor([[0.0, np.log(2.0), 0.0]]).expand(len(images), 3))

    size, shade, kind = SQUARES.variables
    predictors = {"size": Judge(continuous, size, (), "cpu"), "kind": Judge(categorical, kind, (), "cpu")}
    parents = torch.tensor([[0.5, -0.5, 1.0, 0.0, 0.0]])
    for weight in (1.0, 10.0):
        loss = CounterfactualLoss(settings(categorical_weight=weight), SQUARES, None, predictors)
        found = loss.agreement(torch.zeros(1, 1, 6, 6), parents)
        assert float(found) == pytest.approx(
            -0.125 - 0.5 * np.log(2 * np.pi) + weight * np.log(0.25), rel=1e-6
        )


# --- complete runs


@pytest.fixture
def hasty(monkeypatch):
    """Advances the clock by 30 s at each call, so that the loop saves its state after every step."""
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=itertools.count(0.0, 30.0).__next__))


@pytest.mark.parametrize("after", [1, 4])
def test_a_killed_run_continues_to_the_same_bits(world, tmp_path, hasty, monkeypatch, after):
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    tune(world, whole, ema=0.5)
    calls, plain = itertools.count(), CounterfactualLoss.__call__

    def killed(self, model, *rest):
        if model.training and next(calls) == after:
            raise KeyboardInterrupt
        return plain(self, model, *rest)

    monkeypatch.setattr(CounterfactualLoss, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        tune(world, halved, ema=0.5)
    assert (halved / ".state" / "state.pt").exists() and not (halved / "model.safetensors").exists()
    monkeypatch.setattr(CounterfactualLoss, "__call__", plain)
    tune(world, halved, ema=0.5)
    assert (whole / "model.safetensors").read_bytes() == (halved / "model.safetensors").read_bytes()
    one, other = (json.loads((folder / "model.json").read_text()) for folder in (whole, halved))
    assert one["nelbo"] == other["nelbo"]


@pytest.mark.parametrize("constraint", ["image", "set"])
def test_a_tuned_model_is_an_image_mechanism_with_its_origin(world, tmp_path, constraint):
    tune(world, tmp_path, constraint=constraint, intervene="image")
    model = load_image_mechanism(tmp_path, SQUARES)
    before = load_image_mechanism(world.start, SQUARES)
    assert any(not tensor.equal(before.state_dict()[name]) for name, tensor in model.state_dict().items())
    meta = json.loads((tmp_path / "model.json").read_text())
    assert meta["model"] == "hvae" and meta["finetuned"]["seed"] == 0
    assert set(meta["nelbo"]) == {"before", "after"} and set(meta["nelbo"]["before"]) == {"train", "valid"}
    assert "multiplier" not in load_file(tmp_path / "model.safetensors")
    # The sharpness is fitted again after fine-tuning.
    assert meta["sharpness"] == {
        "before": float(before.head.sharpness),
        "after": pytest.approx(float(model.head.sharpness)),
    }
    kept = float(model.head.sharpness)
    train = module._split(SQUARES, world.data, "train", "cpu")
    fit_sharpness(model, train["images"], train["parents"], 3)
    assert float(model.head.sharpness) == pytest.approx(kept)


def test_mechanisms_and_predictors_are_frozen(world, tmp_path, monkeypatch):
    kept = []
    plain = CounterfactualLoss.__init__

    def remembering(self, settings, dataset, scm, predictors, sharpness):
        plain(self, settings, dataset, scm, predictors, sharpness)
        modules = [scm, *(predictor.model for predictor in predictors.values())]
        kept.append([(part, {k: v.clone() for k, v in part.state_dict().items()}) for part in modules])

    monkeypatch.setattr(CounterfactualLoss, "__init__", remembering)
    tune(world, tmp_path)
    for part, state in kept[0]:
        assert not part.training
        assert all(tensor.equal(state[name]) for name, tensor in part.state_dict().items())
        assert all(parameter.grad is None for parameter in part.parameters())


def test_tuning_improves_the_agreement_within_the_constraint(world, tmp_path):
    tune(world, tmp_path, steps=40, valid_every=20, learning_rate=5e-3, intervene="image")
    scm = load_scm(world.parents, SQUARES)
    predictors = {name: load_judge(world.predictors / name) for name in SQUARES.names}
    loss = CounterfactualLoss(settings(intervene="image"), SQUARES, scm, predictors)
    batch = module._split(SQUARES, world.data, "train", "cpu") | {"allowed": torch.zeros(400)}
    errors = []
    for folder in (world.start, tmp_path):
        with torch.no_grad():
            _, scores = loss(
                load_image_mechanism(folder, SQUARES), batch, torch.Generator().manual_seed(0), 1.0
            )
        errors.append(float(scores["error"]))
    assert errors[1] < errors[0] - 0.1
    nelbos = json.loads((tmp_path / "model.json").read_text())["nelbo"]
    assert nelbos["after"]["train"] < nelbos["before"]["train"] + 0.05


def test_missing_models_are_named(world, tmp_path):
    with pytest.raises(UserError, match="train this model first"):
        finetune(
            SimpleNamespace(training=settings()), Run("vae_ft", world.data, world.models, tmp_path, seed=3)
        )
