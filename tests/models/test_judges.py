"""Judges: they predict the variables of an image and are trained on the judges' split only."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.files import read_json
from counterfactory.core.run import Run
from counterfactory.data.dataset import save_dataset
from counterfactory.models.judges.model import load_judge
from counterfactory.models.judges.train import train_judge
from tests.metrics.conftest import Place, toy_dataset


class Training(SimpleNamespace):
    """Settings with defaults, which iterate over pairs as the configuration's do."""

    def __iter__(self):
        return iter(vars(self).items())


def judge_settings(**changes):
    training = {
        "steps": 80,
        "batch_size": 64,
        "optimizer": "adamw",
        "learning_rate": 5e-3,
        "warmup": 10,
        "schedule": "cosine",
        "weight_decay": 0.01,
        "betas": (0.9, 0.999),
        "ema": 0.9,
        "clip": 10.0,
        "skip": 1000.0,
        "valid_every": 40,
        "patience": 0,
        "precision": "float32",
        "compile": "never",
        "threads": 1,
    }
    settings = {
        "width": 4,
        "context": False,
        "shift": 1,
        "mirror": False,
        "erase": 0,
        "held_out": 0.1,
        "seed": 0,
        "positive_weight": 1.0,
    }
    training |= {name: changes.pop(name) for name in list(changes) if name in training}
    return SimpleNamespace(**settings | changes, training=Training(**training))


def squares(count: int, seed: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Draws squares: thickness is the side in units of 4 px, intensity the grey, digit the half."""
    rng = np.random.default_rng(seed)
    thickness, intensity = rng.integers(1, 5, count).astype(float), rng.uniform(70, 250, count)
    digit = rng.integers(0, 2, count)
    images = np.zeros((count, 1, 32, 32), np.uint8)
    for image, side, grey, half in zip(images, thickness, intensity, digit, strict=True):
        side, top, left = int(4 * side), rng.integers(0, 16), rng.integers(0, 4)
        left += 12 * half
        image[0, top : top + side, left : left + side] = grey
        image[0, 31, 16 * half : 16 * half + 16] = 255
    frame = {"index": range(count), "thickness": thickness, "intensity": intensity, "digit": digit}
    return images, pd.DataFrame(frame)


def train(settings, variable: str, data: Path, out: Path) -> None:
    train_judge(settings, Run(f"judges/{variable}", data, out.parent, out))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    place = Place(tmp_path_factory.mktemp("judges"))
    save_dataset(place.data, toy_dataset())
    place.write_split("judges", *squares(600, 0))
    place.write_split("test", *squares(100, 1))
    return place.data


@pytest.fixture(scope="module")
def judges(data):
    for variable in ("thickness", "digit"):
        train(judge_settings(), variable, data, data.parent / variable)
    return data.parent


def test_judges_learn(judges, data):
    images, truth = squares(100, 1)
    thickness, digit = (load_judge(judges / name)(images) for name in ("thickness", "digit"))
    assert np.abs(thickness - truth["thickness"]).mean() < 0.4  # guessing the mean: 1
    assert (digit == truth["digit"]).mean() > 0.9
    assert thickness.dtype == np.float64 and thickness.shape == (100,)


def test_held_out_errors_are_reported(judges):
    images, truth = squares(100, 1)
    meta = read_json(judges / "thickness" / "model.json")
    error = np.abs(load_judge(judges / "thickness")(images) - truth["thickness"]).mean()
    assert meta["errors"]["test"] == {"error": pytest.approx(error), "unit": "px", "n": 100}
    assert meta["errors"]["valid"]["n"] == 60 and meta["images"] == {"train": 540, "valid": 60}
    assert set(read_json(judges / "digit" / "model.json")["errors"]["test"]) == {"accuracy", "unit", "n"}


def test_the_test_split_decides_nothing(judges, data, tmp_path):
    place = Place(tmp_path)
    save_dataset(place.data, toy_dataset())
    place.write_split("judges", *squares(600, 0))
    place.write_split("test", *squares(40, 9))
    settings = judge_settings(steps=4, valid_every=2)
    train(settings, "thickness", data, tmp_path / "one")
    train(settings, "thickness", place.data, tmp_path / "two")
    one, two = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("one", "two"))
    assert one == two


def test_a_judge_conditioned_on_the_effects(data, tmp_path):
    train(judge_settings(context=True, steps=4, valid_every=2), "thickness", data, tmp_path)
    judge = load_judge(tmp_path)
    images, truth = squares(3, 2)
    assert [variable.name for variable in judge.context] == ["intensity"]
    first, other = judge(images, truth), judge(images, truth.assign(intensity=100.0))
    assert not np.array_equal(first, other)
    with pytest.raises(ValueError, match="requires the variables intensity"):
        judge(images)
