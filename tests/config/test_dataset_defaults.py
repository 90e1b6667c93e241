import shutil
from pathlib import Path

import pytest
import yaml

from counterfactory.config import Settings, commented_yaml, load_section, load_settings, reference
from counterfactory.config.dataset_defaults import declared_paths
from counterfactory.core.errors import UserError
from counterfactory.data.outputs import outputs_of
from counterfactory.data.registry import DATASETS, DatasetEntry
from counterfactory.data.variable import Variable
from counterfactory.methods.registry import METHODS
from counterfactory.questions.registry import SUITES
from tests.workflow.forked import call

ROOT = Path(__file__).parents[2]


DECLARED = [name for name, entry in DATASETS.items() if not entry.declare]
"""The data sets whose variables do not depend on the configuration."""


@pytest.mark.parametrize("name", DECLARED)
def test_each_data_set_alone_is_a_configuration(name):
    settings, entry = load_settings({"dataset": name}), DATASETS[name]
    assert settings.questions.do.interventions == [*entry.classes, "random"]
    assert settings.questions.reverse.interventions == list(entry.classes)
    assert set(settings.attributes) == set(entry.attributes)
    assert set(settings.queries.by_name) == set(entry.queries)
    assert settings.models.hvae.network.exposure == list(entry.exposure)
    asked = {suite for suite in SUITES if settings.questions.count(suite, entry)}
    assert {"do", "null", "reverse", "sweep"} <= asked
    assert ("flip" in asked) == bool(entry.flips)
    assert all(set(METHODS[method].suites) & asked for method in settings.methods)


@pytest.mark.parametrize("name", DECLARED)
def test_each_data_set_alone_has_every_method(name):
    flips = bool(DATASETS[name].flips)
    methods = [method for method in METHODS if flips or set(METHODS[method].suites) != {"flip"}]
    load_settings({"dataset": name, "methods": methods})


@pytest.mark.parametrize("name", DECLARED)
def test_declarations_name_what_the_data_set_has(name):
    entry = DATASETS[name]
    assert set(entry.exposure) <= set(entry.classes)
    for of, _ in entry.attributes.values():
        assert of in entry.classes or of in entry.measured
    for flip in entry.flips:
        assert (
            flip in outputs_of(entry.attributes, entry.variables, entry.labels).sizes
            or flip in entry.attributes
        )
    assert set(entry.settings) <= declared_paths()


@pytest.mark.slow
@pytest.mark.parametrize("name", DECLARED)
def test_each_data_set_alone_plans(name, tmp_path):
    shutil.copy(ROOT / "config.yaml", tmp_path)
    where = ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    done = call("snakemake", ["-n", "-q", *where, "--config", f"dataset={name}"], ROOT)
    assert done.returncode == 0, done.stderr[-2000:]


def test_the_default_data_set_is_that_of_the_schema():
    assert load_settings({}) == load_settings({"dataset": "morphomnist"}) == Settings()


def test_a_data_set_that_declares_nothing_has_defaults(monkeypatch):
    # Names of variables that exist: the types of the configuration are made when it is imported.
    variables = (Variable("angle", "continuous"), Variable("colour", "categorical", classes=3))
    monkeypatch.setitem(DATASETS, "pendulum", DatasetEntry(variables, "drawings", 100_000, 5_000))
    settings = load_settings({"dataset": "pendulum"})
    assert settings.methods == ["copy", "vae", "hvae"]
    assert settings.questions.do.interventions == ["angle", "colour", "random"]
    assert not {"measured", "graph_consistency"} & set(settings.scores.metrics)
    assert settings.report.title == "Counterfactuals on pendulum"


