"""The tidy table: means, intervals, reasons of missing scores, refused files."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.errors import UserError
from counterfactory.core.files import write_table
from counterfactory.metrics.summary import COLUMNS, WHOLE, summarise, summary

SETTINGS = SimpleNamespace(resamples=200, level=0.95, seed=0)


def scores(path, method, values, reasons=None, intervention="thickness", metric="truth_l1"):
    table = pd.DataFrame({"value": values, "question": range(len(values))})
    group = {"dataset": "toy", "method": method, "seed": 0, "suite": "do", "intervention": intervention}
    group |= {"protocol": "", "cycles": 1, "metric": metric}
    write_table(path, table.assign(**group, reason=reasons or [""] * len(values)))
    return path


def read(path):
    return pd.read_csv(path, keep_default_na=False, na_values={"value": [""], "low": [""], "high": [""]})


def test_missing_scores_have_a_row_and_a_reason(tmp_path):
    files = [
        scores(tmp_path / "a.parquet", "copy", [1.0, 2.0, 3.0, 4.0]),
        scores(tmp_path / "b.parquet", "copy", [np.nan] * 2, ["no truth"] * 2, intervention="digit"),
        scores(
            tmp_path / "c.parquet", "copy", [5.0, np.nan, 5.0], ["", "no truth", ""], intervention="random"
        ),
    ]
    summarise(files, SETTINGS, tmp_path / "scores.csv")
    table = read(tmp_path / "scores.csv")
    assert list(table.columns) == COLUMNS
    assert table["intervention"].tolist() == ["thickness", "digit", "random"]
    assert table["n"].tolist() == [4, 0, 2]
    assert table["reason"].tolist() == ["", "no truth", "1 of 3 absent: no truth"]
    whole, absent, partial = table.itertuples()
    assert whole.value == 2.5 and 1.0 <= whole.low < 2.5 < whole.high <= 4.0
    assert np.isnan([absent.value, absent.low, absent.high]).all()
    assert partial.value == partial.low == partial.high == 5.0
    # The field is empty.
    assert (tmp_path / "scores.csv").read_text().splitlines()[
        2
    ] == "toy,copy,0,do,digit,,1,truth_l1,,,,0,no truth"


def test_another_method_changes_no_interval(tmp_path):
    values = np.random.default_rng(0).normal(size=50)
    first = scores(tmp_path / "a.parquet", "vae", values)
    second = scores(tmp_path / "b.parquet", "hvae", values)
    summarise([first], SETTINGS, tmp_path / "one.csv")
    summarise([second, first], SETTINGS, tmp_path / "two.csv")
    one, two = read(tmp_path / "one.csv"), read(tmp_path / "two.csv")
    pd.testing.assert_frame_equal(one, two[two["method"] == "vae"].reset_index(drop=True))
    assert two["low"][0] != two["low"][1]


def test_other_tables_are_refused(tmp_path):
    write_table(tmp_path / "other.parquet", pd.DataFrame({"value": [1.0]}))
    with pytest.raises(UserError, match="not a table of scores"):
        summarise([tmp_path / "other.parquet"], SETTINGS, tmp_path / "scores.csv")
    with pytest.raises(UserError, match="no scores to summarize"):
        summarise([], SETTINGS, tmp_path / "scores.csv")
    table = pd.read_parquet(scores(tmp_path / "a.parquet", "copy", [1.0, 2.0]))
    for damaged, message in (
        (table.assign(value=["1.0", "high"]), "column value is not of numbers"),
        (table.assign(seed="zero"), "column seed is not of integers"),
        (table.drop(columns="protocol"), "no column protocol"),
        (table.assign(question=WHOLE), "no column low"),
    ):
        write_table(tmp_path / "a.parquet", damaged)
        with pytest.raises(UserError, match=message) as caught:
            summarise([tmp_path / "a.parquet"], SETTINGS, tmp_path / "scores.csv")
        assert "\n" not in str(caught.value)


def test_a_copied_file_is_noticed(tmp_path):
    first = scores(tmp_path / "a.parquet", "copy", [1.0, 2.0])
    second = scores(tmp_path / "b.parquet", "copy", [1.0, 2.0])
    with pytest.raises(
        UserError, match="b.parquet: has scores that .*a.parquet has too \\(copy, truth_l1\\)"
    ):
        summarise([first, second], SETTINGS, tmp_path / "scores.csv")


def test_inconsistency_has_the_intervals_of_its_former_name():
    table = pd.DataFrame({"question": range(9), "value": np.arange(9.0), "reason": ""})
    group = {"dataset": "toy", "method": "dime", "seed": 0, "suite": "flip", "intervention": "thick"}
    former, present = (
        summary(table.assign(**group, protocol="", cycles=1, metric=f"{kind}_intensity"), SETTINGS)
        for kind in ("side", "inconsistency")
    )
    assert former.drop(columns="metric").equals(present.drop(columns="metric"))
