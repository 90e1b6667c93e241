import inspect
import json
import re
from pathlib import Path

import hypothesis
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from counterfactory.config import (
    HvaeNetwork,
    HvaeSettings,
    Settings,
    TrainingSettings,
    VaeNetwork,
    commented_yaml,
    load_section,
    load_settings,
    merge,
    read_config,
    schema,
)
from counterfactory.core.errors import UserError
from counterfactory.methods.registry import METHODS
from counterfactory.metrics.registry import METRICS

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "workflow" / "presets").glob("*.yaml"))


def refusal(given: dict) -> str:
    with pytest.raises(UserError) as raised:
        load_settings(given)
    message = str(raised.value)
    assert "\n" not in message
    return message


def test_config_yaml_is_the_defaults_each_key_explained():
    text = (ROOT / "config.yaml").read_text()
    assert text == commented_yaml(), "run: make config"
    assert load_settings(yaml.safe_load(text)) == load_settings({}) == Settings()


def test_schema_file_is_that_of_the_models():
    written = json.loads((ROOT / "workflow" / "schemas" / "config.schema.json").read_text())
    assert written == schema(), "run: make config"


def test_config_yaml_satisfies_the_schema():
    import jsonschema

    keys = merge({}, yaml.safe_load((ROOT / "config.yaml").read_text()))
    keys["questions"] = merge({}, keys["questions"])  # the key `null` is None to YAML
    jsonschema.validate(keys, schema())


def test_every_field_says_what_it_is():
    definitions = schema()["$defs"] | {"Settings": schema()}
    for name, section in definitions.items():
        assert section["additionalProperties"] is False, name
        for key, field in section["properties"].items():
            of = field if "description" in field else definitions[field["$ref"].split("/")[-1]]
            assert of["description"], f"{name}.{key}"


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_are_valid_and_keep_their_results_apart(path):
    settings = load_settings(read_config([ROOT / "config.yaml", path]))
    # `all` asks more methods of the default's own run.
    assert settings.results == ("results" if path.stem == "all" else f"results/{path.stem}")


def test_paper_preset_has_the_published_sizes():
    from counterfactory.models.image.hvae import Hvae
    from counterfactory.models.image.vae import Vae

    settings = load_settings(
        read_config([ROOT / "config.yaml", ROOT / "workflow" / "presets" / "paper.yaml"])
    )
    data = settings.data
    assert (data.train + data.valid + data.judges, data.test) == (60_000, 10_000)
    for network, sizes, count in (
        (Vae, settings.models.vae.network, 208_274),
        (Hvae, settings.models.hvae.network, 2_041_122),
    ):
        assert (
            sum(weights.numel() for weights in network((1, 32, 32), 12, **dict(sizes)).parameters()) == count
        )


def test_paper_preset_tells_the_published_network_for_faces():
    import torch

    from counterfactory.nets.unet import UNet

    path = ROOT / "workflow" / "presets" / "paper.yaml"
    network = load_settings(read_config([ROOT / "config.yaml", path])).models.ddpm.network
    faces = network.model_copy(update={"multipliers": [1, 1, 2, 3, 4], "blocks": 2, "attention": [32, 16, 8]})
    with torch.device("meta"):
        for sizes, shape, count in ((network, (1, 32, 32), 57_087_746), (faces, (3, 128, 128), 105_198_598)):
            parameters = UNet(shape, **dict(sizes)).parameters()
            assert sum(weights.numel() for weights in parameters) == count
            assert f"{count:,} parameters" in path.read_text().replace("\n    #", "")


