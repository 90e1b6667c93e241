"""Tests of adversarial training: gradients of all networks, the two phases, resumption, failed trainings."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from torch.func import functional_call

from counterfactory.core.errors import UserError
from counterfactory.core.files import write_array, write_table
from counterfactory.core.run import Run
from counterfactory.data.dataset import Dataset, Variable, load_dataset, save_dataset
from counterfactory.models.gan import train as gan_training
from counterfactory.models.gan.model import build_gan, load_gan
from counterfactory.models.gan.network import Gan
from counterfactory.models.gan.train import AdversarialLoss, EncoderLoss, failure_signs, train_gan
from counterfactory.training import clock
from tests.training.toys import settings

NETWORK = {"latent": 4, "widths": [4, 6], "hidden": 8, "spectral": True}
SQUARES = Dataset(
    name="squares",
    variables=(
        Variable("size", "continuous", "px", low=2.0, high=6.0),
        Variable("kind", "categorical", classes=2),
    ),
    edges=(),
    shape=(1, 8, 8),
    simulated=False,
)


class Mapped(SimpleNamespace):
    """Settings that can be converted to a dictionary, as those of the configuration."""

    def __iter__(self):
        return iter(vars(self).items())


def section(cycle: float = 0.0, **changed) -> SimpleNamespace:
    training = dict(settings(learning_rate=0.01, batch_size=8, **changed))
    return SimpleNamespace(
        network=NETWORK, training=Mapped(**training, cycle=cycle), encoder=Mapped(**training, code=0.5)
    )


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    rng = np.random.default_rng(0)
    for split, count in {"train": 40, "valid": 16}.items():
        size, kind = rng.integers(2, 7, count), rng.integers(0, 2, count)
        inside = np.arange(8) < size[:, None]
        images = (inside[:, None, :, None] * inside[:, None, None, :]) * (200 + 50 * kind)[
            :, None, None, None
        ]
        write_array(folder / split / "images.npy", images.astype(np.uint8))
        write_table(folder / split / "attributes.parquet", pd.DataFrame({"size": size, "kind": kind}))
    save_dataset(folder, SQUARES)
    return folder


def batch(count: int = 7, parents: int = 3) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 1, 8, 8), generator=generator, dtype=torch.uint8)
    return {"images": images, "parents": torch.randn(count, parents, generator=generator)}


@pytest.mark.parametrize("encoder", [True, False])
def test_each_network_descends_its_own_loss(encoder):
    """One pass through the discriminator gives the gradients of two separate losses."""
    torch.manual_seed(0)
    model = Gan((1, 8, 8), 3, **{**NETWORK, "spectral": False}, exposure=[1], encoder=encoder)
    examples = batch()
    loss, scores = AdversarialLoss()(model, examples, torch.Generator().manual_seed(1), 0.0)
    loss.backward()
    found = {name: weight.grad.clone() for name, weight in model.named_parameters()}
    model.zero_grad()

    x, parents = examples["images"].float() / 127.5 - 1, model.hide(examples["parents"])
    real = model.develop(x, examples["parents"])
    z = model.draw(len(x), torch.Generator().manual_seed(1))
    fake = model.generator(z, parents)
    code = model.encoder(real, parents) if encoder else z
    judge = model.discriminator
    fixed = {name: weight.detach() for name, weight in judge.named_parameters()}
    right = F.softplus(-judge(real, code.detach(), parents)) + F.softplus(judge(fake.detach(), z, parents))
    fooled = F.softplus(-functional_call(judge, fixed, (fake, z, parents)))
    if encoder:
        fooled = fooled + F.softplus(functional_call(judge, fixed, (real, code, parents)))
    (right + fooled).mean().backward()
    for name, weight in model.named_parameters():
        torch.testing.assert_close(found[name], weight.grad, rtol=1e-4, atol=1e-7)
    assert float(scores["discriminator"]) == pytest.approx(float(right.mean().detach()), rel=1e-5)


def test_the_energy_score_penalises_blur_and_collapse():
    """The energy scores of an exact, a collapsed and a blurred generator of coin tosses."""

    class Coin(torch.nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.kind, self.encoder, self.training = kind, None, False
            self.discriminator = lambda x, z, parents: torch.zeros(len(x))

        def draw(self, count, generator):
            return torch.randn(count, 1, generator=generator)

        def generate(self, z, parents):
            level = {"exact": z.sign(), "collapsed": torch.ones_like(z), "blurred": torch.zeros_like(z)}[
                self.kind
            ]
            return level[:, :, None, None].expand(-1, 1, 2, 2)

        def hide(self, parents):
            return parents

        def develop(self, x, parents):
            return x

    heads = torch.rand(4_000, 1, 1, 1, generator=torch.Generator().manual_seed(0)) < 0.5
    examples = {"images": (255 * heads.expand(-1, 1, 2, 2)).byte(), "parents": torch.zeros(4_000, 0)}
    scores = {}
    for kind in ("exact", "collapsed", "blurred"):
        _, found = AdversarialLoss()(Coin(kind), examples, torch.Generator().manual_seed(1), 1.0)
        scores[kind] = float(found["energy"])
    assert scores["exact"] == pytest.approx(0.5, abs=0.03)
    assert scores["collapsed"] == pytest.approx(1.0, abs=0.05)
    assert scores["blurred"] == pytest.approx(1.0, abs=0.05)


def test_the_encoder_phase_changes_the_encoder_only():
    torch.manual_seed(0)
    model = Gan((1, 8, 8), 3, **NETWORK).train()
    model.generator.requires_grad_(False)
    before = {name: buffer.clone() for name, buffer in model.generator.named_buffers()}
    loss, _ = EncoderLoss()(model, batch(), torch.Generator().manual_seed(0), 0.0)
    loss.backward()
    moved = {name.split(".")[0] for name, weight in model.named_parameters() if weight.grad is not None}
    assert moved == {"encoder"}
    assert all(torch.equal(before[name], buffer) for name, buffer in model.generator.named_buffers())


@pytest.mark.parametrize("name", ["gan", "dcgan"])
def test_training_writes_what_loading_reads(data, tmp_path, name):
    train_gan(section(cycle=1.0, steps=4), Run(name, data, tmp_path, tmp_path / "model", seed=0))
    meta = json.loads((tmp_path / "model" / "model.json").read_text())
    log = pd.read_csv(tmp_path / "model" / "log.csv")
    assert meta["model"] == name
    assert meta["failures"] == []
    assert list(meta["phases"]) == ["adversarial", "encoder"][: 2 if name == "gan" else 1]
    assert log["step"].tolist() == [2, 4]
    assert {"valid_energy", "valid_apart", "valid_apart_real", "valid_accuracy"} <= set(log)
    assert ("valid_reconstruction" in log) == (name == "gan")
    model, failures = load_gan(tmp_path / "model", load_dataset(data))
    assert failures == []
    assert not model.training
    parents = torch.zeros(2, 3 if name == "gan" else 0)
    z = model.draw(2, torch.Generator().manual_seed(0))
    assert model.generate(z, parents).shape == (2, 1, 8, 8)


@pytest.mark.parametrize("after", [1, 3, 7, 9])
def test_a_killed_run_continues_to_the_same_bits(data, tmp_path, monkeypatch, after):
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=itertools.count(0.0, 30.0).__next__))
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    chosen = section(cycle=1.0, steps=5, ema=0.5)
    train_gan(chosen, Run("gan", data, tmp_path, whole, seed=3))
    calls = itertools.count()

    def killed(kind):
        class Killed(kind):
            def __call__(self, model, *rest):
                if model.training and next(calls) == after:
                    raise KeyboardInterrupt
                return super().__call__(model, *rest)

        return Killed

    with monkeypatch.context() as patch:
        for kind in (AdversarialLoss, EncoderLoss):
            patch.setattr(gan_training, kind.__name__, killed(kind))
        with pytest.raises(KeyboardInterrupt):
            train_gan(chosen, Run("gan", data, tmp_path, halved, seed=3))
    assert not (halved / "model.json").exists()
    train_gan(chosen, Run("gan", data, tmp_path, halved, seed=3))
    assert (whole / "model.safetensors").read_bytes() == (halved / "model.safetensors").read_bytes()


def test_a_phase_of_another_run_is_not_reused(data, tmp_path):
    for seed in (0, 1):
        train_gan(section(steps=2), Run("gan", data, tmp_path, tmp_path / "again", seed=seed))
    train_gan(section(steps=2), Run("gan", data, tmp_path, tmp_path / "fresh", seed=1))
    again, fresh = (tmp_path / name / "model.safetensors" for name in ("again", "fresh"))
    assert again.read_bytes() == fresh.read_bytes()


def log_of(apart, accuracy) -> pd.DataFrame:
    return pd.DataFrame({"valid_apart": apart, "valid_apart_real": 1.0, "valid_accuracy": accuracy})


@pytest.mark.parametrize(
    ("apart", "accuracy", "signs"),
    [
        ([0.9] * 5, [0.6] * 5, []),
        ([0.1] * 5, [0.6] * 5, ["collapse"]),
        ([0.9] * 5, [0.99] * 5, ["discriminator_wins"]),
        ([0.1] * 5, [1.0] * 5, ["collapse", "discriminator_wins"]),
        ([0.1, 0.1, 0.1, 0.1, 0.5], [1.0, 1.0, 1.0, 1.0, 0.8], []),  # it recovered
        ([0.1] * 2, [1.0] * 2, []),  # the log is too short
    ],
)
def test_signs_of_failure_last_to_the_end(apart, accuracy, signs):
    assert failure_signs(log_of(apart, accuracy)) == signs


def test_a_collapsed_training_is_detected_and_recorded(data, tmp_path, monkeypatch, capsys):
    """The generator ignores its latents."""
    real = gan_training.build_gan

    def deaf(*arguments):
        model = real(*arguments)
        generate = model.generator.forward
        model.generator.forward = lambda z, parents: generate(torch.zeros_like(z), parents)
        return model

    monkeypatch.setattr(gan_training, "build_gan", deaf)
    train_gan(section(steps=6), Run("gan", data, tmp_path, tmp_path / "model", seed=0))
    assert "collapse" in json.loads((tmp_path / "model" / "model.json").read_text())["failures"]
    assert "this training failed (collapse" in capsys.readouterr().out


def test_a_discriminator_that_wins_is_detected_and_recorded(data, tmp_path, monkeypatch):
    """The generator does not learn."""
    real = gan_training.build_gan

    def stuck(*arguments):
        model = real(*arguments)
        model.generator.requires_grad_(False)
        return model

    monkeypatch.setattr(gan_training, "build_gan", stuck)
    train_gan(section(steps=120, valid_every=20), Run("dcgan", data, tmp_path, tmp_path / "model", seed=0))
    assert json.loads((tmp_path / "model" / "model.json").read_text())["failures"] == ["discriminator_wins"]


def test_an_encoder_may_be_trained_along_with_an_unconditional_generator(data, tmp_path):
    own = section(cycle=1.0, steps=4, valid_every=2)
    own.network = {**NETWORK, "encoder": True, "prior": "uniform"}
    train_gan(own, Run("dcgan", data, tmp_path, tmp_path / "model", seed=0))
    model, _ = load_gan(tmp_path / "model", load_dataset(data))
    images = torch.rand(5, 1, 8, 8) * 2 - 1
    code = model.encode(images, torch.zeros(5, 0))
    assert code.shape == (5, 4)
    assert code.abs().max() <= 1  # as its prior
    plain = build_gan("dcgan", load_dataset(data), NETWORK)
    assert plain.encoder is None


def test_invalid_models_are_refused(data, tmp_path):
    dataset = load_dataset(data)
    with pytest.raises(UserError, match="wgan: no such adversarial model"):
        build_gan("wgan", dataset, NETWORK)
    with pytest.raises(UserError, match=r"models\.gan\.network: images are 8 x 8 px; 4 widths need"):
        build_gan("gan", dataset, {**NETWORK, "widths": [4, 4, 4, 4]})
    with pytest.raises(UserError, match="train this model first"):
        load_gan(tmp_path / "nowhere", dataset)
