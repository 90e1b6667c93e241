"""The scores of a metric that the report does not know appear in a table for every suite that it names."""

import pandas as pd
import pytest

from counterfactory.metrics.registry import METRICS, Metric
from counterfactory.report.cells import Scores, read_scores
from counterfactory.report.explanations import explanation_tables
from counterfactory.report.score_tables import intervention_tables, main_tables
from counterfactory.report.vocabulary import describe_score
from tests.report.pretend import DATASET

SUITES = {"do": "thickness", "null": "none", "reverse": "thickness", "flip": "thick", "sweep": "thickness"}


@pytest.fixture
def scores(results):
    """The synthetic scores, and those of a new metric in every suite."""
    table = read_scores(results / "scores" / "scores.csv").table
    one = table.query("suite == 'null' and metric == 'l1' and cycles == 1")
    new = [
        one.assign(
            suite=suite, intervention=what, metric="roundness", protocol="marginal" if suite == "do" else ""
        )
        for suite, what in SUITES.items()
    ]
    return Scores(pd.concat([table, *new], ignore_index=True))


def test_every_suite_has_a_table_with_the_score(scores):
    main = {table.key: table for table in main_tables(scores, DATASET)}
    keys = [column.key for column in main["main_other"].columns]
    assert keys == [
        "do_thickness_marginal_roundness",
        "null_roundness_1",
        "reverse_roundness_1",
        "sweep_thickness_roundness_1",
    ]
    assert all(row.cells[keys.index("null_roundness_1")].value is not None for row in main["main_other"].rows)
    every = {table.key: table for table in intervention_tables(scores, DATASET)}
    assert "roundness" in [row.key for row in every["do_thickness"].rows]
    assert "do(thickness): roundness" in [row.key for row in every["reversibility"].rows]
    (flip,) = explanation_tables(scores, DATASET)
    assert [column.key for column in flip.columns] == ["roundness_n", "roundness"]
    assert flip.columns[1].group == "roundness" and flip.rows[0].cells[1].value is not None


def test_its_registry_line_may_declare_title_unit_and_direction(scores, monkeypatch):
    assert describe_score("roundness", DATASET).title == "roundness"
    metric = Metric(tuple(SUITES), scores={"roundness": ("circularity", "px", "higher")})
    monkeypatch.setitem(METRICS, "roundness", metric)
    score = describe_score("roundness", DATASET)
    assert (score.title, score.unit, score.better) == ("circularity", "px", "higher")
    (flip,) = explanation_tables(scores, DATASET)
    assert flip.columns[1].title == "circularity" and flip.columns[1].better == "higher"
    assert sum(row.cells[1].best for row in flip.rows) >= 1
