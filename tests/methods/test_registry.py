"""The registry of methods names modules, models, sections and suites that exist."""

import ast
from pathlib import Path

import pytest

import counterfactory
from counterfactory.config.answers import AnswersSettings
from counterfactory.core.errors import UserError
from counterfactory.methods import check_method, load_method
from counterfactory.methods.registry import METHODS, module_of
from counterfactory.models.registry import MODELS
from counterfactory.questions.registry import SUITES


@pytest.mark.parametrize("name", METHODS)
def test_a_line_names_what_exists(name):
    method = METHODS[name]
    path = Path(counterfactory.__file__).parent.joinpath(*module_of(name).split(".")).with_suffix(".py")
    functions = {node.name: node for node in ast.parse(path.read_text()).body if hasattr(node, "args")}
    parameters = [one.arg for one in functions["load"].args.args]
    assert parameters == ["name", "seed", "data", "models", "settings", "device"]
    assert set(method.suites) <= set(SUITES)
    assert set(method.models) <= set(MODELS)
    assert not method.section or method.section in AnswersSettings.model_fields


def test_image_mechanisms_share_one_module():
    assert {module_of(name) for name in ("vae", "hvae", "vae_ft", "hvae_ft")} == {"methods.dscm"}


@pytest.mark.parametrize(
    ("name", "remedy"),
    [("hvea", "did you mean 'hvae'"), ("run", ""), ("explainer", ""), ("dscm", ""), ("tiles", "")],
)
def test_what_is_not_in_the_registry_is_no_method(name, remedy):
    with pytest.raises(UserError, match=f"methods: {name}: no such method; {remedy}"):
        check_method(name)
    with pytest.raises(UserError, match="no such method"):
        load_method(name, 0, "data", "models", None)