@pytest.mark.parametrize(
    ("given", "named", "meant"),
    [
        (
            {"models": {"hvae": {"training": {"stesp": 1}}}},
            "models.hvae.training.stesp is not a key",
            "'steps'",
        ),
        (
            {"models": {"hvae": {"steps": 1}}},
            "models.hvae.steps is not a key",
            "'models.hvae.training.steps'",
        ),
        ({"method": ["vae"]}, "method is not a key", "'methods'"),
        ({"methods": ["vae", "hvea"]}, "methods[1] is 'hvea'", "'hvae'"),
        ({"dataset": "morphomist"}, "dataset is 'morphomist'", "morphomnist"),
        ({"scores": {"metrics": ["axiom"]}}, "scores.metrics[0] is 'axiom'", "'axioms'"),
        ({"answers": {"effect": "directly"}}, "answers.effect is 'directly'", "'direct'"),
        ({"device": "gpu"}, "device is 'gpu'", "choose from auto, cpu, cuda"),
        ({"data": {"train": "many"}}, "data.train is 'many'", "whole number"),
        ({"data": {"train": "12"}}, "data.train is '12'", "whole number"),
        ({"data": {"train": 1.5}}, "data.train is 1.5", "whole number"),
        ({"seeds": [True]}, "seeds[0] is True", "whole number"),
        ({"seeds": 0}, "seeds is 0", "a list"),
        ({"seeds": []}, "seeds is []", "at least 1 item"),
        ({"data": 3}, "data is 3", "keys and values"),
        ({"data": None}, "data is None", "keys and values"),
        ({"scores": {"bootstrap": {"level": 95}}}, "scores.bootstrap.level is 95", "less than 1"),
        (
            {"models": {"vae": {"training": {"learning_rate": 0}}}},
            "models.vae.training.learning_rate is 0",
            "greater than 0",
        ),
        ({"models": {"vae": {"training": {"betas": [0.9]}}}}, "models.vae.training.betas[1] is missing", ""),
        (
            {"questions": {"do": {"protocols": ["marginel"]}}},
            "questions.do.protocols[0] is 'marginel'",
            "'marginal'",
        ),
    ],
)
def test_a_mistake_is_one_line_naming_the_key_and_the_mend(given, named, meant):
    message = refusal(given)
    assert named in message
    assert meant in message.partition(named)[2]


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"data": {"train": 50_000}}, "data.train + data.valid + data.judges is 64,000"),
        ({"data": {"test": 10_001}}, "data.test is 10,001"),
        ({"questions": {"do": {"images": 2_001}}}, "questions.do.images is 2,001"),
        ({"seeds": [1, 0, 1]}, "seeds names 1 twice"),
        ({"methods": ["vae", "vae"]}, "methods names 'vae' twice"),
        ({"methods": ["copy", "dime"], "finetune": True}, "finetune is true, but methods names nothing"),
        ({"questions": {"null": {"cycles": [1, 1]}}}, "questions.null.cycles names 1 twice"),
        ({"answers": {"effect": "total"}}, "models.hvae.network.prior: conditional"),
        ({"models": {"hvae": {"network": {"widths": [8, 8]}}}}, "models.hvae.network.widths has 2 entries"),
        ({"models": {"ddpm": {"network": {"patch": 3}}}}, "models.ddpm.network.multipliers has 3 entries"),
        ({"models": {"ddpm": {"network": {"groups": 5}}}}, "models.ddpm.network.groups is 5"),
        ({"judges": {"training": {"batch_size": 12_001}}}, "judges.training.batch_size is 12,001"),
        (
            {"questions": {suite: {"images": 0} for suite in ("do", "null", "reverse", "flip")}},
            "questions ask nothing",
        ),
    ],
)
def test_values_that_do_not_fit_together_are_refused(given, named):
    assert named in refusal(given)


def test_a_data_set_is_asked_only_what_it_has(monkeypatch):
    from counterfactory.config import cross_checks as cross_checks
    from counterfactory.data.registry import DatasetEntry

    entry = DatasetEntry({"thickness": 0, "digit": 10}, "MNIST", 60_000, 10_000)
    monkeypatch.setitem(cross_checks.DATASETS, "morphomnist", entry)
    assert "questions.do.interventions names 'intensity', which morphomnist does not have" in refusal({})
    questions = {"do": {"interventions": ["digit", "random"]}, "reverse": {"interventions": ["thickness"]}}
    assert "methods names 'truth', but morphomnist is not simulated" in refusal({"questions": questions})


