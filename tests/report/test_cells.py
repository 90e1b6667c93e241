import numpy as np
import pandas as pd
import pytest

from counterfactory.core.errors import UserError
from counterfactory.metrics.summary import COLUMNS
from counterfactory.report.cells import Scores, Select, read_scores


def _scores(rows):
    return Scores(pd.DataFrame([("m", *row) for row in rows], columns=COLUMNS))


def _row(method="a", seed=0, what="t", value=1.0, low=0.5, high=1.5, reason="", suite="do", cycles=1):
    return (method, seed, suite, what, "marginal", cycles, "l1", value, low, high, 10, reason)


SELECT = Select("do", "l1", ("t",), "marginal")


def test_one_seed_keeps_its_interval():
    cell = _scores([_row()]).cell(SELECT, "a")
    assert (cell.value, cell.low, cell.high, cell.spread, cell.n) == (1.0, 0.5, 1.5, None, 10)


def test_several_seeds_give_mean_and_sample_deviation():
    cell = _scores([_row(seed=k, value=float(v)) for k, v in enumerate((1, 2, 6))]).cell(SELECT, "a")
    assert cell.value == pytest.approx(3.0) and cell.seeds == 3 and cell.low is None
    assert cell.spread == pytest.approx(np.std([1, 2, 6], ddof=1))


def _pooled(seeds, low, high, what="t"):
    row = ("m", "a", "do", what, "marginal", 1, "l1", seeds, 3.0, low, high, 10)
    return pd.DataFrame(
        [row],
        columns=[*(name for name in COLUMNS[:8] if name != "seed"), "seeds", "value", "low", "high", "n"],
    )


@pytest.mark.parametrize(("seeds", "ends"), [("0 1 2", (-1.0, 7.0)), ("0 1", (None, None))])
def test_several_seeds_have_the_interval_that_was_pooled_over_exactly_these(seeds, ends):
    table = pd.DataFrame(
        [("m", *_row(seed=k, value=float(v))) for k, v in enumerate((1, 2, 6))], columns=COLUMNS
    )
    cell = Scores(table, _pooled(seeds, -1.0, 7.0)).cell(SELECT, "a")
    assert (cell.low, cell.high) == ends and cell.value == pytest.approx(3.0) and cell.seeds == 3


def test_a_missing_score_keeps_its_reason():
    scores = _scores([_row(), _row("b", value=np.nan, low=np.nan, high=np.nan, reason="no truth")])
    assert scores.cell(SELECT, "b").value is None and scores.cell(SELECT, "b").reason == "no truth"
    assert scores.cell(SELECT, "c").reason == "not scored"


def test_a_seed_without_a_score_is_excluded_from_the_mean():
    scores = _scores([_row(seed=0), _row(seed=1, value=np.nan, reason="diverged")])
    cell = scores.cell(SELECT, "a")
    assert cell.value == 1.0 and cell.spread is None and cell.reason == "diverged"


def test_the_mean_over_interventions_needs_all_of_them_and_has_the_mean_interval():
    both = Select("do", "l1", ("t", "i"), "marginal")
    scores = _scores(
        [
            _row(),
            _row(what="i", value=3.0, low=2.0, high=4.0),
            _row("b"),
            _row("b", what="i", value=np.nan, reason="x"),
        ]
    )
    cell = scores.cell(both, "a")
    assert (cell.value, cell.low, cell.high, cell.n) == (2.0, 1.25, 2.75, 20)
    assert scores.cell(both, "b").value is None


NO_FLIP, FEW = "the prediction did not flip", "the method answers fewer images"
MISSING = {"value": np.nan, "low": np.nan, "high": np.nan}


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        # A mean is missing because of the intervention without a value.
        ({"reason": f"11 of 12 absent: {NO_FLIP}"}, {**MISSING, "reason": NO_FLIP}, NO_FLIP),
        ({"reason": "of 4 images, fewer than 2,048"}, {**MISSING, "reason": NO_FLIP}, NO_FLIP),
        (
            {"reason": f"8 of 12 absent: {FEW}"},
            {**MISSING, "reason": f"{NO_FLIP}; {FEW}"},
            f"{NO_FLIP}; {FEW}",
        ),
        ({**MISSING, "reason": NO_FLIP}, {**MISSING, "reason": f"{NO_FLIP}; {FEW}"}, f"{NO_FLIP}; {FEW}"),
        # A mean of fewer questions names their number once.
        ({"reason": f"2 of 12 absent: {NO_FLIP}"}, {}, f"2 of 12 absent: {NO_FLIP}"),
        (
            {"reason": f"2 of 12 absent: {NO_FLIP}"},
            {"reason": f"3 of 12 absent: {FEW}; {NO_FLIP}"},
            f"5 of 24 absent: {NO_FLIP}; {FEW}",
        ),
        ({"reason": FEW}, {"reason": FEW}, FEW),
        ({}, {}, ""),
    ],
)
def test_a_mean_names_no_reason_twice(first, second, expected):
    both = Select("do", "l1", ("t", "i"), "marginal")
    scores = _scores([_row(what="t", **first), _row(what="i", **second)])
    assert scores.cell(both, "a").reason == expected


def test_absent_questions_of_several_seeds_are_added():
    rows = [_row(seed=k, reason=f"{k} of 12 absent: {NO_FLIP}" if k else "") for k in range(3)]
    assert _scores(rows).cell(SELECT, "a").reason == f"3 of 34 absent: {NO_FLIP}"


def test_rows_are_ordered_from_floor_to_ceiling():
    scores = _scores([_row("truth"), _row("b"), _row("copy"), _row("a")])
    assert scores.methods == ["copy", "b", "a", "truth"]


def test_the_suite_null_is_read_as_a_word(tmp_path):
    path = tmp_path / "scores.csv"
    frame = pd.DataFrame([("m", *_row(suite="null", what="none"))], columns=COLUMNS)
    frame["protocol"] = ""
    frame.to_csv(path, index=False)
    scores = read_scores(path)
    assert scores.values("suite") == ["null"] and scores.values("intervention") == ["none"]
    assert scores.cell(Select("null", "l1", ("none",)), "a").value == 1.0


@pytest.mark.parametrize("text", ["a,b\n1,2\n", ",".join(COLUMNS) + "\n"])
def test_an_invalid_table_of_scores_raises_a_one_line_error(tmp_path, text):
    path = tmp_path / "scores.csv"
    path.write_text(text)
    with pytest.raises(UserError, match="scores.csv") as caught:
        read_scores(path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="no such file"):
        read_scores(tmp_path / "none.csv")
