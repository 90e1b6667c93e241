"""A data set of binary variables only: classifier, flips of variables and of a label that is no parent, and answers."""

import json
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from counterfactory.answers.store import gather
from counterfactory.core.files import read_json, read_table
from counterfactory.core.run import Run
from counterfactory.data.dataset import load_split
from counterfactory.methods import run as answers
from counterfactory.methods.registry import METHODS, Method
from counterfactory.methods.run import NOT_SET, Job, answer
from counterfactory.metrics.correlation import compute_reference, correlations, read_correlations
from counterfactory.metrics.resources import Resources
from counterfactory.models.classifier.model import load_classifier
from counterfactory.models.classifier.train import train_classifier
from counterfactory.models.judges.train import train_judge
from counterfactory.questions.flip import write_questions
from tests.blocks import BLOCKS
from tests.models.test_classifier import model_settings
from tests.models.test_judges import judge_settings

pytest_plugins = ["tests.blocks"]

NAMES = ["Male", "Bald", "Smiling"]


def test_rare_labels_are_learned_with_weights(blocks, tmp_path):
    settings = model_settings(steps=60)
    settings.positive_weight = 15.0
    train_classifier(settings, Run("oracle", blocks, tmp_path, tmp_path / "oracle", attributes={}))
    meta, model = read_json(tmp_path / "oracle" / "model.json"), load_classifier(tmp_path / "oracle")
    assert list(model.names) == NAMES and model.categorical == () and model.sizes == dict.fromkeys(NAMES, 2)
    assert meta["attributes"]["Smiling"] == {"of": "Smiling", "above": 0.5} and meta["constant"] == {}
    train = int(meta["images"]["train"])
    weights = meta["positive_weights"]
    assert weights["Smiling"] == pytest.approx(min(15.0, weights["Smiling"])) and weights["Smiling"] > 5.0
    assert weights["Male"] == pytest.approx(1.0, abs=0.5) and train < 200
    errors = meta["errors"]["test"]
    assert errors["Smiling"]["f1"] > 0.8 and errors["Smiling"]["balanced_accuracy"] > 0.9
    test = load_split(blocks, "test")
    said, true = model.predict(test.images)["Smiling"], test.attributes["Smiling"].to_numpy()
    positive = ((said == 1) & (true == 1)).sum()
    assert errors["Smiling"]["f1"] == pytest.approx(2 * positive / (said.sum() + true.sum()))

    # The correlations of CD are those of the labels, among them the one that is no parent.
    resources = Resources(SimpleNamespace(), blocks, tmp_path)
    compute_reference(resources, {}, tmp_path / "reference.safetensors")
    found = read_correlations(tmp_path / "reference.safetensors", 3)
    labels = load_split(blocks, "train").attributes[NAMES].to_numpy(float)
    np.testing.assert_allclose(found, correlations(labels))
    np.testing.assert_allclose(found, np.corrcoef(labels.T))


def test_a_judge_of_a_rare_class(blocks, tmp_path):
    settings = judge_settings(steps=60, valid_every=30, positive_weight=10.0)
    train_judge(settings, Run("judges/Bald", blocks, tmp_path, tmp_path / "judge"))
    meta = read_json(tmp_path / "judge" / "model.json")
    assert 5.0 < meta["positive_weight"] <= 10.0
    assert {"accuracy", "f1", "balanced_accuracy"} <= set(meta["errors"]["test"])


@pytest.fixture
def questions(blocks):
    flip = SimpleNamespace(images=20, attributes=NAMES, targets={}, repeats=1, repeat_images=0)
    path = blocks.parent / "questions" / "flip.parquet"
    write_questions("flip", SimpleNamespace(seed=0, flip=flip), blocks, path, {})
    return path


def test_flips_of_variables_and_of_a_label(blocks, questions):
    table, test = read_table(questions), load_split(blocks, "test").attributes
    assert table["attribute"].tolist() == NAMES * 20
    for row in table.itertuples():
        (action,) = json.loads(row.steps)
        assert row.label == test[row.attribute][row.index] and row.target == 1 - row.label
        assert action == ({} if row.attribute == "Smiling" else {row.attribute: row.target})
        if row.attribute == "Smiling":  # a label changes no parent
            assert (row.true_Male, row.true_Bald) == (test["Male"][row.index], test["Bald"][row.index])


def test_a_causal_method_leaves_a_label_unanswered_with_a_reason(blocks, questions, monkeypatch):
    def respond(batch):
        parents = {
            name: np.where(np.isnan(batch.do[name]), values, batch.do[name])
            for name, values in batch.parents.items()
        }
        return 255 - batch.images, parents

    respond.columns, respond.network_calls = {}, 1
    models = blocks.parent / "models"
    (models / "vae" / "seed0").mkdir(parents=True)
    (models / "vae" / "seed0" / "model.safetensors").write_bytes(b"weights")
    module = SimpleNamespace(load=lambda **given: respond)
    monkeypatch.setitem(sys.modules, "counterfactory.methods.causal_here", module)
    monkeypatch.setitem(METHODS, "causal_here", Method("Causal", models=("vae",)))
    monkeypatch.setattr(answers, "code_hash", lambda *modules: "code")
    out = blocks.parent / "answers" / "causal_here" / "flip"
    job = Job("causal_here", "flip", "000000-000060", blocks, models, questions, out)
    answer(SimpleNamespace(batch_size=8), job)
    _, table = gather(out.parent, "flip", questions)
    label = (table["attribute"] == "Smiling").to_numpy()
    assert (table["answered"].to_numpy() == ~label).all()
    assert set(table["reason"][label]) == {NOT_SET} and set(table["reason"][~label]) == {""}
    assert BLOCKS.names == ("Male", "Bald")
