"""Tests of the training of image mechanisms: augmentation, schedules, dropout, complete and resumed trainings."""

import itertools
import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from counterfactory.config import Settings
from counterfactory.core.checkpoint import save_model
from counterfactory.core.errors import UserError
from counterfactory.core.run import Run
from counterfactory.data.dataset import encode_parents, load_split
from counterfactory.models.image import native
from counterfactory.models.image.model import build_image_mechanism, exposed_columns, load_image_mechanism
from counterfactory.models.image.train import ElboLoss, droppable_columns, to_pixels, train_image_mechanism
from counterfactory.training import clock
from tests.squares import SQUARES

pytest_plugins = ["tests.squares"]

NETWORK = {
    "resolutions": [6, 3, 1],
    "widths": [6, 6, 8],
    "encoder_blocks": [2, 1, 1],
    "decoder_blocks": [1, 1, 1],
    "latents": [0, 2, 2],
    "patch": 1,
    "exposure": ["shade"],
}
PLAIN = {
    "shift": 0,
    "beta": 1.0,
    "beta_start": 1.0,
    "beta_until": 0.0,
    "scale_hold": 0.0,
    "scale_release": 0.0,
    "free_bits": 0.0,
    "conditioning_dropout": 0.0,
    "independence": 0.0,
}


def training(**changed):
    """Returns the settings of a short training: the published ones with changes."""
    short = {
        "steps": 8,
        "batch_size": 16,
        "warmup": 2,
        "valid_every": 4,
        "precision": "float32",
        "threads": 1,
    }
    return Settings().models.hvae.training.model_copy(update={**PLAIN, **short, **changed})


def settings(network: dict | None = None, **changed) -> SimpleNamespace:
    chosen = Settings().models.hvae.network.model_copy(update={**NETWORK, **(network or {})})
    return SimpleNamespace(network=chosen, training=training(**changed))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# --- images


def test_grey_levels_become_pixels():
    images = np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16)
    x = to_pixels(images)
    assert x.dtype == torch.float32 and x.shape == (1, 1, 16, 16)
    assert (x.min(), x.max()) == (-1, 1)
    assert torch.equal(x, to_pixels(torch.from_numpy(images)))
    assert (x.add(1).mul(127.5).round().to(torch.uint8).numpy() == images).all()
    steps = x.flatten().diff()
    torch.testing.assert_close(steps, torch.full_like(steps, 1 / 127.5), rtol=1e-4, atol=0)


def test_memory_mapped_images_are_read(squares):
    images = load_split(squares, "test").images
    assert isinstance(images, np.memmap)
    assert (to_pixels(images).numpy() == images / np.float32(127.5) - 1).all()


# --- schedules


@pytest.mark.parametrize(("first", "last", "until"), [(20.0, 0.5, 0.4), (0.1, 1.0, 1.0), (3.0, 3.0, 0.5)])
def test_weight_of_the_divergence(first, last, until):
    beta = ElboLoss(training(beta_start=first, beta=last, beta_until=until), torch.zeros(1)).beta
    assert beta(0.0) == pytest.approx(first)
    assert beta(until / 2) == pytest.approx((first * last) ** 0.5)  # the middle of a geometric decrease
    assert beta(until) == beta(1.0) == last
    logs = np.log([beta(progress) for progress in np.linspace(0, until, 11)])
    np.testing.assert_allclose(np.diff(logs), np.log(last / first) / 10, atol=1e-12)


def test_weight_of_the_divergence_without_a_schedule():
    beta = ElboLoss(training(beta_start=9.0, beta=2.0, beta_until=0.0), torch.zeros(1)).beta
    assert {beta(progress) for progress in (0.0, 0.3, 1.0)} == {2.0}


def test_the_scale_gate():
    gate = ElboLoss(training(scale_hold=0.2, scale_release=0.6), torch.zeros(1)).scale_gate
    found = [gate(progress) for progress in (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)]
    assert found == pytest.approx([0, 0, 0.25, 0.5, 0.75, 1, 1])
    free = ElboLoss(training(), torch.zeros(1)).scale_gate
    assert free(0.0) == free(1.0) == 1.0
    at_once = ElboLoss(training(scale_hold=0.3, scale_release=0.3), torch.zeros(1)).scale_gate
    assert [at_once(progress) for progress in (0.0, 0.2, 0.3, 0.4)] == [0, 0, 1, 1]


# --- the loss


class Recorder(nn.Module):
    """A network that records the arguments of its ELBO."""

    noise_shapes = [(2,), (1, 3, 3)]

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Module()
        self.head.register_buffer("scale_gate", torch.tensor(-1.0))

    def elbo(self, x, parents, noise, free_bits=0.0, prior_parents=None, **options):
        self.options = options
        self.x, self.parents, self.prior_parents, self.noise, self.free_bits = (
            x, parents, prior_parents, noise, free_bits,
        )  # fmt: skip
        return torch.tensor(2.0), torch.tensor(0.5), noise


