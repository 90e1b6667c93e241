"""The classifier and the oracle: each is trained on its own split and reports its errors and constant outputs."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from counterfactory.core.files import read_json, write_array, write_table
from counterfactory.core.run import Run
from counterfactory.data.dataset import load_split, save_dataset
from counterfactory.models.classifier.model import load_classifier
from counterfactory.models.classifier.train import train_classifier
from tests.squares import SQUARES, draw_squares, shade_of, write_squares
from tests.training.toys import settings as training

pytest_plugins = ["tests.squares"]

ATTRIBUTES = {
    "big": SimpleNamespace(of="size", above=2.5),
    "idle": None,
    "pale": SimpleNamespace(of="shade", above=150.0),
}


def model_settings(**changed) -> SimpleNamespace:
    short = {"steps": 80, "batch_size": 32, "learning_rate": 0.01, "ema": 0.9, "valid_every": 40}
    return SimpleNamespace(
        network=SimpleNamespace(width=4, halvings=1, features=8),
        shift=0,
        mirror=False,
        erase=0,
        positive_weight=1.0,
        held_out=0.2,
        seed=3,
        training=training(**{**short, **changed}),
    )


def train(role: str, data: Path, out: Path, attributes=ATTRIBUTES, **changed) -> dict:
    train_classifier(model_settings(**changed), Run(role, data, out.parent, out, attributes=attributes))
    return read_json(out / "model.json")


def rewrite(data: Path, split: str, seed: int) -> None:
    """Replaces a split by a new sample."""
    count = len(load_split(data, split).images)
    rng = np.random.default_rng(seed)
    size, kind = rng.uniform(0.9, 4.1, count), rng.integers(0, 3, count)
    columns = {"size": size, "shade": shade_of(size, rng.normal(size=count)), "kind": kind}
    write_array(data / split / "images.npy", draw_squares(**columns))
    write_table(data / split / "attributes.parquet", pd.DataFrame({"index": range(count), **columns}))
    save_dataset(data, SQUARES)  # it holds checksums of the files


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data set of squares, and a classifier trained on it."""
    folder = tmp_path_factory.mktemp("attributes")
    data = write_squares(folder / "data")
    train("classifier", data, folder / "classifier")
    return SimpleNamespace(data=data, model=folder / "classifier")


def test_the_classifier_learns_and_tells_its_errors(place):
    meta, model = read_json(place.model / "model.json"), load_classifier(place.model)
    test = load_split(place.data, "test")
    assert model.names == ("big", "pale") and model.classes == (3,) and meta["kind"] == "classifier"
    assert meta["attributes"] == {
        "big": {"of": "size", "above": 2.5},
        "pale": {"of": "shade", "above": 150.0},
    }
    big = (test.attributes["size"] > 2.5).to_numpy()
    said = model.predict(test.images)
    errors = meta["errors"]["test"]
    assert (
        errors["big"]["accuracy"] == pytest.approx((said["big"] == big).mean()) and errors["big"]["n"] == 60
    )
    assert errors["big"]["base_rate"] == pytest.approx(big.mean())
    assert errors["big"]["accuracy"] > 0.9 and errors["big"]["auc"] > 0.95
    assert errors["kind"] == {
        "accuracy": pytest.approx((said["kind"] == test.attributes["kind"]).mean()),
        "n": 60,
    }
    assert meta["images"] == {"train": 400, "valid": 20} and meta["constant"] == {}


def test_predictions_are_the_sides_of_the_logits(place):
    model, images = load_classifier(place.model), load_split(place.data, "test").images
    said, likely = model.predict(images), model.probabilities(images)
    assert said["big"].dtype == np.int64 and np.array_equal(said["big"], likely["big"] > 0.5)
    assert np.array_equal(said["kind"], likely["kind"].argmax(1)) and np.allclose(likely["kind"].sum(1), 1.0)
    logits = model.logits(torch.from_numpy(np.array(images)).float() / 127.5 - 1.0)
    assert logits.shape == (60, 5)
    assert np.allclose(likely["pale"], torch.sigmoid(logits[:, 1]).numpy(), atol=1e-6)
    assert model.embed(images).shape == (60, 8) and model.embed(images[:0]).shape == (0, 8)
    assert {name: values.shape for name, values in model.probabilities(images[:0]).items()} == {
        "big": (0,),
        "pale": (0,),
        "kind": (0, 3),
    }


def test_gradients_reach_the_images_and_not_the_weights(place):
    model = load_classifier(place.model)
    images = torch.zeros(2, 1, 6, 6, requires_grad=True)
    values = model.logits(images).sum() + model.features(images).sum() + model.stages(images)[0].sum()
    values.backward()
    assert images.grad.abs().max() > 0 and all(one.grad is None for one in model.network.parameters())


