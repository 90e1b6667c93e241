"""Scores of queries: means over samples first, intervals over actual images, truth at the value that is shown."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.data.dataset import Dataset, Variable
from counterfactory.metrics import queries as scores

BOOTSTRAP = SimpleNamespace(seed=0, resamples=200, level=0.95)


class Oracle:
    attributes = {"big": {"of": "size", "above": 2.5}}

    def predict(self, images):
        return {"big": (images.mean((1, 2, 3)) > 100).astype(int), "kind": images[:, 0, 0, 0] % 3}

    def embed(self, images):
        return images.reshape(len(images), -1)[:, :2].astype(float)


def test_facts_that_hold_are_counted_and_unknown_ones_left_out():
    images = np.stack([np.full((1, 2, 2), level, np.uint8) for level in (0, 120, 121)])
    assert scores.holds(Oracle(), images, {"big": 1}).tolist() == [0, 1, 1]
    assert scores.holds(Oracle(), images, {"big": 1, "kind": 0}).tolist() == [0.5, 1, 0.5]
    assert scores.holds(Oracle(), images, {"big": 1, "size": 3.0}).tolist() == [0, 1, 1]
    assert np.isnan(scores.holds(Oracle(), images, {"size": 3.0})).all()


def test_every_actual_image_counts_once():
    asked = pd.DataFrame({"stickiness": 0.5, "actual": [0, 0, 0, 1, 1, 1]})
    values = {
        "l1": np.array([1.0, 1, 1, 3, 3, 3]),
        "log_evidence": np.array([-np.inf, np.nan, -2, -4, -4, -4]),
    }
    rows = {row["metric"]: row for row in scores._tidy(values, asked, BOOTSTRAP)}
    assert rows["l1"]["value"] == 2
    assert rows["l1"]["n"] == 2
    assert 1 <= rows["l1"]["low"] < rows["l1"]["high"] <= 3
    assert rows["log_evidence"]["value"] == -3


@pytest.fixture
def dataset(monkeypatch) -> Dataset:
    def parents(attributes, do):
        size = np.where(np.isnan(do["size"]), attributes["size"], do["size"])
        shade = np.where(
            np.isnan(do["shade"]), attributes["shade"] + 10 * (size - attributes["size"]), do["shade"]
        )
        return {"size": size, "shade": shade, "kind": attributes["kind"]}

    def render(data, attributes, values, threads=1):
        images = np.zeros((len(attributes), 1, 1, 2), np.uint8)
        images[:, 0, 0, 0], images[:, 0, 0, 1] = values["size"], values["shade"]
        return images, np.ones(len(attributes), dtype=bool)

    world = SimpleNamespace(counterfactual_parents=parents, render_counterfactual=render)
    monkeypatch.setattr(scores, "world", lambda name: world)
    variables = (
        Variable("size", "continuous", "px", low=1.0, high=4.0),
        Variable("shade", "continuous", "", low=0.0, high=250.0),
        Variable("kind", "categorical", classes=3),
    )
    return Dataset("toys", variables, (("size", "shade"),), (1, 1, 2), True)


TEST = pd.DataFrame({"size": [2.0, 3.0], "shade": [20.0, 30.0], "kind": [0, 1]})


def test_the_truth_is_at_the_value_set_or_at_the_value_shown(dataset):
    seen = {"given": {}, "premise": {"big": 1}, "by": "observe"}
    asked = pd.DataFrame({"index": [0, 1, 0]})
    moved = {"size": np.array([1.0, 0.5, 99.0]), "shade": np.zeros(3)}
    images, there = scores.true_images(seen, asked, moved, dataset, TEST, Oracle(), "data")
    assert there.all()
    assert images[:, 0, 0].tolist() == [[3, 30], [3, 35], [4, 40]]  # no further than the world goes
    made = asked.assign(do_size=[1.0, 4.0, 2.0])
    images, _ = scores.true_images({**seen, "by": "do"}, made, moved, dataset, TEST, Oracle(), "data")
    assert images[:, 0, 0].tolist() == [[1, 10], [4, 40], [2, 20]]


def test_there_is_no_truth_of_another_class_or_of_a_drawn_image(dataset):
    asked = pd.DataFrame({"index": [0, 1]})
    moved = {"size": np.zeros(2), "shade": np.zeros(2)}
    for premise, rows in (({"kind": 2}, asked), ({"big": 1}, asked.assign(index=-1))):
        query = {"given": {}, "premise": premise, "by": "observe"}
        _, there = scores.true_images(query, rows, moved, dataset, TEST, Oracle(), "data")
        assert not there.any()


def test_a_query_without_answers_has_an_empty_table_and_opens_no_model(tmp_path, monkeypatch):
    (tmp_path / "odd.json").write_text('{"unanswered": "brigt = 1 is never seen"}')
    pd.DataFrame({"actual": [], "stickiness": []}).to_parquet(tmp_path / "odd.parquet")
    for name in ("load_classifier", "load_dataset", "load_split"):
        monkeypatch.setattr(scores, name, lambda *given: pytest.fail("nothing is to be scored"))
    scores.score_query("odd", tmp_path, None, tmp_path, tmp_path, tmp_path / "scores.parquet")
    table = pd.read_parquet(tmp_path / "scores.parquet")
    assert not len(table)
    assert list(table) == ["query", "stickiness", "metric", "value", "low", "high", "n"]