def batch(count: int) -> dict[str, torch.Tensor]:
    images = torch.randint(0, 256, (count, 1, 6, 6), generator=generator(7), dtype=torch.uint8)
    kind = torch.arange(count).numpy() % 3
    parents = {"size": np.linspace(1, 4, count), "shade": np.linspace(50, 200, count), "kind": kind}
    return {"images": images, "parents": torch.from_numpy(encode_parents(SQUARES, parents))}


def record(count: int = 12, progress: float = 0.5, train: bool = True, **changed):
    model = Recorder().train(train)
    chosen = batch(count)
    loss, scores = ElboLoss(training(**changed), droppable_columns(SQUARES))(
        model, chosen, generator(), progress
    )
    return model, chosen, loss, scores


def test_the_loss_is_the_weighted_elbo():
    _, _, loss, scores = record(beta=3.0)
    assert loss.item() == 2.0 + 3.0 * 0.5
    assert scores == {"nll": 2.0, "kl": 0.5}
    assert record(beta_start=16.0, beta=1.0, beta_until=1.0)[2].item() == 2.0 + 4.0 * 0.5


def test_validation_has_no_augmentation_dropout_or_schedule():
    options = {"shift": 2, "conditioning_dropout": 1.0, "scale_release": 1.0, "free_bits": 0.25}
    model, chosen, *_ = record(train=False, **options)
    assert torch.equal(model.x, to_pixels(chosen["images"]))
    assert torch.equal(model.parents, chosen["parents"]) and torch.equal(
        model.prior_parents, chosen["parents"]
    )
    assert model.head.scale_gate == -1
    assert [tuple(noise.shape) for noise in model.noise] == [(12, 2), (12, 1, 3, 3)]
    model, chosen, *_ = record(train=True, **options)
    assert not torch.equal(model.x, to_pixels(chosen["images"]))
    assert model.head.scale_gate == 0.5 and model.free_bits == 0.25


def test_columns_of_categorical_variables_are_droppable():
    assert droppable_columns(SQUARES).tolist() == [False, False, True, True, True]


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_conditioning_dropout(share):
    model, chosen, *_ = record(count=2000, conditioning_dropout=share)
    # Continuous parents are never hidden.
    for seen in (model.parents, model.prior_parents):
        assert torch.equal(seen[:, :2], chosen["parents"][:, :2])
    hidden = [(seen[:, 2:] == 0).all(1) for seen in (model.parents, model.prior_parents)]
    for seen, missing in zip((model.parents, model.prior_parents), hidden, strict=True):
        assert torch.equal(seen[~missing], chosen["parents"][~missing])
    assert not (hidden[0] & hidden[1]).any()
    # Half of the share each, within four standard deviations of a binomial distribution.
    for missing in hidden:
        assert missing.float().mean().item() == pytest.approx(share / 2, abs=4 * (0.25 / 2000) ** 0.5)
    if share == 1.0:
        assert (hidden[0] | hidden[1]).all()


# --- building


def test_variables_that_act_as_exposure_are_columns():
    for names, columns in (([], []), (["shade"], [1]), (["kind", "size"], [0, 2, 3, 4])):
        assert exposed_columns(SQUARES, {"exposure": names}) == columns
    assert exposed_columns(SQUARES, {}) == []
    assert build_image_mechanism("hvae", SQUARES, NETWORK).head.columns == [1]


@pytest.mark.parametrize(
    ("name", "network", "text"),
    [
        ("flow", {}, "models: flow is not an image mechanism; choose one of vae, hvae"),
        ("vae", {}, "models.vae.network: images are 6 x 6 px"),
        ("hvae", {**NETWORK, "patch": 2}, "models.hvae.network: resolutions"),
        ("hvae", {**NETWORK, "widths": [6]}, "models.hvae.network: widths"),
        ("hvae", {**NETWORK, "exposure": ["colour"]}, "colour: not a variable of squares"),
    ],
)
def test_networks_that_cannot_be_built_are_refused(name, network, text):
    with pytest.raises(UserError, match=text) as error:
        build_image_mechanism(name, SQUARES, network)
    assert "\n" not in str(error.value)


# --- complete trainings


