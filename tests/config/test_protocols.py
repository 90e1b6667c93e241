"""The key `protocol`: every value fits its key, keys that are named take precedence, and nothing else changes."""

from typing import Any

import pytest
import torch

from counterfactory.config import Settings, load_settings
from counterfactory.config.model_checks import LEAST_LOG_SCALE
from counterfactory.config.protocols import PROTOCOLS
from counterfactory.core.errors import UserError
from counterfactory.methods.dscm import _with_own_temperatures
from counterfactory.models.judges.network import JudgeNetwork
from counterfactory.nets.likelihood import capped_gaussian_nll
from counterfactory.report.caveats import caveats


def leaves(tree: Any, above: str = "") -> dict[str, Any]:
    if not isinstance(tree, dict) or not tree:
        return {above[:-1]: tree}
    return {path: value for key, one in tree.items() for path, value in leaves(one, f"{above}{key}.").items()}


def resolved(given: dict) -> dict[str, Any]:
    return load_settings(given).model_dump(mode="json")


def at(tree: Any, path: str) -> Any:
    for key in path.split("."):
        tree = tree[key]
    return tree


@pytest.mark.parametrize("name", PROTOCOLS)
def test_a_protocol_sets_its_keys_and_no_other(name):
    plain, found = leaves(resolved({})), leaves(resolved({"protocol": name}))
    changed = {path for path in plain.keys() | found.keys() if plain.get(path) != found.get(path)} - {
        "protocol"
    }
    assert found["protocol"] == name
    for path, value in PROTOCOLS[name].items():
        assert at(resolved({"protocol": name}), path) == value
    assert all(any(path.startswith(key) for key in PROTOCOLS[name]) for path in changed)
    # Every entry is a change: what is the default anyway is no part of a protocol.
    assert all(any(path.startswith(key) for path in changed) for key in PROTOCOLS[name])


def test_named_keys_take_precedence():
    given = {"protocol": "melistas", "questions": {"do": {"bins": "equal"}}}
    given["answers"] = {"temperatures": {"vae": {"residual": 0.5}}}
    found = load_settings(given)
    assert found.questions.do.bins == "equal" and found.scores.minimality.bins == "means"
    assert (
        found.answers.temperatures["vae"].residual == 0.5 and found.answers.temperatures["vae"].latents == 1.0
    )
    assert found.answers.temperatures["hvae"].residual == 1.0
    assert load_settings({}).protocol == "ours" == Settings().protocol


@pytest.mark.parametrize("name", ["vae", "hvae"])
def test_a_capped_likelihood_needs_a_large_first_scale(name):
    """With a smaller one, pixels have no gradient, and the network learns nothing."""
    white, black = torch.ones(1), torch.full((1,), -1.0, requires_grad=True)
    for log_scale, learns in ((LEAST_LOG_SCALE, True), (-1.5, False)):
        (slope,) = torch.autograd.grad(capped_gaussian_nll(white, black, torch.tensor([log_scale])), black)
        assert bool(slope != 0) == learns
    model = {"training": {"likelihood": "capped"}, "network": {"log_scale": LEAST_LOG_SCALE}}
    load_settings({"methods": [name], "models": {name: model}})
    for config in ({"likelihood": "capped"}, {"likelihood": "capped", "steps": 10}):
        with pytest.raises(
            UserError, match=rf"^config: models.{name}.training.likelihood is 'capped'[^\n]*$"
        ):
            load_settings({"methods": [name], "models": {name: {"training": config}}})
    # A model that is not trained is not checked.
    load_settings({"methods": ["copy"], "models": {name: {"training": {"likelihood": "capped"}}}})


@pytest.mark.parametrize("name", ["theirs", "", 1, None, []])
def test_other_protocols_are_refused_in_one_line(name):
    with pytest.raises(UserError, match=r"^config: protocol[^\n]*$"):
        load_settings({"protocol": name})


def test_temperatures_of_single_models():
    answers = load_settings({"protocol": "melistas"}).answers
    pairs = {
        name: (own.latent_temperature, own.residual_temperature)
        for name in ("vae", "hvae", "gan")
        for own in [_with_own_temperatures(answers, name)]
    }
    assert pairs == {"vae": (1.0, 0.1), "hvae": (0.1, 1.0), "gan": (0.1, 1.0)}
    with pytest.raises(UserError, match=r"answers\.temperatures\.hvae\.residual"):
        load_settings({"answers": {"temperatures": {"hvae": {"residual": -1}}}})


def test_linear_judges_have_the_squared_error_as_likelihood():
    torch.manual_seed(0)
    model = JudgeNetwork(1, slope=0.01, linear=True).eval()
    images, target = torch.rand(3, 1, 32, 32), torch.tensor([0.1, -0.2, 0.3])
    errors = (model.outputs(images)[:, 0] - target).square()
    differences = model(images).log_prob(target)
    torch.testing.assert_close(differences - differences[0], 0.5 * (errors[0] - errors))


def test_the_page_names_the_protocol():
    assert any("protocol causal-gen" in text for text in caveats({}, {"protocol": "causal-gen"}))
    given = {
        "methods": ["vae"],
        "answers": {"temperatures": {"vae": {"latents": 1.0, "residual": 0.1}, "hvae": {}}},
    }
    assert "Temperatures of single methods: vae latents 1, residual 0.1." in caveats({}, given)
    assert not any("chooses the protocol" in text for text in caveats({}, {"protocol": "ours"}))
