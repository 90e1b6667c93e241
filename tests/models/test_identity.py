"""The identity embedding: one source with other parents is the same identity, another source of its class is not."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from counterfactory.core.errors import UserError
from counterfactory.core.files import read_json, write_array, write_table
from counterfactory.core.run import Run
from counterfactory.data.dataset import Dataset, Split, Variable, save_dataset
from counterfactory.models.identity import renderings as module
from counterfactory.models.identity.model import load_identity
from counterfactory.models.identity.renderings import Sources, render_sources
from counterfactory.models.identity.train import same_class_softmax, train_identity
from counterfactory.models.identity.verification import IMPOSTORS, verification
from tests.training.toys import settings as training

TOY = Dataset(
    "toy",
    (Variable("shade", "continuous"), Variable("kind", "categorical", classes=2)),
    (),
    (1, 8, 8),
    True,
)
COUNT = 120


def draw(source: np.ndarray, shade: np.ndarray, kind: np.ndarray) -> np.ndarray:
    """A source is a pattern of 4 x 4 blocks; its class a row that is lit; its one parent the shade of both."""
    patterns = np.random.default_rng(5).random((COUNT, 4, 4)) > 0.5
    images = patterns[source].repeat(2, 1).repeat(2, 2)
    images[np.arange(len(source)), 7 * kind] = True
    return (images * np.asarray(shade)[:, None, None]).astype(np.uint8)[:, None]


def render_counterfactual(data, attributes, parents, threads=1):
    images = draw(attributes["source"].to_numpy(), parents["shade"], np.asarray(parents["kind"]))
    return images, np.ones(len(images), bool)


@pytest.fixture(autouse=True)
def _world(monkeypatch):
    world = SimpleNamespace(render_counterfactual=render_counterfactual)
    monkeypatch.setattr(module, "world", lambda name: world)


@pytest.fixture
def split() -> Split:
    rng = np.random.default_rng(0)
    columns = {
        "source": np.arange(COUNT),
        "shade": rng.uniform(60, 250, COUNT),
        "kind": rng.integers(0, 2, COUNT),
    }
    return Split(draw(**columns), pd.DataFrame(columns))


@pytest.fixture
def data(tmp_path, split):
    folder = tmp_path / "data"
    save_dataset(folder, TOY)
    write_array(folder / "judges" / "images.npy", split.images)
    write_table(folder / "judges" / "attributes.parquet", split.attributes)
    return folder


def identity_settings(**changed) -> SimpleNamespace:
    short = {"steps": 120, "batch_size": 32, "learning_rate": 0.01, "ema": 0.9, "valid_every": 60}
    whole = {
        "network": SimpleNamespace(name="trained", width=8, halvings=1, features=16),
        "temperature": 0.1,
        "shift": 0,
        "splits": ["judges"],
        "sources": 1000,
        "renderings": 2,
        "held_out": 0.4,
        "false_accept": 0.05,
        "seed": 0,
    }
    short |= {name: changed.pop(name) for name in list(changed) if name in short}
    return SimpleNamespace(**whole | changed, training=training(**short))


def test_parents_are_dealt_out_anew(data, split):
    rows = np.arange(COUNT)
    images, parents = render_sources(Sources(TOY, data, split, rows), 2, seed=1)
    spread = split.attributes["shade"].std()
    assert images.shape == (COUNT, 3, 1, 8, 8) and parents.shape == (COUNT, 3, 1)
    assert np.array_equal(images[:, 0], split.images)
    for view in range(3):
        assert np.allclose(np.sort(parents[:, view, 0] * spread), np.sort(split.attributes["shade"]))
        assert np.array_equal(
            images[:, view].max((1, 2, 3)), (parents[:, view, 0] * spread + 1e-9).astype(np.uint8)
        )
    assert (np.abs(np.diff(parents[:, :, 0], axis=1)) > 0).mean() > 0.9
    some, _ = render_sources(Sources(TOY, data, split, rows[10:20]), 2, seed=1)
    assert np.array_equal(some, images[10:20])


def test_renderings_of_a_source_follow_each_other(data, split, monkeypatch):
    asked, plain = [], module.world
    whole, _ = render_sources(Sources(TOY, data, split, np.arange(25)), 2, seed=1)

    def render(data, attributes, parents, threads):
        asked.append(attributes["shade"].tolist())
        return plain(TOY.name).render_counterfactual(data, attributes, parents, threads)

    monkeypatch.setattr(module, "CHUNK", 10)
    monkeypatch.setattr(
        module, "world", lambda name: SimpleNamespace(**vars(plain(name)) | {"render_counterfactual": render})
    )
    images, _ = render_sources(Sources(TOY, data, split, np.arange(25)), 2, seed=1)
    assert [len(one) for one in asked] == [10, 10, 10, 10, 5, 5]
    assert asked[0] == asked[1] and asked[2] == asked[3] and asked[0] != asked[2]
    assert np.array_equal(images, whole)


def test_a_killed_run_does_not_render_again(data, split, tmp_path, monkeypatch):
    rows = np.arange(20)
    first, _ = render_sources(Sources(TOY, data, split, rows), 1, seed=1, out=tmp_path / "out")
    monkeypatch.setattr(module, "world", lambda name: SimpleNamespace(render_counterfactual=None))
    again, _ = render_sources(Sources(TOY, data, split, rows), 1, seed=1, out=tmp_path / "out")
    assert np.array_equal(first, again)
    with pytest.raises(TypeError):
        render_sources(Sources(TOY, data, split, rows), 1, seed=2, out=tmp_path / "out")


def test_the_softmax_runs_over_the_class_alone():
    embeddings = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    proxies = torch.tensor([[3.0, 0.0], [0.0, 2.0], [5.0, 0.0]])
    allowed = torch.tensor([[True, True, False], [True, True, True]])
    value, right = same_class_softmax(embeddings, proxies, torch.tensor([0, 1]), allowed, 0.5)
    first, second = np.log(1 + np.exp(-2.0)), np.log(1 + 2 * np.exp(-2.0))
    assert float(value) == pytest.approx((first + second) / 2, rel=1e-6) and float(right) == 1.0


def test_pairs_of_verification():
    """Embeddings are angles: 0 and 1 of class 0, 2 alone in class 1; the cosine of a pair identifies the pair."""
    angles = np.radians([[0.0, 10.0], [50.0, 90.0], [200.0, 205.0]])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], 2)
    parents = np.array([[[0.0], [5.0]], [[4.9], [0.1]], [[0.0], [0.0]]])
    scores = verification(embeddings, np.array([0, 0, 1]), parents, seed=0)
    degrees = {name: np.degrees(np.arccos(np.clip(one, -1, 1))).round(6) for name, one in scores.items()}
    assert sorted(degrees["same"]) == [5.0, 10.0, 40.0]
    assert len(degrees["hard"]) == 4 * IMPOSTORS and set(degrees["hard"]) == {40.0, 50.0, 80.0, 90.0}
    # Nearest in the parents: 0 with 0.1, 5 with 4.9, and back; never the other rendering of the same source.
    assert sorted(degrees["matched"]) == [40.0, 40.0, 90.0, 90.0]


def test_the_embedding_tells_sources_apart(data, tmp_path, split):
    out = tmp_path / "identity"
    train_identity(identity_settings(), Run("identity", data, tmp_path, out))
    meta, identity = read_json(out / "model.json"), load_identity(out)
    assert meta["sources"] == {"train": 72, "valid": 24, "measured": 24} and meta["kind"] == "identity"
    chosen, measured = meta["verification"]["valid"], meta["verification"]["measured"]
    assert chosen["false_accept"] <= 0.05 and identity.threshold == meta["threshold"]
    assert measured["sources"] == 24 and measured["pairs"]["same"] == 24 * 3
    assert measured["auc"] > 0.95 and measured["true_accept"] > 0.5 and measured["false_accept"] < 0.2
    embeddings = identity(split.images)
    assert embeddings.dtype == np.float64 and np.allclose(np.linalg.norm(embeddings, axis=1), 1.0)
    assert identity(split.images[:0]).shape == (0, 16)
    assert not (out / ".state").exists()


def test_training_is_repeatable_and_sources_are_bounded(data, tmp_path):
    for name in ("one", "two"):
        train_identity(
            identity_settings(steps=4, valid_every=2, sources=40),
            Run("identity", data, tmp_path, tmp_path / name),
        )
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two and read_json(tmp_path / "one" / "model.json")["sources"]["train"] == 40


def test_what_cannot_be_trained_is_refused(data, tmp_path, monkeypatch):
    few = identity_settings(held_out=0.01)
    with pytest.raises(UserError, match=r"identity\.held_out: no two of the 1 sources .* raise it"):
        train_identity(few, Run("identity", data, tmp_path, tmp_path / "few"))
    monkeypatch.setattr(module, "world", lambda name: None)
    with pytest.raises(UserError, match="identity: toy is not simulated"):
        train_identity(identity_settings(), Run("identity", data, tmp_path, tmp_path / "none"))
