import inspect
import json
import re
from pathlib import Path

import hypothesis
import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from counterfactory.config import (
    HvaeNetwork,
    HvaeSettings,
    Settings,
    VaeNetwork,
    commented_yaml,
    load_section,
    load_settings,
    read_config,
    reference,
    schema,
)
from counterfactory.core.errors import UserError
from counterfactory.methods.registry import METHODS
from counterfactory.metrics.registry import METRICS

ROOT = Path(__file__).parents[2]
PRESETS = sorted((ROOT / "workflow" / "presets").glob("*.yaml"))
FILES = [ROOT / "config.yaml", *PRESETS, *sorted((ROOT / "workflow" / "examples").glob("*.yaml"))]


def refusal(given: dict) -> str:
    with pytest.raises(UserError) as raised:
        load_settings(given)
    message = str(raised.value)
    assert all(line.startswith("config: ") and len(line) < 500 for line in message.splitlines())
    return message


def test_config_yaml_fits_on_a_page_and_is_the_defaults():
    text = (ROOT / "config.yaml").read_text()
    assert len(text.splitlines()) <= 100
    assert load_settings(yaml.safe_load(text)) == load_settings({}) == Settings()


def test_every_setting_can_be_written_as_a_commented_file():
    settings = load_settings(read_config([ROOT / "workflow" / "presets" / "paper.yaml"]))
    text = commented_yaml(settings)
    assert load_settings(yaml.safe_load(text)) == settings
    assert "  # Images in the test split, which questions refer to" in text


def test_the_reference_page_has_every_key():
    page = reference()
    sections = [Settings()]
    while sections:
        section = sections.pop()
        for key, field in type(section).model_fields.items():
            value = getattr(section, key)
            if isinstance(value, BaseModel):
                sections.append(value)
            else:
                assert f"   * - ``{key}``" in page
                assert " ".join(field.description.split())[:30].replace("*", "") in page.replace("\\*", "")
    assert "``models.gan.encoder``" in page
    assert "whole number >= 16, <= 1,024, a multiple of 8" in page


def test_schema_file_is_that_of_the_models():
    written = json.loads((ROOT / "workflow" / "schemas" / "config.schema.json").read_text())
    assert written == schema(), "run: make schema"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_file_satisfies_the_schema(path):
    jsonschema.Draft202012Validator(schema()).validate(read_config([path]))


@pytest.mark.parametrize(
    "given",
    [
        {"attributes": {"thick": {"above": 3}, "wide": None, "round": {"of": "area", "above": 50}}},
        {"models": {"hvae": {"training": {"steps": 7}}}},
        {"queries": {"by_name": {"other_digit": None, "thicker_seen": {"actual": "drawn"}}}},
        {"training": {"threads": 4, "betas": [0.9, 0.95]}},
        {"results": "~/results"},
    ],
)
def test_partial_sections_satisfy_both(given):
    jsonschema.Draft202012Validator(schema()).validate(given)
    load_settings(given)


REFUSED = [
    {"answers": {"latent_temperature": -1}},
    {"answers": {"fastdime": {"dilation": 4}}},
    {"answers": {"stickiness": 1.5}},
    {"attributes": {"Very round": {"of": "area", "above": 1}}},
    {"attributes": {"round": {"of": "area"}}},
    {"attributes": {"thick": {"abov": 1}}},
    {"data": {"image_size": 33}},
    {"data": {"train": 10**30}},
    {"data": {"train": True}},
    {"data": None},
    {"finetune": "maybe"},
    {"methods": ["vae", "vae"]},
    {"models": {"gan": {"network": {"dropout": 2}}}},
    {"models": {"hvae": {"network": {"latents": [-1]}}}},
    {"models": {"hvae": {"network": {"resolutions": [16, 16]}}}},
    {"models": {"vae": {"network": {"exposure": ["intensity", "intensity"]}}}},
    {"models": {"vae": {"network": {"log_scale": 5}}}},
    {"models": {"vae": {"training": {"betas": [0.9]}}}},
    {"models": {"vae": {"training": {"ema": 1}}}},
    {"models": {"vae": {"training": {"learning_rate": 0}}}},
    {"models": {"vae_ft": {"training": {"categorical_weight": 0}}}},
    {"queries": {"by_name": {"mine": {"given": {}}}}},
    {"queries": {"stickiness": [0.5, 0.5]}},
    {"questions": {"do": {"interventions": ["digit", "digit"]}}},
    {"questions": {"flip": {"targets": {"digit": {"three": 8}}}}},
    {"questions": {"flip": {"targets": {"digit": {"3": "eight"}}}}},
    {"results": "a\n"},
    {"results": "a\0"},
    {"results": "-rf"},
    {"results": "a/"},
    {"results": "/"},
    {"results": "a{b}"},
    {"results": "a" * 201},
    {"scores": {"bootstrap": {"level": 1}}},
    {"scores": {"identity": {"threshold": -1.5}}},
    {"seeds": []},
    {"seeds": [2**32]},
    {"training": {"steps": 0}},
    {"training": {"stesp": 1}},
]


