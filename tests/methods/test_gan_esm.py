"""The method gan_esm on toy networks: targets, limits of the stickiness, answers that depend on the question only."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.core.errors import UserError
from counterfactory.methods import Batch, gan_esm

LATENT = 4


class Generator:
    """An image of 2 x 2 px is its noise."""

    latent, prior, encoder = LATENT, "uniform", None

    def generate(self, z, parents):
        return z.view(-1, 1, 2, 2)


class Classifier:
    """`bright`: the mean is above 0; digit: which of the first three pixels is the brightest."""

    names, categorical, constant = ("bright",), (SimpleNamespace(name="digit", classes=3),), {}
    blocks = {"bright": slice(0, 1), "digit": slice(1, 4)}

    def logits(self, x):
        flat = x.flatten(1)
        return torch.cat([40 * flat.mean(1, keepdim=True), 6 * flat[:, :3]], 1)

    def predict(self, images):
        logits = self.logits(torch.from_numpy(images).float() / 127.5 - 1)
        return {"bright": (logits[:, 0] > 0).long().numpy(), "digit": logits[:, 1:].argmax(1).numpy()}


@pytest.fixture
def load(monkeypatch):
    def chosen(failures=(), **changed):
        monkeypatch.setattr(gan_esm, "load_dataset", lambda data: SimpleNamespace(names=("size",)))
        monkeypatch.setattr(gan_esm, "load_gan", lambda *_: (Generator(), list(failures)))
        monkeypatch.setattr(gan_esm, "load_classifier", lambda *_: Classifier())
        own = {
            "stickiness": 0.7,
            "kernel": "sticky",
            "sampler": "auto",
            "particles": 64,
            "sweeps": 5,
            "inversion_steps": 60,
            "sharpness": 1.0,
        }
        settings = SimpleNamespace(gan_esm=SimpleNamespace(**{**own, **changed}))
        from pathlib import Path

        return gan_esm.load("gan_esm", 0, Path("data"), Path("models"), settings, "cpu")

    return chosen


def batch(count: int = 12, attribute: str = "bright", rows=None) -> Batch:
    rng = np.random.default_rng(0)
    images = rng.integers(20, 236, (count, 1, 2, 2)).astype(np.uint8)
    rows = np.arange(count) if rows is None else np.asarray(rows)
    target = rng.integers(0, 3, count)[rows]
    nothing = {"size": np.full(len(rows), np.nan)}
    names = np.array([attribute] * len(rows), dtype=object)
    factual = np.zeros(len(rows), dtype=int)
    return Batch(images[rows], nothing, nothing, rows + 5, rows, rows, count, 0, names, factual, target)


def test_the_target_is_reached_and_latents_are_kept(load):
    asked = batch()
    images, parents, columns = load()(asked)
    before, after = (Classifier().predict(x)["bright"] for x in (asked.images, images))
    assert columns["answered"].all()
    assert (columns["reached"] == (after != before)).all()
    assert columns["reached"].mean() > 0.7
    same = np.abs(images.astype(int) - asked.images) <= 3
    assert same.mean() > 0.35  # latents that were kept; the inversion's error allowed
    assert np.isnan(parents["size"]).all()
    assert (columns["log_evidence"] <= 0).all()


def test_a_class_is_the_questions_target(load):
    asked = batch(attribute="digit")
    images, _, columns = load()(asked)
    said = Classifier().predict(images)["digit"]
    assert (columns["reached"] == (said == asked.target)).all()
    assert columns["reached"].mean() > 0.7


def test_an_answer_is_the_questions_alone(load):
    for sampler in ("rejection", "chain", "smc"):
        answer = load(sampler=sampler)
        whole, *_ = answer(batch())
        few, *_ = answer(batch(rows=[2, 7]))
        assert (few == whole[[2, 7]]).all()


def test_what_cannot_be_answered_is_left(load):
    asked = batch()
    images, _, columns = load(failures=["collapse"])(asked)
    assert not columns["answered"].any()
    assert (images == asked.images).all()
    with pytest.raises(UserError, match="flip only"):
        load()(Batch(**{**vars(asked), "attribute": None}))
    with pytest.raises(UserError, match="normal prior"):
        load(kernel="autoregressive")