def test_precedence():
    """The built-in default, the default of the data set, `training`, the user."""
    assert load_settings({}).judges.shift == 2
    assert load_settings({"dataset": "pendulum"}).judges.shift == 0
    assert load_settings({"dataset": "pendulum", "judges": {"shift": 1}}).judges.shift == 1
    settings = load_settings({"dataset": "pendulum", "training": {"threads": 3}, "judges": {"width": 4}})
    assert (settings.judges.training.threads, settings.judges.shift, settings.judges.width) == (3, 0, 4)
    questions = {"do": {"interventions": ["light"]}}
    settings = load_settings({"dataset": "pendulum", "questions": questions})
    assert settings.questions.do.interventions == ["light"]
    assert len(settings.questions.reverse.interventions) == 4


def test_training_overrides_the_data_set(monkeypatch):
    monkeypatch.setitem(DATASETS["pendulum"].settings, "judges.training.threads", 2)
    assert load_settings({"dataset": "pendulum"}).judges.training.threads == 2
    assert load_settings({"dataset": "pendulum", "training": {"threads": 3}}).judges.training.threads == 3


def test_a_name_is_added_to_those_of_the_data_set_and_null_removes_one():
    own = {"tilted": {"of": "angle", "above": 0}}
    assert list(load_settings({"dataset": "pendulum", "attributes": own}).attributes) == ["tilted"]
    settings = load_settings(
        {"dataset": "morphomnist_slant", "attributes": {"thick": {"above": 3}, "wide": None}}
    )
    assert settings.attributes["thick"].above == 3.0
    assert settings.attributes["wide"] is None and "bright" not in settings.attributes


def test_flips_of_the_user_bring_explainers():
    own = {
        "attributes": {"tilted": {"of": "angle", "above": 0}},
        "questions": {"flip": {"attributes": ["tilted"]}},
    }
    settings = load_settings({"dataset": "pendulum", **own})
    assert "dime" in settings.methods and settings.questions.count("flip", settings.entry)


def test_resolutions_follow_the_image_size():
    for size, resolutions in {32: [16, 8, 4, 1], 64: [32, 16, 8, 1], 48: [24, 12, 6, 1]}.items():
        settings = load_settings({"dataset": "pendulum", "data": {"image_size": size}})
        assert settings.models.hvae.network.resolutions == resolutions
    network = {"patch": 1, "resolutions": [32, 16, 2, 1]}
    settings = load_settings({"dataset": "pendulum", "models": {"hvae": {"network": network}}})
    assert settings.models.hvae.network.resolutions == [32, 16, 2, 1]


@pytest.mark.parametrize("name", DECLARED)
def test_a_step_receives_exactly_the_sections_of_the_configuration(name):
    settings = load_settings({"dataset": name})
    dumped = settings.model_dump(mode="json")
    assert load_section("attributes", dumped["attributes"]) == settings.attributes
    assert load_section("questions", dumped["questions"]) == settings.questions
    assert load_section("queries", dumped["queries"]) == settings.queries
    assert load_section("models.vae", dumped["models"]["vae"]) == settings.models.vae


def test_documents_say_what_the_data_set_declares():
    page = reference()
    assert "declared by the data set; ``[thickness, intensity, digit, random]``" in page
    assert "declared by the data set; ``[intensity]``" in page
    text = commented_yaml(load_settings({"dataset": "pendulum"}))
    assert "random: each parent with probability one half, at least one. Default: declared" in text.replace(
        "\n    # ", " "
    )
    assert load_settings(yaml.safe_load(text)) == load_settings({"dataset": "pendulum"})


def refusal(given):
    with pytest.raises(UserError) as raised:
        load_settings(given)
    return str(raised.value)


def test_the_classifier_predicts_every_categorical_variable():
    assert outputs_of({}, DATASETS["colour_mnist"].variables).sizes == {"digit": 10, "colour": 10}
    assert outputs_of({}, DATASETS["pendulum"].variables).sizes == {}
    load_settings({"dataset": "colour_mnist", "questions": {"flip": {"attributes": ["digit", "colour"]}}})
    message = refusal({"dataset": "colour_mnist", "questions": {"flip": {"attributes": ["hue"]}}})
    assert message == "config: questions.flip.attributes contains 'hue'; choose from digit, colour"