@pytest.mark.parametrize("given", REFUSED, ids=str)
def test_what_the_run_refuses_the_schema_refuses(given):
    assert not jsonschema.Draft202012Validator(schema()).is_valid(given)
    refusal(given)


def test_every_number_of_the_schema_has_its_range():
    sections = schema()["$defs"]
    assert sections["AnswersSettings"]["properties"]["latent_temperature"]["minimum"] == 0
    assert sections["TrainingSettings"]["properties"]["learning_rate"]["exclusiveMinimum"] == 0
    # The weight of a constraint's slack may be negative.
    free = {"slack", "above"}
    for name, section in sections.items():
        for key, field in section["properties"].items():
            for one in field.get("anyOf", [field]):
                if one.get("type") in ("integer", "number") and key not in free and "enum" not in one:
                    assert {"minimum", "exclusiveMinimum"} & set(one), f"{name}.{key}"


def test_every_field_says_what_it_is():
    definitions = schema()["$defs"] | {"Settings": schema()}
    for name, section in definitions.items():
        assert section["additionalProperties"] is False, name
        for key, field in section["properties"].items():
            of = field if "description" in field else definitions[field["$ref"].split("/")[-1]]
            assert of["description"], f"{name}.{key}"


@pytest.mark.parametrize("path", PRESETS, ids=lambda path: path.stem)
def test_presets_are_valid_and_keep_their_results_apart(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights").mkdir()
    for file in re.findall(r"weights: (weights/\S+?)[}\s]", path.read_text()):  # which the user provides
        Path(file).touch()
    settings = load_settings(read_config([ROOT / "config.yaml", path]))
    # `all` adds methods to the results of the default run.
    assert settings.results == ("results" if path.stem == "all" else f"results/{path.stem}")


def test_paper_preset_has_the_published_sizes():
    from counterfactory.models.image.hvae import Hvae
    from counterfactory.models.image.vae import Vae

    settings = load_settings(
        read_config([ROOT / "config.yaml", ROOT / "workflow" / "presets" / "paper.yaml"])
    )
    data = settings.data
    assert (data.train + data.valid + data.judges, data.test) == (60_000, 10_000)
    for network, section, count in (
        (Vae, settings.models.vae.network, 208_274),
        (Hvae, settings.models.hvae.network, 2_041_122),
    ):
        sizes = section.model_dump(exclude={"transport", "levels", "calibrate", "debias"})
        assert sum(weights.numel() for weights in network((1, 32, 32), 12, **sizes).parameters()) == count
        assert not section.transport and not section.levels and not section.calibrate and not section.debias


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
        ({"data": {"train": "12px"}}, "data.train is '12px'", "whole number"),
        ({"data": {"train": 1.5}}, "data.train is 1.5", "whole number"),
        ({"seeds": [True]}, "seeds[0] is true", "whole number"),
        ({"seeds": 0}, "seeds is 0", "a list"),
        ({"seeds": []}, "seeds is []", "at least one entry"),
        ({"data": 3}, "data is 3", "keys and values"),
        ({"data": None}, "data is null", "keys and values"),
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
        ({"seeds": [1, 0, 1]}, "seeds contains 1 twice"),
        ({"methods": ["vae", "vae"]}, "methods contains 'vae' twice"),
        (
            {"methods": ["copy", "dime"], "finetune": True},
            "finetune is true, but no method can be fine-tuned",
        ),
        ({"questions": {"null": {"cycles": [1, 1]}}}, "questions.null.cycles contains 1 twice"),
        ({"answers": {"effect": "total"}}, "models.hvae.network.prior: conditional"),
        ({"models": {"hvae": {"network": {"widths": [8, 8]}}}}, "models.hvae.network.widths has 2 entries"),
        ({"models": {"ddpm": {"network": {"patch": 3}}}}, "models.ddpm.network.multipliers has 3 entries"),
        ({"models": {"ddpm": {"network": {"groups": 5}}}}, "models.ddpm.network.groups is 5"),
        ({"judges": {"training": {"batch_size": 12_001}}}, "judges.training.batch_size is 12,001"),
        (
            {"questions": {suite: {"images": 0} for suite in ("do", "null", "reverse", "flip")}},
            "questions: there are none",
        ),
    ],
)
def test_values_that_do_not_fit_together_are_refused(given, named):
    assert named in refusal(given)


