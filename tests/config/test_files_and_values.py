"""Reading configurations: YAML files, text that stands for numbers, and the section `training`."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from counterfactory.config import Settings, load_settings, read_config
from counterfactory.config.load import _validate
from counterfactory.core.errors import UserError


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("data: {train: 5}\nseeds: [0]\ndata: {valid: 5}\n", "'data' stands on line 1 and again on line 3"),
        ("models:\n  vae: {}\n  vae: {}\n", "'vae' stands on line 2 and again on line 3"),
        ("data: &a\n  train: *a\n", "line 2: *a is used inside the section that it names"),
        ("seeds: &a [*a]\n", "line 1: *a is used inside"),
        ("? [a, b]\n: 1\n", "line 1: a key must be a name"),
        (
            "seeds:\n- " + "9" * 5000 + "\n",
            f"line 2: {'9' * 40}... is no possible number or date; correct it",
        ),
        ("a: 2020-13-45\n", "line 1: 2020-13-45 is no possible number or date"),
        ("a: " + "[" * 5000 + "]" * 5000, "nested too deeply"),
        (
            "seeds: [0\nmethods: {copy\n",
            "not valid YAML at line 2, column 8: expected ',' or ']', but got ':' (while",
        ),
        ("seeds: [0", "not valid YAML at line 1, column 10: expected ',' or ']', but got '<stream end>'"),
        (
            "a:\n\tb: 1\n",
            "not valid YAML at line 2, column 1: found character '\\t' that cannot start any token",
        ),
        ("a: 'b\n", "(while scanning a quoted scalar, which begins on line 1); correct it"),
        ("a: *b\n", "not valid YAML at line 1, column 4: found undefined alias 'b'; correct it"),
        ("a: !!python/object:os.system x\n", "could not determine a constructor for the tag"),
        ("a: \x01\n", "not valid YAML: character 4 ('\\x01') is not allowed; remove it"),
        (
            "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
            + "".join(
                f"{one}: &{one} [{', '.join([f'*{before}'] * 10)}]\n" for before, one in pairwise("abcde")
            ),
            "more than 100,000 values",
        ),
    ],
    ids=[
        "twice",
        "twice_below",
        "recursive",
        "recursive_list",
        "key",
        "huge",
        "date",
        "deep",
        "syntax",
        "end",
        "tab",
        "quote",
        "alias",
        "tag",
        "control",
        "expansion",
    ],
)
def test_a_file_that_yaml_accepts_silently_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises(UserError) as raised:
        read_config([path])
    assert str(raised.value).startswith(f"{path}: ") and message in str(raised.value)
    assert "\n" not in str(raised.value) and len(str(raised.value)) < 400


def test_unreadable_files_name_the_cause(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        read_config([tmp_path])
    (tmp_path / "latin.yaml").write_bytes(b"report: {title: \xe9}")
    with pytest.raises(UserError, match="UTF-8"):
        read_config([tmp_path / "latin.yaml"])


def test_anchors_and_merge_keys_are_allowed(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nnull: 1e-3\nc: '1e-3'\n")
    assert read_config([path]) == {
        "a": {"x": 1, "y": 2},
        "b": {"x": 1, "y": 3},
        "null": 0.001,
        "c": "1e-3",
    }


ALONE = ("variables", "options")


def command_line(text: str):
    """Returns a value as `snakemake --config` parses it: everything inside a list or section is text."""
    return yaml.load(text, Loader=yaml.loader.BaseLoader)


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("seeds", "[0, 1]", [0, 1]),
        ("finetune", "true", True),
        ("models.vae.training.learning_rate", "1e-3", 0.001),
        ("models.vae.training.betas", "[0.9, .99]", (0.9, 0.99)),
        ("models.vae.training.steps", "7", 7),
        ("data.published", "null", None),
        ("data.digits", "2020-01-01", "2020-01-01"),
        ("data.digits", "12", "12"),
        ("questions.flip.targets.digit", "{3: 8}", {3: 8}),
        ("answers.dime.images", "null", None),
        ("attributes.thick", "{above: 3}", None),
        ("attributes.wide", "null", None),
        ("training.threads", "4", 4),
        ("data.crop", "48", 48),
        ("data.crop", "none", "none"),
        ("data.channels", "1", 1),
        ("data.celeba.test_partition", "1", 1),
        ("data.variables", "{size: {range: [0, 2.5]}}", {"size": (0.0, 2.5)}),
        ("data.variables", "{size: {range: auto}}", {"size": "auto"}),
        ("models.hvae.options", "{size: 64, context: intensity}", {"size": 64, "context": "intensity"}),
    ],
)
def test_values_of_the_command_line_have_yaml_types(key, text, expected):
    *above, last = key.split(".")
    given: dict = {last: command_line(text)}
    for name in reversed(above):
        given = {name: given}
    # Whether the values agree with others, such as the data set, is not checked here.
    settings = load_settings({"methods": ["vae", "dime"]} | given) if last not in ALONE else _validate(given)
    value = settings
    for name in key.split("."):
        value = value[name] if isinstance(value, dict) else getattr(value, name)
    if key == "attributes.thick":
        assert value.above == 3.0 and value.of == "thickness"
    elif key == "data.variables":
        assert {name: one.range for name, one in value.items()} == expected
    else:
        assert value == expected and type(value) is type(expected)


def test_dates_of_yaml_are_text():
    assert load_settings(yaml.safe_load("data: {digits: 2020-01-01}")).data.digits == "2020-01-01"


def test_the_section_training_sets_every_model_and_a_model_overrides_it():
    settings = load_settings(
        {
            "training": {"threads": 4, "optimizer": "muon", "patience": None},
            "judges": {"training": {"threads": 2}},
            "models": {"gan": {"encoder": {"optimizer": "adamw"}}},
        }
    )
    models = settings.models
    assert models.hvae.training == Settings().models.hvae.training.model_copy(
        update={"threads": 4, "optimizer": "muon"}
    )
    assert (settings.judges.training.threads, settings.judges.training.optimizer) == (2, "muon")
    assert (models.gan.encoder.threads, models.gan.encoder.optimizer) == (4, "adamw")
    trainings = [settings.oracle, settings.identity, models.vae, models.vae_ft, models.ddpm, models.dcgan]
    assert {section.training.threads for section in trainings} == {4}


def test_a_mistake_in_training_is_reported_once():
    with pytest.raises(UserError) as raised:
        load_settings({"training": {"steps": 0}})
    assert str(raised.value) == "config: training.steps is 0; it must be at least 1"


def test_all_mistakes_are_listed():
    with pytest.raises(UserError) as raised:
        load_settings({"datta": 1, "seeds": [True], "methods": ["hvea"], "data": {"train": "x" * 500}})
    lines = str(raised.value).splitlines()
    assert len(lines) == 4 and max(map(len, lines)) < 300
    with pytest.raises(UserError) as raised:
        load_settings({"seeds": [-1] * 50})
    assert str(raised.value).splitlines()[-1] == "config: and 30 more mistakes"


def test_recursive_values_are_refused():
    given: dict = {}
    given["data"] = given
    with pytest.raises(UserError, match="anchor"):
        load_settings(given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"models": {"classifier": {"network": {"halvings": 6}}}}, "models.classifier.network.halvings is 6"),
        ({"oracle": {"network": {"halvings": 8}}}, "oracle.network.halvings is 8, but images of 32 px"),
        (
            {"models": {"hvae": {"network": {"latents": [0, 0, 0, 0]}}}},
            "models.hvae.network.latents are all 0",
        ),
        (
            {"models": {"hvae": {"network": {"resolutions": [16, 9, 4, 1]}}}},
            "maps of 16 px cannot be pooled to 9 px",
        ),
        ({"scores": {"fid": {"least": 65}}}, "scores.fid.least is 65, but scores.fid.images is 64"),
        (
            {
                "dataset": "pendulum",
                "methods": ["copy"],
                "data": {"train": 100, "valid": 10, "judges": 100, "test": 1000, "image_size": 24},
                "questions": {
                    "do": {"interventions": ["angle"]},
                    "reverse": {"interventions": ["angle"]},
                    "flip": {"images": 0},
                },
                "judges": {"training": {"batch_size": 10}},
                "scores": {"lpips": {"net": "alex"}},
            },
            "scores.lpips.net is 'alex', which requires images of 32 px or more, not 24",
        ),
    ],
)
def test_impossible_sizes_are_refused(given, message):
    with pytest.raises(UserError) as raised:
        load_settings(given)
    assert message in str(raised.value)


def test_results_must_not_be_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    Path("taken").write_text("")
    for name in ("taken", "taken/below", "~/taken"):
        with pytest.raises(UserError, match="is a file; name a folder"):
            load_settings({"results": name})
    assert load_settings({"results": "~/free"}).results == str(tmp_path / "free")


def test_settings_of_a_step_are_those_of_the_whole():
    """Rerun triggers compare these texts, so equal values must give equal texts."""
    whole = load_settings({"training": {"threads": 1}})
    assert json.dumps(whole.models.model_dump(mode="json")) == json.dumps(
        Settings().models.model_dump(mode="json")
    )


def test_an_alias_is_a_copy(tmp_path):
    first, second = tmp_path / "first.yaml", tmp_path / "second.yaml"
    first.write_text("models:\n  vae: &same {training: {steps: 5}}\n  hvae: *same\n")
    second.write_text("models: {vae: {training: {steps: 7}}}\n")
    found = read_config([first, second])["models"]
    assert found["vae"]["training"] == {"steps": 7} and found["hvae"]["training"] == {"steps": 5}


@pytest.mark.parametrize("order", [1, -1])
def test_the_suite_null_may_be_quoted_or_not(order):
    sections = [(None, {"cycles": [1, 3], "images": 5}), ("null", {"images": 6})][::order]
    found = load_settings({"questions": dict(sections)}).questions.null
    assert (found.cycles, found.images) == ([1, 3], 6)