@pytest.mark.parametrize(("role", "own"), [("classifier", {"train", "valid"}), ("oracle", {"judges"})])
def test_only_its_own_splits_decide(role, own, squares, tmp_path):
    def weights(name: str) -> bytes:
        train(role, squares, tmp_path / name, steps=4, valid_every=2, batch_size=8)
        return (tmp_path / name / "model.safetensors").read_bytes()

    before = weights("before")
    for split in {"train", "valid", "judges", "test"} - own:
        rewrite(squares, split, seed=9)
    assert weights("other splits replaced") == before
    rewrite(squares, sorted(own)[0], seed=9)
    assert weights("its own split replaced") != before


def test_an_attribute_of_one_class_is_reported_and_training_continues(squares, tmp_path):
    asked = {"big": ATTRIBUTES["big"], "vast": SimpleNamespace(of="size", above=50.0)}
    meta = train("classifier", squares, tmp_path, asked)
    assert list(meta["constant"]) == ["vast"]
    assert meta["constant"]["vast"].startswith("predicts no for vast on all 80 images it was tested on; ")
    assert (
        "attributes.vast.above: size is above 50 px in 0% of the 400 train images" in meta["constant"]["vast"]
    )
    assert meta["errors"]["test"]["vast"] == {
        "accuracy": 1.0, "auc": None, "f1": None, "balanced_accuracy": None, "base_rate": 0.0, "n": 60
    }  # fmt: skip
    assert meta["errors"]["test"]["big"]["auc"] > 0.9
    assert list(load_classifier(tmp_path).constant) == ["vast"]


def test_a_constant_classifier_is_reported(squares, tmp_path):
    rare = {"huge": SimpleNamespace(of="size", above=3.9)}
    meta = train("classifier", squares, tmp_path, rare, steps=1, valid_every=1, learning_rate=1e-9)
    same = [name for name in meta["constant"] if "train it longer" in meta["constant"][name]]
    assert same == list(
        meta["constant"]
    )  # an output is constant because of the training, not because of its threshold


def test_a_killed_training_goes_on(squares, tmp_path, monkeypatch):
    from counterfactory.training import clock, loop

    whole = train("classifier", squares, tmp_path / "whole", steps=6, valid_every=2)
    monkeypatch.setattr(
        clock.time, "monotonic", iter(range(0, 100_000, 30)).__next__
    )  # saves after every step

    class Killed(Exception):
        pass

    def killing(*arguments):
        if arguments[2] == 3:
            raise Killed
        return average(*arguments)

    average = loop.average_weights
    monkeypatch.setattr(loop, "average_weights", killing)
    with pytest.raises(Killed):
        train("classifier", squares, tmp_path / "killed", steps=6, valid_every=2)
    assert not (tmp_path / "killed" / "model.json").exists()
    monkeypatch.setattr(loop, "average_weights", average)
    again = train("classifier", squares, tmp_path / "killed", steps=6, valid_every=2)
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "killed"))
    assert one == two and again["errors"] == whole["errors"]


def test_commands_take_their_sections(squares, tmp_path):
    from counterfactory.cli import main
    from counterfactory.config.attributes import ATTRIBUTES as DEFAULTS

    attributes = dict.fromkeys(DEFAULTS) | {"big": {"of": "size", "above": 2.5}}
    sections = {
        "classifier": {
            "network": {"halvings": 1},
            "training": {"steps": 2, "batch_size": 8, "valid_every": 1},
        },
    }
    sections["oracle"] = {**sections["classifier"], "held_out": 0.3}
    for role in ("classifier", "oracle"):
        given = ["--settings", json.dumps(sections[role]), "--attributes", json.dumps(attributes)]
        places = ["--data", str(squares), "--out", str(tmp_path / role), "--device", "cpu"]
        assert main(["train", role, *given, *places]) == 0
        meta = read_json(tmp_path / role / "model.json")
        assert meta["kind"] == role and list(meta["attributes"]) == ["big"] and "constant" in meta
    assert meta["images"] == {"train": 14, "valid": 6}


def test_commands_refuse_in_one_line(squares, tmp_path, capsys):
    from counterfactory.cli import main

    words = [
        "train",
        "classifier",
        "--settings",
        "{}",
        "--data",
        str(squares),
        "--out",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    assert main([*words, "--attributes", "[1]"]) == 2
    assert "--attributes: must contain keys and values" in capsys.readouterr().err
    assert main([*words, "--attributes", '{"thick": {"of": "thickness", "above": 2.5}}']) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith(
        "counterfactory train: attributes.thick.of: thickness: neither a parent of squares"
    )