def test_a_data_set_is_asked_only_what_it_has(monkeypatch):
    from counterfactory.data.registry import DATASETS, DatasetEntry
    from counterfactory.data.variable import Variable

    variables = (Variable("thickness", "continuous"), Variable("digit", "categorical", classes=10))
    entry = DatasetEntry(variables, "MNIST", 60_000, 10_000)
    monkeypatch.setitem(DATASETS, "morphomnist", entry)
    questions = {"do": {"interventions": ["intensity"]}}
    assert "questions.do.interventions contains 'intensity', which is no variable of morphomnist" in refusal(
        {"questions": questions}
    )
    assert "methods contains 'truth', but morphomnist is not simulated" in refusal({"methods": ["truth"]})


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


def test_network_settings_are_what_networks_are_built_with():
    from counterfactory.models.image.hvae import Hvae
    from counterfactory.models.image.vae import Vae

    for network, section in ((Vae, VaeNetwork), (Hvae, HvaeNetwork)):
        arguments = set(inspect.signature(network).parameters) - {"shape", "parents"}
        # Options of published networks stand in the description of an imported model, not in the configuration.
        published = {"q_correction", "z_max_res", "channel_coeffs", "border"}
        # The corrections are parts of the mechanism, but not of the network.
        assert (
            set(section.model_fields) - {"transport", "levels", "calibrate", "debias"}
            == arguments - published
        )


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
        assert all(line.startswith("config: ") for line in str(error).splitlines())


@pytest.mark.parametrize(
    ("network", "named"),
    [
        ({"vae": {"network": {"transport": True, "prior": "conditional"}}}, "models.vae.network.transport"),
        ({"hvae": {"network": {"transport": True, "latents": [16, 8, 8, 8]}}}, "4,744 latents"),
    ],
)
def test_a_transport_of_latents_has_its_conditions(network, named):
    assert named in refusal({"models": network})


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (
            {"models": {"vae": {"network": {"levels": True, "exposure": []}}}},
            "a variable in models.vae.network.exposure",
        ),
        (
            {"dataset": "pendulum", "models": {"hvae": {"network": {"levels": True}}}},
            "models.hvae.network.levels is true",
        ),
        (
            {"models": {"vae": {"network": {"levels": False, "calibrate": True}}}},
            "requires models.vae.network.levels: true",
        ),
        (
            {"dataset": "celeba", "models": {"hvae": {"network": {"calibrate": True}}}},
            "celeba is not simulated",
        ),
    ],
)
def test_a_correction_of_grey_levels_has_its_conditions(given, named):
    assert named in refusal(given)


def test_the_joint_classes_of_a_transport_are_limited():
    network = {"vae": {"network": {"transport": True, "latent": 1000}}}
    refused = refusal({"dataset": "colour_mnist", "methods": ["copy", "vae"], "models": network})
    assert "models.vae.network.transport" in refused and "100 joint classes of colour_mnist" in refused


def test_a_batch_of_the_judges_fits_what_trains_them():
    data = {"train": 400, "valid": 50, "judges": 300, "test": 50}
    sizes = {"do": {"images": 20}, "null": {"images": 20}, "reverse": {"images": 20}, "flip": {"images": 20}}
    given = {"data": data, "questions": sizes, "judges": {"training": {"batch_size": 280}}}
    assert (
        "judges.training.batch_size is 280, but data.judges has only 300 images, of which 270 train"
        in refusal(given)
    )
