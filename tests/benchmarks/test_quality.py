"""The steps that fill the minutes, the rows that a killed study keeps, and what the figure of quality shows."""

import importlib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from counterfactory.config import load_settings
from counterfactory.data.dataset import Dataset, Variable
from counterfactory.training.clock import Clock

SCRIPTS = Path(__file__).parents[2] / "benchmarks"
ABOUT = ["ours", "vae", 1.0, 0, 64, 700, 1.02, 50]


@pytest.fixture
def quality(monkeypatch):
    """The module `quality`."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("quality")


@pytest.fixture
def training_cost(monkeypatch):
    """The module `training_cost`."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("training_cost")


@pytest.mark.parametrize("rest", [0.0, 12.0])
@pytest.mark.parametrize("step", [0.04, 0.3])
@pytest.mark.parametrize("minutes", [0.5, 4.0])
def test_steps_fill_the_minutes(training_cost, rest, step, minutes):
    steps = training_cost.steps_for(minutes, training_cost.Cost(step, rest, 99.0))
    assert -1e-9 <= 60 * minutes - (rest + step * steps) < step + 1e-9


def test_minutes_that_are_too_few_leave_no_step(training_cost):
    assert training_cost.steps_for(0.1, training_cost.Cost(0.1, 10.0, 20.0)) == 0


@pytest.mark.parametrize("encoder", [0, 25])
def test_the_cost_of_a_step_is_that_of_all_phases(training_cost, encoder):
    # 3 seconds of loading, slow first steps, 0.2 seconds per step, 1.5 seconds of validation.
    first = list(3.0 + np.cumsum([1.0] * 5 + [0.2] * 94 + [1.7]))
    # Then, for a quarter of the steps, 0.8 seconds each.
    second = list(first[-1] + np.cumsum([0.8] * encoder))
    phases = [first, second] if encoder else [first]
    total = phases[-1][-1] + 7.0
    cost = training_cost.cost_of(total, phases)
    assert cost.step == pytest.approx(0.4 if encoder else 0.2)
    assert cost.rest == pytest.approx(total - 100 * cost.step) and cost.total == total
    # Another training of the same length takes the same time.
    assert training_cost.steps_for(total / 60 + 1e-6, cost) == 100


def test_a_training_is_metered_step_by_step(training_cost, tmp_path):
    training = load_settings({}).models.vae.training
    brief = training.model_copy(update={"steps": 7, "batch_size": 4, "valid_every": 7})
    data = {"x": torch.zeros(8, 2)}
    with training_cost.metered() as phases:
        for name in ("first", "second"):
            training_cost.loop.fit(
                torch.nn.Linear(2, 1),
                lambda model, batch, generator, progress: (model(batch["x"]).square().mean(), {}),
                data,
                data,
                brief,
                training_cost.loop.Fit(tmp_path / name, seed=0),
            )
    assert [len(times) for times in phases] == [7, 7]
    assert all(times == sorted(times) for times in phases)
    assert training_cost.loop.Clock is Clock


def test_all_phases_of_a_training_keep_their_shares(quality):
    section = load_settings(
        {"models": {"gan": {"training": {"steps": 400}, "encoder": {"steps": 100}}}}
    ).models.gan
    scaled = quality.with_steps(section, 1000, batch_size=8)
    assert (scaled.training.steps, scaled.encoder.steps) == (1000, 250)
    assert (scaled.training.valid_every, scaled.encoder.valid_every) == (1000, 250)
    assert scaled.training.batch_size == scaled.encoder.batch_size == 8
    assert quality.with_steps(section, 1).encoder.steps == 1
    assert scaled.network == section.network


def test_rows_in_the_file_are_not_missing(quality, tmp_path):
    file = tmp_path / "new" / "quality.csv"
    assert quality.missing_of(quality.read_rows(file), "ours", ["vae", "hvae"], 1.0, 0) == ["vae", "hvae"]
    quality.write_rows(
        file, ABOUT, [("do(thickness)", "thickness", 0.125), ("do(digit)", "digit", float("nan"))]
    )
    quality.write_rows(file, ["null", *ABOUT[1:]], [("do(digit)", "digit", 1.0)])
    table = quality.read_rows(file)
    assert list(table["value"].fillna(-1)) == [0.125, -1.0, 1.0]
    assert quality.missing_of(table, "ours", ["vae", "hvae"], 1.0, 0) == ["hvae"]
    for recipe, minutes, seed in (("published", 1.0, 0), ("ours", 2.0, 0), ("ours", 1.0, 1)):
        assert quality.missing_of(table, recipe, ["vae"], minutes, seed) == ["vae"]
    # A recipe may be named like a missing value.
    assert quality.missing_of(table, "null", ["vae"], 1, 0) == []


def test_the_figure_has_a_panel_per_score(quality, tmp_path):
    variables = (
        Variable("thickness", "continuous", unit="px"),
        Variable("digit", "categorical", classes=10),
    )
    dataset = Dataset("digits", variables, (), (1, 16, 16), simulated=True)
    rows = [
        [recipe, "hvae", minutes, 0, 32, 10, minutes, 50, question, score, value / minutes]
        for recipe in ("ours", "published")
        for minutes in (1.0, 2.0)
        for question in ("do(thickness)", "do(digit)")
        for score, value in (("thickness", 0.2), ("digit", 0.5), ("l1", 2.0))
    ]
    table = pd.DataFrame(rows, columns=quality.COLUMNS)
    picture = quality.picture_of(table, dataset, quality.TRAINED)
    assert [panel.name for panel in picture.panels] == ["thickness_thickness", "digit_digit", "thickness_l1"]
    quality.draw_file(picture, tmp_path / "figure.svg")
    text = (tmp_path / "figure.svg").read_text()
    assert "published" in text and "thickness error under do(thickness)" in text and "DiME" not in text
