"""Paired comparisons: what both methods share does not hide a difference, and noise is no winner."""

import numpy as np
import pandas as pd
import pytest

from counterfactory.report.cells import Scores, Select
from counterfactory.report.layout import Cell, embolden_best
from counterfactory.report.paired import Paired

SELECT = Select("do", "l1", ("t",), "marginal")


def write(folder, **methods):
    rows = [
        pd.DataFrame(
            {
                "suite": "do", "metric": "l1", "intervention": "t", "protocol": "marginal", "cycles": 1,
                "method": name, "seed": 0, "question": np.arange(len(values)), "value": values,
            }
        )
        for name, values in methods.items()
    ]  # fmt: skip
    folder.mkdir()
    pd.concat(rows).to_parquet(folder / "seed0.parquet")
    return [folder / "seed0.parquet"]


@pytest.fixture
def paired(tmp_path):
    rng = np.random.default_rng(0)
    hard = rng.gamma(2.0, 10.0, 400)  # how hard each question is for every method
    values = {"a": hard + rng.normal(0, 0.5, 400), "b": hard + 0.3 + rng.normal(0, 0.5, 400)}
    noise = rng.normal(0, 5.0, 400)
    values["c"] = (
        values["a"] + 0.3 + noise - noise.mean()
    )  # the same mean difference as b's, but not in every question
    values["d"] = values["a"].copy()
    values["d"][:350] = np.nan
    return Paired(write(tmp_path / "l1", **values))


def test_a_small_difference_in_every_question_is_seen(paired):
    """The intervals of a and b overlap almost wholly: each is about 2.8 wide, and their means differ by 0.3."""
    assert "b" not in paired.ties(SELECT, "a") and "a" in paired.ties(SELECT, "a")


def test_every_training_seed_has_the_same_weight(tmp_path):
    paths = []
    for seed, value in enumerate((0.0, 0.0, 1.0)):
        folder = tmp_path / str(seed)
        paths += write(folder, a=np.full(3, value), b=np.zeros(3))
    [values] = Paired(paths)._values.values()
    assert values["a"].tolist() == pytest.approx([1 / 3] * 3)


def test_noise_is_no_difference(paired):
    assert "c" in paired.ties(SELECT, "a") and "a" in paired.ties(SELECT, "c")


def test_only_common_questions_are_compared(paired):
    assert "d" in paired.ties(SELECT, "a")  # equal where both answered


def test_a_mean_over_interventions_resamples_each(paired):
    other = Select("do", "l1", ("t", "u"), "marginal")
    assert paired.ties(other, "a") is None  # there are no scores of single questions under u


def test_whoever_is_within_noise_of_the_best_is_bold():
    cells = [
        Cell(1.0, method="a", ties=("a", "c")),
        Cell(1.3, method="b", ties=("b",)),
        Cell(1.2, method="c"),
    ]
    assert [cell.best for cell in embolden_best(cells, [True] * 3, "lower", 2)] == [True, False, True]
    assert [cell.best for cell in embolden_best(cells, [True] * 3, "higher", 2)] == [False, True, False]
    assert [cell.best for cell in embolden_best(cells, [True, True, False], "lower", 2)] == [
        True,
        False,
        False,
    ]


def test_numbers_do_not_depend_on_the_comparison(paired):
    row = {
        "dataset": "x", "seed": 0, "suite": "do", "intervention": "t", "protocol": "marginal", "cycles": 1,
        "metric": "l1", "value": 1.0, "low": 0.5, "high": 1.5, "n": 400, "reason": "",
    }  # fmt: skip
    table = pd.DataFrame([row | {"method": name} for name in ("a", "b", "copy")])
    with_, without = (Scores(table, None, one).cell(SELECT, "a") for one in (paired, None))
    assert (with_.value, with_.low, with_.high, with_.n) == (
        without.value,
        without.low,
        without.high,
        without.n,
    )
    assert with_.link == "suite=do&method=a&metric=l1&intervention=t&protocol=marginal" and not without.link
    assert Scores(table, None, paired).cell(SELECT, "copy").link == ""  # the floor is not listed
