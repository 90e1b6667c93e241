"""Interventions on several variables and on fixed values: names, numbers of questions, and mistakes."""

import pytest

from counterfactory.config import load_settings
from counterfactory.core.errors import UserError
from counterfactory.questions.registry import fixed_name, joint_name, variables_set
from counterfactory.report.names import table_names


def do(**keys) -> dict:
    return {"questions": {"do": {"images": 10, **keys}}}


def test_names_and_counts():
    given = do(
        interventions=[["thickness", "intensity"], "digit"], values={"thickness": [4, 2.5], "digit": [3]}
    )
    settings = load_settings(given)
    names = ["thickness+intensity", "digit", "thickness=4", "thickness=2.5", "digit=3"]
    assert settings.questions.do.names == names
    assert settings.questions.count("do") == 10 * (2 * 2 + 3)
    tables = table_names(settings, ["do"], ["effectiveness"])
    assert [name for name in tables if name.startswith("do_")] == [f"do_{name}" for name in names]


@pytest.mark.parametrize("value", [4, 2.5, -1.25, 0.1 + 0.2, 1234567.5])
def test_the_name_of_a_fixed_value_gives_it_back(value):
    name = fixed_name("thickness", value)
    assert float(name.partition("=")[2]) == value and variables_set(name) == ("thickness",)
    assert variables_set(joint_name(["a", "b"])) == ("a", "b") and joint_name("a") == "a"


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            do(interventions=[["thickness", "colour"]]),
            "interventions contains 'colour', which is no variable",
        ),
        (
            do(interventions=[["thickness", "random"]]),
            "interventions contains 'random', which is no variable",
        ),
        (do(interventions=[["thickness"]]), "questions.do.interventions[0]"),
        (do(interventions=[["thickness", "thickness"]]), "contains 'thickness' twice"),
        (
            do(interventions=[["thickness", "digit"], ["digit", "thickness"]]),
            "questions.do.interventions sets digit, thickness together twice",
        ),
        (do(values={"slant": [1]}), "questions.do.values contains 'slant', which is no variable"),
        (do(values={"digit": [10]}), "questions.do.values.digit contains 10; choose from 0 to 9"),
        (do(values={"digit": [2.5]}), "questions.do.values.digit contains 2.5; choose from 0 to 9"),
        (do(values={"thickness": [4, 4.0]}), "twice"),
    ],
)
def test_refuses(given, text):
    with pytest.raises(UserError) as error:
        load_settings(given)
    assert text in str(error.value)