def test_a_run(squares, tmp_path):
    chosen = settings(learning_rate=3e-3, steps=60, valid_every=20, warmup=5)
    train_image_mechanism(chosen, Run("hvae", squares, tmp_path, tmp_path, seed=1))
    meta = json.loads((tmp_path / "model.json").read_text())
    assert meta["model"] == "hvae" and meta["seed"] == 1
    model = load_image_mechanism(tmp_path, SQUARES)
    assert not model.training
    assert meta["parameters"] == sum(p.numel() for p in model.parameters())
    header, *rows = (tmp_path / "log.csv").read_text().splitlines()
    losses = [dict(zip(header.split(","), map(float, row.split(",")), strict=True)) for row in rows]
    assert losses[-1]["valid_loss"] < losses[0]["valid_loss"] - 0.1
    for row in losses:
        assert row["valid_loss"] == pytest.approx(row["valid_nll"] + row["valid_kl"], rel=1e-5)
    # The loaded model is the validated one.
    valid = load_split(squares, "valid")
    parents = torch.from_numpy(encode_parents(SQUARES, valid.attributes))
    noise = [torch.randn(20, *shape, generator=generator()) for shape in model.noise_shapes]
    with torch.no_grad():
        nll, kl, _ = model.elbo(to_pixels(valid.images), parents, noise)
    assert (nll + kl).item() == pytest.approx(losses[-1]["valid_loss"], abs=0.3)


def test_a_killed_run_continues_to_the_same_bits(squares, tmp_path, monkeypatch):
    hasty = SimpleNamespace(monotonic=itertools.count(0.0, 30.0).__next__)
    monkeypatch.setattr(clock, "time", hasty)
    chosen = settings(
        shift=1,
        beta_start=9.0,
        beta_until=0.5,
        scale_release=0.9,
        conditioning_dropout=0.3,
        independence=0.5,
        ema=0.9,
    )
    train_image_mechanism(chosen, Run("hvae", squares, tmp_path, tmp_path / "whole", seed=1))
    steps, call = itertools.count(), ElboLoss.__call__

    def killed(self, model, *arguments):
        if model.training and next(steps) == 5:
            raise KeyboardInterrupt
        return call(self, model, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(ElboLoss, "__call__", killed)
        with pytest.raises(KeyboardInterrupt):
            train_image_mechanism(chosen, Run("hvae", squares, tmp_path, tmp_path / "halved", seed=1))
    assert (tmp_path / "halved" / ".state").exists()
    train_image_mechanism(chosen, Run("hvae", squares, tmp_path, tmp_path / "halved", seed=1))
    whole, halved = (tmp_path / name / "model.safetensors" for name in ("whole", "halved"))
    assert whole.read_bytes() == halved.read_bytes()
    # The adversary is not written.
    assert (
        load_file(whole).keys()
        == build_image_mechanism("hvae", SQUARES, dict(chosen.network)).state_dict().keys()
    )


@pytest.mark.skipif(not native.available(), reason="no C++ compiler")
def test_a_killed_run_does_not_resume_with_another_arithmetic(squares, tmp_path, monkeypatch):
    hasty = SimpleNamespace(monotonic=itertools.count(0.0, 30.0).__next__)
    monkeypatch.setattr(clock, "time", hasty)
    chosen = settings({"block": "heavy", "centred": False, "prior_log_scale": None}, steps=6, valid_every=6)
    started, call = [], ElboLoss.__call__

    def killed(self, model, batch, generator, progress):
        if model.training:
            started.append(progress)
            if len(started) == 4:
                raise KeyboardInterrupt
        return call(self, model, batch, generator, progress)

    monkeypatch.setattr(ElboLoss, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        train_image_mechanism(chosen, Run("hvae", squares, tmp_path, tmp_path, seed=1))
    monkeypatch.setattr(native, "available", lambda: False)
    train_image_mechanism(chosen, Run("hvae", squares, tmp_path, tmp_path, seed=1))
    assert started[4] == 0.0 and len(started) == 4 + 6
    assert json.loads((tmp_path / "model.json").read_text())["kernels"] == "torch"


def test_the_weights_depend_on_the_seed(squares, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        chosen = settings(steps=2, valid_every=2)
        train_image_mechanism(chosen, Run("hvae", squares, tmp_path, tmp_path / name, seed=seed))
    a, b, c = ((tmp_path / name / "model.safetensors").read_bytes() for name in "abc")
    assert a == b != c


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    model = build_image_mechanism("hvae", SQUARES, NETWORK)
    whole = {"model": "hvae", "network": NETWORK}
    save_model(tmp_path, model.state_dict(), whole)
    loaded = load_image_mechanism(tmp_path, SQUARES)
    assert all(torch.equal(p, q) for p, q in zip(model.parameters(), loaded.parameters(), strict=True))
    wider = {**NETWORK, "widths": [6, 6, 10]}
    for meta in (
        {},
        {"model": "hvae"},
        {**whole, "network": wider},
        {**whole, "network": {**NETWORK, "colour": 3}},
        {**whole, "model": "parents"},
    ):
        save_model(tmp_path, model.state_dict(), meta)
        with pytest.raises(UserError) as error:
            load_image_mechanism(tmp_path, SQUARES)
        assert "\n" not in str(error.value)
