"""Scores of queries: means over samples, intervals over actual images, the true counterfactual."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.data.dataset import Dataset, Variable
from counterfactory.metrics import queries as scores
from counterfactory.metrics.resources import Resources

RESOURCES = Resources(None, Path("data"), Path("models"))
BOOTSTRAP = SimpleNamespace(seed=0, resamples=200, level=0.95)


class Oracle:
    attributes = {"big": {"of": "size", "above": 2.5}}

    def predict(self, images):
        return {"big": (images.mean((1, 2, 3)) > 100).astype(int), "kind": images[:, 0, 0, 0] % 3}

    def embed(self, images):
        return images.reshape(len(images), -1)[:, :2].astype(float)


def test_holds_is_the_share_of_predicted_facts():
    images = np.stack([np.full((1, 2, 2), level, np.uint8) for level in (0, 120, 121)])
    assert scores.holds(Oracle(), images, {"big": 1}).tolist() == [0, 1, 1]
    assert scores.holds(Oracle(), images, {"big": 1, "kind": 0}).tolist() == [0.5, 1, 0.5]
    assert scores.holds(Oracle(), images, {"big": 1, "size": 3.0}).tolist() == [0, 1, 1]
    assert np.isnan(scores.holds(Oracle(), images, {"size": 3.0})).all()


def test_samples_of_one_actual_image_are_averaged():
    answers = pd.DataFrame({"stickiness": 0.5, "actual": [0, 0, 0, 1, 1, 1]})
    values = {
        "l1": np.array([1.0, 1, 1, 3, 3, 3]),
        "log_evidence": np.array([-np.inf, np.nan, -2, -4, -4, -4]),
    }
    rows = {row["metric"]: row for row in scores._tidy(values, answers, BOOTSTRAP)}
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


def test_the_true_image_has_the_value_that_was_set_or_is_shown(dataset):
    seen = {"given": {}, "premise": {"big": 1}, "by": "observe"}
    answers = pd.DataFrame({"index": [0, 1, 0]})
    moved = {"size": np.array([1.0, 0.5, 99.0]), "shade": np.zeros(3)}
    images, there = scores.true_images(seen, answers, moved, dataset, TEST, Oracle(), RESOURCES)
    assert there.all()
    assert images[:, 0, 0].tolist() == [[3, 30], [3, 35], [4, 40]]  # clipped to the range of the world
    made = answers.assign(do_size=[1.0, 4.0, 2.0])
    images, _ = scores.true_images({**seen, "by": "do"}, made, moved, dataset, TEST, Oracle(), RESOURCES)
    assert images[:, 0, 0].tolist() == [[1, 10], [4, 40], [2, 20]]


def test_a_class_or_a_drawn_image_has_no_true_image(dataset):
    answers = pd.DataFrame({"index": [0, 1]})
    moved = {"size": np.zeros(2), "shade": np.zeros(2)}
    for premise, rows in (({"kind": 2}, answers), ({"big": 1}, answers.assign(index=-1))):
        query = {"given": {}, "premise": premise, "by": "observe"}
        _, there = scores.true_images(query, rows, moved, dataset, TEST, Oracle(), RESOURCES)
        assert not there.any()


def test_a_threshold_on_a_class_has_a_true_image_only_if_the_class_was_set(dataset, monkeypatch):
    monkeypatch.setattr(scores, "undetermined", lambda dataset: ())
    moved = {"size": np.zeros(2), "shade": np.zeros(2)}
    oracle = Oracle()
    oracle.attributes = {"late": {"of": "kind", "above": 0.5}, "label": {"of": "label", "above": 0.5}}
    asked = {"given": {}, "premise": {"late": 1}}
    answers = pd.DataFrame({"index": [0, 1]})

    def parents(attributes, do):
        kind = np.where(np.isnan(do["kind"]), attributes["kind"], do["kind"])
        return {"size": attributes["size"], "shade": 50.0 * kind, "kind": kind}

    scores.world("toys").counterfactual_parents = parents
    _, there = scores.true_images(
        {**asked, "by": "observe"}, answers, moved, dataset, TEST, oracle, RESOURCES
    )
    assert not there.any()
    made = answers.assign(do_kind=[2.0, 1.0])
    images, there = scores.true_images({**asked, "by": "do"}, made, moved, dataset, TEST, oracle, RESOURCES)
    assert there.all() and images[:, 0, 0].tolist() == [[2, 100], [3, 50]]
    for premise, there in (({"kind": 2}, True), ({"label": 1}, False)):
        query = {"given": {}, "premise": premise, "by": "observe"}
        assert scores.true_images(query, answers, moved, dataset, TEST, oracle, RESOURCES)[1].all() == there
    # A quantity that the world does not measure.
    oracle.attributes = {"big": {"of": "size", "above": 2.5}}
    query = {"given": {}, "premise": {"big": 1}, "by": "observe"}
    assert not scores.true_images(query, answers, {}, dataset, TEST, oracle, RESOURCES)[1].any()


def test_a_query_without_answers_reads_no_model(tmp_path, monkeypatch):
    (tmp_path / "odd.json").write_text('{"unanswered": "brigt = 1 is never seen"}')
    pd.DataFrame({"actual": [], "stickiness": []}).to_parquet(tmp_path / "odd.parquet")
    for name in ("load_classifier", "load_dataset", "load_split"):
        monkeypatch.setattr(scores, name, lambda *args: pytest.fail("reads a model or data"))
    scores.score_query("odd", tmp_path, Resources(None, tmp_path, tmp_path), tmp_path / "scores.parquet")
    table = pd.read_parquet(tmp_path / "scores.parquet")
    assert not len(table)
    assert list(table) == ["query", "stickiness", "metric", "value", "low", "high", "n"]
