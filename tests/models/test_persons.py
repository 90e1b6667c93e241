"""The identity embedding of known persons: pairs by hand, and persons that no training batch has shown."""

import shutil

import numpy as np
import pandas as pd
import pytest
import torch

from counterfactory.core.errors import UserError
from counterfactory.core.files import read_json, write_array, write_table
from counterfactory.core.run import Run
from counterfactory.data.dataset import Dataset, Variable, save_dataset
from counterfactory.models.identity.model import load_identity
from counterfactory.models.identity.persons import _best_weight, _PersonLoss, pairs_of_persons
from counterfactory.models.identity.train import train_identity
from counterfactory.models.identity.verification import IMPOSTORS
from tests.models.test_identity import identity_settings

KIND = Variable("kind", "categorical", classes=2)
SMILE = Variable("smile", "categorical", classes=2)
PHOTOGRAPHS = Dataset("photographs", (KIND,), (), (1, 8, 8), False, labels=(SMILE,))
PERSONS, EACH = 60, 4


def write_persons(folder, persons=PERSONS, column="identity", seed=0):
    """A person is a pattern of 4 x 4 blocks; images of a person differ in brightness and in one lit row."""
    rng = np.random.default_rng(seed)
    people = rng.permutation(np.repeat(np.arange(persons), EACH))
    patterns = rng.random((persons, 4, 4)) > 0.5
    kind, smile = (rng.random(persons) > 0.5)[people].astype(int), rng.integers(0, 2, len(people))
    images = patterns[people].repeat(2, 1).repeat(2, 2) * rng.uniform(100, 200, len(people))[:, None, None]
    images[smile == 1, 7] = 255
    attributes = pd.DataFrame({column: 100 + people, "kind": kind, "smile": smile})
    save_dataset(folder, PHOTOGRAPHS)
    # Of the persons of the split `test`, those with even numbers are also in `judges`.
    for split, table in (("judges", attributes), ("test", attributes.replace({column: _others(people)}))):
        write_array(folder / split / "images.npy", images.astype(np.uint8)[:, None])
        write_table(folder / split / "attributes.parquet", table)
    return folder


def _others(people):
    return {100 + int(one): 10_000 + int(one) for one in people if one % 2}


def test_pairs_by_hand():
    angles = np.radians([0.0, 10.0, 50.0, 90.0, 200.0])
    embeddings = np.stack([np.cos(angles), np.sin(angles)], 1)
    people, classes = np.array([1, 1, 2, 2, 3]), np.array([[0], [0], [0], [0], [1]])
    cosines = pairs_of_persons(embeddings, people, classes, seed=0)
    degrees = {
        name: set(np.degrees(np.arccos(np.clip(one, -1, 1))).round(6)) for name, one in cosines.items()
    }
    assert degrees["same"] == {10.0, 40.0} and len(cosines["same"]) == 2
    assert len(cosines["hard"]) == 5 * IMPOSTORS and 10.0 not in degrees["hard"]
    # The fifth image has a class of its own: it is nobody's matched impostor.
    assert len(cosines["matched"]) == 4 * IMPOSTORS and degrees["matched"] == {40.0, 50.0, 80.0, 90.0}


def test_the_held_out_loss_by_hand():
    embeddings = torch.nn.functional.normalize(torch.tensor([[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]), dim=1)
    value, scores = _PersonLoss(0.5, 0)._held_out(embeddings, torch.tensor([0, 0, 1]))
    near, far = np.sqrt(0.5) / 0.5, 0.0
    first = np.log(np.exp(near) + np.exp(far)) - near
    second = np.log(2 * np.exp(near)) - near
    assert float(value) == pytest.approx((first + second) / 2, rel=1e-6)
    assert float(scores["accuracy"]) >= 0.5


def test_persons_that_were_never_shown_are_told_apart(tmp_path):
    data, out = write_persons(tmp_path / "data"), tmp_path / "identity"
    train_identity(identity_settings(), Run("identity", data, tmp_path, out))
    meta, identity = read_json(out / "model.json"), load_identity(out)
    assert meta["sources"] == {"train": 36, "valid": 12, "measured": 12}
    assert meta["images"] == {"train": 144, "valid": 48, "measured": 48}
    chosen, measured = meta["verification"]["valid"], meta["verification"]["measured"]
    assert chosen["false_accept"] <= 0.05 and identity.threshold == meta["threshold"]
    assert measured["auc"] > 0.9 and measured["true_accept"] > 0.3 and measured["false_accept"] < 0.25
    assert measured["pairs"]["same"] == 12 * 6
    # Only the persons of the split `test` whom no other split shows.
    assert meta["verification"]["test"]["sources"] == 30
    assert meta["verification"]["test"]["pairs"]["same"] == 30 * 6


def test_persons_of_the_split_test_are_optional(tmp_path):
    data, out = write_persons(tmp_path / "data"), tmp_path / "identity"
    table = pd.read_parquet(data / "test" / "attributes.parquet")
    settings = identity_settings(steps=2)
    for changed in (
        table.assign(identity=7),
        table.assign(identity=range(len(table))),
        table.drop(columns="identity"),
    ):
        write_table(data / "test" / "attributes.parquet", changed)
        shutil.rmtree(out, ignore_errors=True)
        train_identity(settings, Run("identity", data, tmp_path, out))
        assert set(read_json(out / "model.json")["verification"]) == {"valid", "measured"}


def test_persons_of_two_splits(tmp_path):
    data, out = write_persons(tmp_path / "data"), tmp_path / "identity"
    other = write_persons(tmp_path / "other", persons=20, seed=1)
    (other / "judges").rename(data / "train")
    # The persons of the second folder have numbers of their own.
    table = pd.read_parquet(data / "train" / "attributes.parquet")
    table["identity"] += 1000
    write_table(data / "train" / "attributes.parquet", table)
    settings = identity_settings(steps=2, splits=["judges", "train"])
    train_identity(settings, Run("identity", data, tmp_path, out))
    meta = read_json(out / "model.json")
    assert sum(meta["sources"].values()) == 80 and sum(meta["images"].values()) == 320


def test_the_weight_with_the_highest_auc_is_the_smallest_of_several():
    # Each of the two embeddings confuses another pair; their mean confuses none.
    learned = {"same": np.array([0.9, 0.4]), "hard": np.array([0.55, 0.0])}
    found = {"same": np.array([0.4, 0.9]), "hard": np.array([0.0, 0.55])}
    assert _best_weight(learned, found) == pytest.approx(0.2)
    assert _best_weight(learned, learned) == 0.0 and _best_weight(found, {**found, "same": np.ones(2)}) > 0.0


def test_too_few_persons_are_refused(tmp_path):
    data = write_persons(tmp_path / "data", persons=5)
    with pytest.raises(UserError, match="identity: 5 individuals of judges have two images or more"):
        train_identity(identity_settings(), Run("identity", data, tmp_path, tmp_path / "out"))


def test_without_the_column_the_world_must_be_simulated(tmp_path):
    data = write_persons(tmp_path / "data", column="somebody")
    with pytest.raises(UserError, match="identity: photographs is not simulated"):
        train_identity(identity_settings(), Run("identity", data, tmp_path, tmp_path / "out"))
