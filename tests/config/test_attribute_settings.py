"""The section `attributes`: entries can be added, changed and removed; mistakes are errors of one line."""

import pytest
import yaml

from counterfactory.config import commented_yaml, load_section, load_settings
from counterfactory.core.errors import UserError

FLIP = {"scores": {"metrics": ["flip"]}, "questions": {"flip": {"images": 10}}}


def test_attributes_are_added_changed_and_left_out():
    given = {"thick": {"above": 3}, "round": {"of": "area", "above": 50}, "wide": None}
    settings = load_settings({"attributes": given})
    assert settings.attributes["thick"].of == "thickness" and settings.attributes["thick"].above == 3.0
    assert settings.attributes["round"].of == "area" and settings.attributes["wide"] is None
    dumped = settings.model_dump(mode="json")["attributes"]
    # As a rule passes them to a step: removed attributes do not return by their defaults.
    assert load_section("attributes", dumped) == settings.attributes
    assert yaml.safe_load(commented_yaml(settings))["attributes"] == dumped


@pytest.mark.parametrize(
    ("attributes", "named", "meant"),
    [
        ({"thick": {"abov": 3}}, "attributes.thick.abov is not a key", "did you mean 'above'?"),
        ({"round": {"of": "area", "abov": 3}}, "attributes.round.abov is not a key", "did you mean 'above'?"),
        ({"round": {"of": "area"}}, "attributes.round.above is missing", "add it"),
        ({"thick": 3}, "attributes.thick is 3", "it must contain keys and values"),
        ({"thick": {"above": "much"}}, "attributes.thick.above is 'much'", "be a number"),
        (
            {"Very round": {"of": "area", "above": 3}},
            "attributes.Very round",
            "a name must start with a letter",
        ),
    ],
)
def test_a_mistake_is_one_line(attributes, named, meant):
    with pytest.raises(UserError) as raised:
        load_settings({"attributes": attributes})
    assert str(raised.value).startswith(f"config: {named}") and meant in str(raised.value)
    assert all(line.startswith("config: attributes.") for line in str(raised.value).splitlines())


@pytest.mark.parametrize(
    ("given", "line"),
    [
        (
            {"attributes": {"thick": {"of": "fatness"}}},
            "attributes.thick.of is 'fatness', which is no quantity of morphomnist",
        ),
        (
            {"attributes": {"digit": {"of": "area", "above": 1}}},
            "attributes.digit has the name of a variable",
        ),
        (
            {
                "dataset": "pendulum",
                "methods": ["copy"],
                "attributes": {"thick": {"of": "thickness", "above": 1}},
            }
            | {"questions": {"flip": {"attributes": ["thick"]}}},
            "attributes.thick.of is 'thickness', which is no quantity of pendulum",
        ),
    ],
)
def test_what_no_image_has_is_refused_once_it_is_asked_about(given, line):
    def errors(given: dict) -> list[str]:
        try:
            load_settings(given)
        except UserError as error:
            lines = [line.removeprefix("config: ") for line in str(error).splitlines()]
            return [line for line in lines if line.startswith("attributes")]
        return []

    assert errors({**FLIP, **given})[0].startswith(line)
    assert errors({"methods": ["copy"], "scores": {"metrics": ["axioms"]}, **given}) == []