def test_fine_tuning_is_one_switch():
    methods = ["copy", "vae", "hvae", "hvae_ft", "truth"]
    assert load_settings({"methods": methods}).methods == methods
    switched = load_settings({"methods": methods, "finetune": True})
    assert switched.methods == ["copy", "vae", "vae_ft", "hvae", "hvae_ft", "truth"]


def test_a_model_that_no_method_asks_is_not_held_against_the_data():
    load_settings({"methods": ["copy", "truth"], "answers": {"effect": "total"}})


def test_what_is_left_out_of_a_section_has_the_default_of_that_section():
    given = load_settings({"models": {"hvae": {"training": {"steps": 7}}}})
    default = Settings().models.hvae.training
    assert given.models.hvae.training == default.model_copy(update={"steps": 7})


def test_yaml_habits_are_understood():
    settings = load_settings(
        yaml.safe_load("{questions: {null: {images: 3}}, scores: {bootstrap: {level: 9e-1}}}")
    )
    assert settings.questions.null.images == 3
    assert settings.scores.bootstrap.level == 0.9


def test_a_section_alone_is_checked_without_the_others():
    section = load_section("models.hvae", {"training": {"steps": 5, "batch_size": 50_000}})
    assert isinstance(section, HvaeSettings)
    assert section.training.batch_size == 50_000
    assert load_section("models.hvae", section.model_dump(mode="json")) == section
    with pytest.raises(UserError, match=r"models\.hvae\.training\.stepz"):
        load_section("models.hvae", {"training": {"stepz": 5}})


def test_counts_of_questions():
    questions = load_section(
        "questions",
        {
            "do": {"images": 3, "protocols": ["marginal"]},
            "null": {"images": 5},
            "reverse": {"images": 2, "cycles": [4]},
        },
    )
    assert [questions.count(suite) for suite in ("do", "null", "reverse")] == [12, 10, 6]
    with pytest.raises(UserError, match="turn"):
        questions.count("turn")


def test_registries_are_the_choices():
    settings = schema()
    assert settings["properties"]["methods"]["items"]["enum"] == list(METHODS)
    assert settings["$defs"]["ScoresSettings"]["properties"]["metrics"]["items"]["enum"] == list(METRICS)
    for method in METHODS.values():
        assert all(hasattr(Settings().models, model) for model in method.models)


def test_training_settings_are_what_the_loop_reads():
    from counterfactory.training import loop

    assert set(loop.TrainingSettings.__annotations__) <= set(TrainingSettings.model_fields)


def test_network_settings_are_what_networks_are_built_with():
    from counterfactory.models.image.hvae import Hvae
    from counterfactory.models.image.vae import Vae

    for network, section in ((Vae, VaeNetwork), (Hvae, HvaeNetwork)):
        assert set(section.model_fields) == set(inspect.signature(network).parameters) - {"shape", "parents"}


def test_files_are_laid_over_each_other(tmp_path):
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text("data: {train: 5, valid: 6}\nseeds: [0, 1]\n")
    second.write_text("data: {valid: 7}\nseeds: [3]\n")
    assert read_config([first, second]) == {"data": {"train": 5, "valid": 7}, "seeds": [3]}
    second.write_text("")
    assert read_config([first, second])["seeds"] == [0, 1]


@pytest.mark.parametrize("text", ["seeds: [0", "- a\n- b", "just words"])
def test_a_file_that_is_no_configuration_is_refused_in_one_line(tmp_path, text):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=re.escape(str(path))) as raised:
        read_config([path])
    assert "\n" not in str(raised.value)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        read_config([tmp_path / "config.yaml"])


KEYS = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=12)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=2),
    max_leaves=4,
)


@hypothesis.settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.sampled_from([*Settings.model_fields]) | KEYS, VALUES, min_size=1, max_size=2))
def test_whatever_is_given_is_taken_or_refused_in_one_line(given):
    try:
        load_settings(given)
    except UserError as error:
        assert "\n" not in str(error)
        assert str(error).startswith("config: ")
