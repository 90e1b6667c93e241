"""The steps of the queries on a toy world: files, errors, and unanswered queries with their reasons."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.config import load_settings
from counterfactory.core.errors import UserError
from counterfactory.core.run import Run
from counterfactory.esm import answer
from counterfactory.scm.noise_kernels import build_kernel, symmetric_uniform
from tests.squares import SQUARES

pytest_plugins = ["tests.squares"]


class Reader:
    """`bright`: the mean of an image is above 30; the class is the first pixel modulo 3."""

    names, categorical = ("bright",), SimpleNamespace(name="kind", classes=3)
    sizes = {"bright": 2, "kind": 3}
    constant: dict = {}

    def predict(self, images):
        mean = np.asarray(images, float).mean((1, 2, 3))
        return {"bright": (mean > 30).astype(int), "kind": np.asarray(images)[:, 0, 0, 0] % 3}


class Grey:
    """An image is one grey level, the first noise."""

    dimension, intervenes, prior = 3, False, staticmethod(symmetric_uniform)

    def __init__(self):
        self.classifier = Reader()

    def kernel(self, name, stickiness):
        return build_kernel(name, stickiness, "uniform")

    def images(self, noise, do=None):
        level = (127 + 120 * noise[:, :1]).astype(np.uint8)
        return np.repeat(level, 36, 1).reshape(-1, 1, 6, 6)

    def log_likelihood(self, facts):
        def value(noise):
            said = self.classifier.predict(self.images(noise))
            return np.where(np.all([said[name] == one for name, one in facts.items()], 0), 0.0, -np.inf)

        return value

    def abduct(self, images, parents, seeds):
        assert len(images) == len(parents) == len(seeds)
        level = images.astype(float).mean((1, 2, 3))
        return np.stack([(level - 127) / 120, np.zeros(len(images)), np.ones(len(images))], 1)


@pytest.fixture
def ask(squares, monkeypatch, tmp_path):
    def asked(name="dark_seen", failures=(), **changed):
        monkeypatch.setattr(answer, "load_world", lambda *_: (Grey(), list(failures)))
        queries = {
            "dark_seen": {"given": {"bright": 1}, "premise": {"bright": 0}},
            "drawn": {"given": {"bright": 1}, "premise": {"bright": 0}, "actual": "drawn"},
            "made": {"given": {}, "premise": {"bright": 0}, "by": "do"},
            "odd": {"given": {"brigt": 1}, "premise": {"bright": 0}},
        }
        own = {"by_name": queries, "images": 4, "samples": 3, "stickiness": [0.0, 0.5], "sharpness": 1.0}
        settings = load_settings({"queries": own | changed}).queries
        answer.answer_query(settings, Run(name, squares, tmp_path, tmp_path / "out"))
        folder = tmp_path / "out"
        description = json.loads((folder / f"{name}.json").read_text())
        return description, pd.read_parquet(folder / f"{name}.parquet"), np.load(folder / f"{name}.npy")

    return asked


def test_actual_images_agree_with_the_evidence_and_answers_with_the_premise(ask, squares):
    description, table, images = ask()
    assert description == {
        "name": "dark_seen", "given": {"bright": 1}, "premise": {"bright": 0}, "by": "observe",
        "generator": "dcgan", "actual": "test", "unanswered": "",
    }  # fmt: skip
    assert len(table) == len(images) == 4 + 4 * 2 * 3
    test = np.load(squares / "test" / "images.npy")
    assert Reader().predict(test[table["index"].unique()])["bright"].tolist() == [1] * 4
    own = table["stickiness"].isna().to_numpy()
    said = Reader().predict(images)["bright"]
    assert said[own].all()
    assert not said[~own & table["reached"].to_numpy()].any()


def test_actual_worlds_can_be_drawn(ask):
    _, table, images = ask("drawn")
    own = table["stickiness"].isna().to_numpy()
    assert (table["index"] == -1).all()
    assert Reader().predict(images[own])["bright"].all()


def test_what_cannot_be_answered_has_files_and_a_reason(ask, monkeypatch):
    for failures, why in (
        (["collapse"], "models.dcgan: its training failed (collapse)"),
        ([], "bright 1 never occurs in the test images"),
    ):
        if not failures:
            nothing = staticmethod(lambda images: {"bright": np.zeros(len(images), int)})
            monkeypatch.setattr(Reader, "predict", nothing)
        description, table, images = ask(failures=failures)
        assert description["unanswered"] == why
        assert len(table) == len(images) == 0
        assert images.shape[1:] == SQUARES.shape


def test_what_nobody_knows_is_refused_in_one_line(ask):
    with pytest.raises(UserError, match="by_name: dark_sen: no such query; did you mean 'dark_seen'"):
        ask("dark_sen")
    with pytest.raises(UserError, match="by_name.made: by: do needs a generator with a causal model"):
        ask("made")
    with pytest.raises(UserError, match="by_name.odd: brigt: .*did you mean 'bright'"):
        ask("odd")


def test_an_answer_does_not_depend_on_how_many_are_asked(ask):
    _, four, images = ask()
    _, two, fewer = ask(images=2)
    assert two.equals(four[four["actual"] < 2].reset_index(drop=True))
    assert (images[(four["actual"] < 2).to_numpy()] == fewer).all()


def test_a_fact_that_the_classifier_cannot_see_is_a_reason(ask, monkeypatch):
    monkeypatch.setattr(Reader, "constant", {"bright": "predicts yes for bright on all images"})
    description, table, images = ask()
    assert description["unanswered"] == "bright: the classifier predicts yes for bright on all images"
    assert len(table) == len(images) == 0
