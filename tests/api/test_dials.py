"""Dials: a given value takes the place of the one that the method reads, or is refused in one line."""

import ast
import importlib
import inspect
import json
import re

import pytest

from counterfactory.api.dials import COMMON, NOT_DIALS, dials_of, settings_with
from counterfactory.api.layout import answers_settings, attributes_of
from counterfactory.config import load_settings
from counterfactory.config.answers import AnswersSettings
from counterfactory.core.errors import UserError
from counterfactory.methods.registry import METHODS, module_of

SECTIONS = {method.section for method in METHODS.values() if method.section}


def run_with(folder, **answers):
    """Writes the settings of a run as the workflow does, and returns the folder."""
    (folder / "settings.json").write_text(load_settings({"answers": answers}).model_dump_json())
    return folder


@pytest.mark.parametrize("method", METHODS)
def test_every_dial_reaches_what_the_method_reads(tmp_path, method):
    for name, section in dials_of(method).items():
        plain = settings_with(tmp_path, 0, method, {})
        was = getattr(getattr(plain, section) if section else plain, name)
        if isinstance(was, bool) or not isinstance(was, int | float):
            continue
        given = {"effect": "total"} if name == "mediator_weight" else {}
        model = tmp_path / "models" / (METHODS[method].models or ("none",))[0] / "seed0" / "model.json"
        model.parent.mkdir(parents=True, exist_ok=True)
        model.write_text(json.dumps({"network": {"prior": "conditional"}}))
        value = was / 2 if isinstance(was, float) else was + 1
        try:
            found = settings_with(tmp_path, 0, method, {**given, name: value})
        except UserError as error:
            assert name in str(error)  # not valid, and said
            continue
        assert getattr(getattr(found, section) if section else found, name) == value


@pytest.mark.parametrize("method", METHODS)
def test_a_dial_that_the_method_does_not_read_is_refused(tmp_path, method):
    known = dials_of(method)
    others = {name for other in METHODS for name in dials_of(other)} - set(known)
    assert others
    for name in (*others, "chunk_size", "batch_size"):
        with pytest.raises(UserError, match=f"^{name}: ") as found:
            settings_with(tmp_path, 0, method, {name: 1})
        assert "\n" not in str(found.value)


def test_the_table_is_what_the_code_reads():
    """Every key of `answers` outside of the sections that the code of a method reads is in the table, and no other."""
    keys = set(AnswersSettings.model_fields) - SECTIONS - set(NOT_DIALS)
    for module in {module_of(method) for method in METHODS}:
        source = inspect.getsource(importlib.import_module(f"counterfactory.{module}"))
        tree = ast.parse(source)
        read = {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "settings"
        }
        read |= set(re.findall(r'getattr\(settings, "(\w+)"', source))
        own = {
            field
            for method in METHODS.values()
            if method.section
            for field in AnswersSettings.model_fields[method.section].annotation.model_fields
        }
        name = module.removeprefix("methods.")
        found = read & keys if name in COMMON else (read & keys) - own
        assert found == set(COMMON.get(name, ())), module


def test_the_reduced_residual_has_a_dial_of_the_same_name(tmp_path):
    run = run_with(tmp_path, reduced={"residual_temperature": 0.3}, residual_temperature=0.8)
    assert settings_with(run, 0, "hvae_reduced", {}).reduced.residual_temperature == 0.3
    given = settings_with(run, 0, "hvae_reduced", {"residual_temperature": 0.5})
    assert given.reduced.residual_temperature == 0.5
    assert settings_with(run, 0, "hvae", {"residual_temperature": 0.5}).residual_temperature == 0.5


def test_a_given_temperature_takes_the_place_of_that_of_a_single_model(tmp_path):
    own = {"vae": {"latents": 0.5, "residual": 0.1}, "hvae": {"residual": 0.2}}
    run = run_with(tmp_path, temperatures=own)
    plain = settings_with(run, 0, "vae", {}).temperatures
    assert (plain["vae"].latents, plain["vae"].residual, plain["hvae"].residual) == (0.5, 0.1, 0.2)
    given = settings_with(run, 0, "vae", {"residual_temperature": 0.7})
    assert given.residual_temperature == 0.7 and given.temperatures["vae"].residual is None
    assert given.temperatures["vae"].latents == 0.5 and given.temperatures["hvae"].residual == 0.2


def test_a_whole_section_keeps_what_is_not_given(tmp_path):
    run = run_with(tmp_path, dime={"l1_loss": 0.25, "start_step": 7})
    found = settings_with(run, 0, "dime", {"dime": {"start_step": 5}}).dime
    assert (found.start_step, found.l1_loss) == (5, 0.25)
    assert settings_with(run, 0, "dime", {"start_step": 5}).dime == found
    for value in (5, [5]):
        with pytest.raises(UserError, match="give keys and values"):
            settings_with(run, 0, "dime", {"dime": value})


@pytest.mark.parametrize(
    "dials,words",
    [
        ({"mediator_weight": 0.2}, "direct effect"),
        ({"effect": "total"}, "conditional prior"),
        ({"effect": "both"}, "choose from direct, total, indirect"),
    ],
)
def test_dials_of_mediated_effects(tmp_path, dials, words):
    model = tmp_path / "models" / "vae" / "seed0"
    model.mkdir(parents=True)
    (model / "model.json").write_text(json.dumps({"network": {"prior": "exogenous"}}))
    with pytest.raises(UserError, match=words):
        settings_with(tmp_path, 0, "vae", dials)


def test_settings_follow_the_configuration(tmp_path):
    """A configuration that is set back to an earlier one: its files in the folder settings are older than others."""
    (tmp_path / "settings").mkdir()
    for number, value in enumerate((0.1, 1.0)):
        answers = load_settings({"answers": {"residual_temperature": value}}).answers.model_dump(mode="json")
        plain = {name: one for name, one in answers.items() if name not in SECTIONS}
        (tmp_path / "settings" / f"{number}.json").write_text(json.dumps(plain))
    with pytest.raises(UserError, match=r"settings\.json: no such file.*run the workflow again"):
        answers_settings(tmp_path, "vae")
    run_with(tmp_path, residual_temperature=0.1)
    assert answers_settings(tmp_path, "vae")["residual_temperature"] == 0.1
    assert not {"dime", "chunk_size", "chunks"} & set(answers_settings(tmp_path, "vae"))
    assert "dime" in answers_settings(tmp_path, "dime")
    (tmp_path / "settings.json").unlink()
    (tmp_path / "settings" / "1.json").unlink()
    assert answers_settings(tmp_path, "vae")["residual_temperature"] == 0.1  # one file: there is no doubt
    (tmp_path / "settings.json").write_text("[]")
    with pytest.raises(UserError, match="holds no settings"):
        answers_settings(tmp_path, "vae")


def test_attributes_are_those_of_the_configuration(tmp_path):
    values = load_settings({"attributes": {"thick": {"of": "thickness", "above": 3.5}}})
    (tmp_path / "settings.json").write_text(values.model_dump_json())
    assert attributes_of(tmp_path, 0)["thick"] == {"of": "thickness", "above": 3.5}
