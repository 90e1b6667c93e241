"""Pooling over training seeds: which rows exist, which questions count, and that the order of rows is irrelevant."""

import numpy as np
import pandas as pd
import pytest

from counterfactory.metrics.pooled import POOLED, pooled_scores
from counterfactory.metrics.seeds import crossed_interval, set_interval
from counterfactory.metrics.summary import GROUP, WHOLE


def _scores(method, values, metric="l1", **more):
    """Returns the scores of one method; `values` has one list per seed."""
    return pd.DataFrame(
        [
            {**dict(zip(GROUP, ("d", method, seed, "null", "none", "", 1, metric), strict=True))}
            | {"question": question, "value": value, "low": np.nan, "high": np.nan, "n": 0, **more}
            for seed, scores in enumerate(values)
            for question, value in enumerate(scores)
        ]
    )


def test_questions_are_matched_and_those_without_a_score_of_some_seed_are_left_out():
    values = np.array([[1.0, 2.0, 4.0, np.nan], [2.0, 2.0, 3.0, 7.0]])
    table = _scores("vae", values)
    row = pooled_scores(table.sample(frac=1.0, random_state=0)).iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(crossed_interval(values[:, :3]))
    assert (row["seeds"], row["n"]) == ("0 1", 3) and row["value"] == pytest.approx(values[:, :3].mean())


def test_a_seed_without_scores_is_left_out_and_one_seed_is_not_pooled():
    diverged = _scores("vae", [[1.0, 2.0], [np.nan, np.nan], [3.0, 5.0]])
    assert pooled_scores(diverged)["seeds"].tolist() == ["0 2"]
    table = pooled_scores(pd.concat([_scores("copy", [[1.0, 2.0]]), _scores("hvae", [[1.0], [2.0]])]))
    assert list(table.columns) == POOLED and not len(table)


def test_scores_of_whole_sets_have_the_interval_of_their_seeds():
    table = _scores("vae", [[3.0], [5.0]], "fid", question=WHOLE)
    table["low"], table["high"], table["n"] = table["value"] - 1.0, table["value"] + 1.0, [64, 60]
    row = pooled_scores(table).iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(set_interval([3.0, 5.0], [(2.0, 4.0), (4.0, 6.0)]))
    assert (row["value"], row["n"]) == (4.0, 60)
