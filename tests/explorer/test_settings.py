"""The explorer answers with the settings of the run, or states that it does not."""

import json

import numpy as np
import pandas as pd
import pytest

from counterfactory.config import load_settings
from counterfactory.core.noise import normal
from counterfactory.data.dataset import load_dataset, load_split
from counterfactory.methods import load_method
from counterfactory.methods.batches import answer_questions
from counterfactory.report.explorer import content
from counterfactory.report.explorer.content import Models, temperatures
from tests.explorer.browser import Page, executable
from tests.explorer.pages import READY, answered, opened, write

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(executable() is None, reason="no Chromium is installed (apt-get install chromium)"),
]


@pytest.mark.parametrize("protocol", ["melistas", "causal-gen"])
def test_settings_of_a_run_are_those_of_the_page(run, runtime, tmp_path, protocol):
    """Temperatures of single models and clipped pixel noise: the answers of `counterfactory answer`."""
    config = {"protocol": protocol}
    page, settings = write(run, tmp_path / "page.html", runtime, config=config), load_settings(config).answers
    assert settings.residual == "clipped" and settings.residual_temperature == 1.0
    dataset, test = load_dataset(run / "data"), load_split(run / "data", "test")
    actions = [{"angle": 0.4}, {"light": 60.0, "angle": -0.3}, {}]
    with Page() as window:
        opened(page, window)
        rows = window.evaluate("explorer.content.examples.rows")[: len(actions)]
        table = pd.DataFrame({"question": range(3), "index": rows, "seed": [11, 12, 13]})
        table["steps"] = [json.dumps([action]) for action in actions]
        respond = load_method("vae", 0, run / "data", run / "models", settings)
        expected, columns, _ = answer_questions(respond, table, dataset, test, 10)
        noise = normal(table["seed"].to_numpy(), (16,), "latents", 0)
        for k, action in enumerate(actions):
            found = answered(window, k, action, noise[k])
            for name in dataset.names:
                assert found[0][name] == pytest.approx(columns[name][k], rel=1e-4, abs=1e-3)
            assert np.abs(np.array(found[1]) - expected[k].ravel().astype(int)).max() <= 1
        dials = window.evaluate(
            "[...document.querySelectorAll('#dials output')].map((one) => one.textContent)"
        )
        assert dials[:2] == ["0.1", "1"] and window.errors == []


def test_dials_of_methods_that_answer_with_different_temperatures(page):
    with Page() as window:
        opened(page, window)
        titles = window.evaluate(
            """(() => {
                document.getElementById("dials").replaceChildren();
                const [one] = explorer.content.networks.methods;
                const other = { ...one, title: "HVAE", dials: { ...one.dials, residual_temperature: 0.1 } };
                explorer.content.networks.methods = [one, other];
                explorer.showDials();
                const input = document.querySelectorAll("#dials input")[1];
                input.value = 0.5;
                input.oninput();
                const labels = [...document.querySelectorAll("#dials label")];
                const titles = labels.map((label) => label.firstChild.textContent);
                return [titles, one.dials.residual_temperature, other.dials.residual_temperature];
            })()"""
        )
        residual = "residual (pixel noise)"
        assert titles[0][:3] == [f"VAE: {residual}", f"HVAE: {residual}", "latents (posterior)"]
        assert titles[1:] == [1, 0.5]


def test_a_network_that_the_page_cannot_hold_is_said(run, runtime, tmp_path, monkeypatch):
    monkeypatch.setattr(content, "SIZE", 1)
    page = write(run, tmp_path / "page.html", runtime)
    with Page() as window:
        opened(page, window)
        assert "its network is too large for this page" in window.evaluate("document.body.innerText")
        window.evaluate("document.getElementById('set-angle').click()")
        window.wait(READY)
        assert window.evaluate("document.querySelectorAll('.answer canvas').length") >= 3
        assert window.errors == []


def test_the_temperatures_of_a_method_are_those_that_it_reads():
    own = {"temperatures": {"hvae": {"residual": 0.2}}, "latent_temperature": 0.5}
    settings = load_settings({"answers": own | {"reduced": {"residual_temperature": 0.3}}}).answers
    found = {name: tuple(temperatures(settings, name).values()) for name in ("vae", "hvae", "hvae_reduced")}
    assert found == {"vae": (1.0, 0.5), "hvae": (0.2, 0.5), "hvae_reduced": (0.3, 0.5)}


def test_the_reduced_residual_is_the_dial_of_its_network(run):
    settings = load_settings({"answers": {"reduced": {"residual_temperature": 0.3}}}).answers
    both = Models(run / "data", run / "models", ["hvae_reduced", "hvae"], 0, settings)
    assert both.mechanisms == ["hvae"] and temperatures(settings, "hvae")["residual_temperature"] == 1.0
    alone = Models(run / "data", run / "models", ["hvae_reduced"], 0, settings)
    assert alone.mechanisms == ["hvae_reduced"]
    assert temperatures(settings, "hvae_reduced")["residual_temperature"] == 0.3
