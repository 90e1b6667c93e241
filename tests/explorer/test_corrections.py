"""Transport, grey levels and calibration of an image mechanism in a browser: answers as in Python."""

import base64
import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from counterfactory.config import load_settings
from counterfactory.core.checkpoint import save_model
from counterfactory.core.noise import normal
from counterfactory.data.dataset import encode_parents, load_dataset, load_split
from counterfactory.methods import load_method
from counterfactory.methods.batches import answer_questions
from counterfactory.methods.dscm import Pearl, counterfactual_image
from counterfactory.models.image.exposure import fit_exposure
from counterfactory.models.image.levels import fit_levels
from counterfactory.models.image.model import build_image_mechanism
from counterfactory.models.image.transport import optimal_map
from counterfactory.nets.pixels import to_bytes, to_pixels
from counterfactory.report.explorer import content
from counterfactory.report.explorer.content import described
from counterfactory.report.explorer.export import export_mechanism
from counterfactory.report.explorer.moments import packed_moments
from tests.explorer.browser import Page, executable
from tests.explorer.pages import answered, opened, write
from tests.models.test_levels import NETWORK, WORLD, as_bytes, noises_of, parents_of, render

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(executable() is None, reason="no Chromium is installed (apt-get install chromium)"),
]

ALL = NETWORK | {"transport": True, "calibrate": True, "debias": 0.5}
"""A network with all corrections."""

DIALS = {"residual_temperature": 0.7, "latent_temperature": 1.0, "stickiness": 1.0}


@pytest.fixture(scope="module")
def world():
    """A world with three classes, to and from the last one of which nothing is moved."""
    variables = [replace(one, classes=3) if one.kind == "categorical" else one for one in WORLD.variables]
    return replace(WORLD, variables=tuple(variables))


@pytest.fixture(scope="module")
def mechanism(world):
    """An untrained network with fitted levels, and with random moments and weights of the other corrections."""
    torch.manual_seed(0)
    model = build_image_mechanism("vae", world, ALL).eval()
    two = parents_of(600)
    parents = torch.cat([two, torch.zeros(600, 1)], 1)
    images = as_bytes(render(two, noises_of(600)))
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    fit_exposure(model.head, images, parents)
    fit_levels(model, images, parents)
    size = model.transport.means.shape[1]
    factor = 0.7 * torch.eye(size) + 0.3 * torch.randn(3, size, size)
    model.transport.covariances.copy_(factor @ factor.mT)
    model.transport.means.copy_(torch.randn(3, size))
    model.transport.moved.copy_(torch.tensor([True, True, False]))
    model.calibration.weights.copy_(0.1 * torch.randn(model.calibration.weights.shape))
    return model


def encoded(data):
    text = base64.b64encode(data).decode()
    return f"Uint8Array.from(atob('{text}'), (one) => one.charCodeAt(0))"


def install(window, name, mechanism, world):
    """Gives the page a network, as `asked` in JavaScript."""
    moments, packed = packed_moments(mechanism.transport)
    window.evaluate(
        f"""(async () => {{
            window.{name} = new Networks({{dataset: {json.dumps(described(world))}}});
            {name}.sessions.vae = ort.InferenceSession.create({encoded(export_mechanism(mechanism, world.width))});
            const variables = {name}.content.dataset.variables, moments = {encoded(packed)};
            {name}.transports.vae = new Transport(variables, {json.dumps(moments)}, moments);
        }})()"""
    )


def answer(window, name, image, before, after, noise, dials=DIALS):
    method = {"name": "vae", "noise": len(noise), "mediated": False, "transport": True}
    found = window.evaluate(
        f"""(async () => {{
            const image = Float32Array.from({json.dumps(image.ravel().tolist())});
            const noise = Float32Array.from({json.dumps(noise.tolist())});
            const ask = [{json.dumps(before)}, {json.dumps(after)}, {json.dumps(dials)}];
            return [...await {name}.answer({json.dumps(method)}, image, ...ask, 3, noise)];
        }})()"""
    )
    return np.array(found).reshape(image.shape)


def test_the_inverse_root_and_the_map_are_those_of_numpy(page):
    random = np.random.default_rng(0)
    vectors, _ = np.linalg.qr(random.standard_normal((40, 40)))
    with Page() as window:
        opened(page, window)
        for least in (1.0, 1e-2, 1e-5):
            values = np.geomspace(least, 1.0, 40) * 7.0
            matrix = (vectors * values) @ vectors.T
            listed = json.dumps(matrix.ravel().tolist())
            found = window.evaluate(f"[...inverseRoot(Float64Array.from({listed}), 40)]")
            expected = (vectors * values**-0.5) @ vectors.T
            assert np.abs(np.reshape(found, (40, 40)) - expected).max() <= 1e-9 * values.min() ** -0.5
        assert window.errors == []


def test_answers_are_those_of_python(page, mechanism, world):
    size = int(np.prod(mechanism.noise_shapes[0]))
    random = np.random.default_rng(0)
    images = as_bytes(render(parents_of(8, seed=4), noises_of(8, seed=5)))
    images[0] = 0
    images[1, :, 4:9, 4:9] = 255
    images = images.numpy()
    start = {"size": 0.3, "light": -0.25, "kind": 0}
    changes = ({"kind": 1}, {"kind": 1, "light": 0.5}, {"kind": 2}, {"size": -0.5}, {"light": 0.75}, {})
    moved = 0
    with Page() as window:
        opened(page, window)
        install(window, "asked", mechanism, world)
        for image in images:
            for change in changes:
                after = start | change
                both = [
                    torch.from_numpy(
                        encode_parents(world, {key: np.array([value]) for key, value in one.items()})
                    )
                    for one in (start, after)
                ]
                noise = random.standard_normal(size).astype(np.float32)
                expected = counterfactual_image(
                    mechanism, to_pixels(image[None]), *both, [torch.from_numpy(noise[None])], Pearl(1.0, 0.7)
                )
                found = answer(window, "asked", image, start, after, noise)
                assert np.abs(found - to_bytes(expected)[0].numpy().astype(int)).max() <= 1, change
                moved += bool(mechanism.transport.changed(*both))
        assert moved == 2 * len(images) and window.errors == []
        # The map that was computed once is that of the covariances.
        matrix = window.evaluate("(async () => [...(await asked.transports.vae).maps['0 1'].matrix])()")
        expected = optimal_map(*mechanism.transport.covariances[:2].double()).numpy()
        assert np.abs(np.reshape(matrix, (size, size)) - expected).max() < 1e-2 * np.abs(expected).max()


def test_a_redrawn_level_is_that_of_the_predicted_image(page, mechanism, world):
    """At stickiness 0 the answers are those of the network without the correction, for the same random numbers."""
    # Brighter than its parents imply: the correction keeps this in full, the pixel noise in part (temperature 0.7).
    noises = noises_of(1, seed=5) * torch.tensor([1.3, 1.0])
    image = as_bytes(render(parents_of(1, seed=4), noises)).numpy()[0]
    before, after = {"size": 0.3, "light": -0.25, "kind": 0}, {"size": 0.3, "light": 0.5, "kind": 1}
    noise = np.random.default_rng(0).standard_normal(int(np.prod(mechanism.noise_shapes[0])))
    with Page() as window:
        opened(page, window)
        install(window, "asked", mechanism, world)
        levels, mechanism.grey_levels = mechanism.grey_levels, None
        try:
            install(window, "plain", mechanism, world)
        finally:
            mechanism.grey_levels = levels
        for stickiness, equal in ((0.0, True), (1.0, False)):
            dials = DIALS | {"stickiness": stickiness}
            found, plain = (
                answer(window, name, image, before, after, noise, dials) for name in ("asked", "plain")
            )
            difference = np.abs(found - plain).max()
            assert difference <= 1 if equal else difference >= 5


def test_a_run_with_corrections_is_answered_in_the_page(run, runtime, tmp_path, monkeypatch):
    folder = tmp_path / "pendulum"
    shutil.copytree(run, folder)
    dataset, train, test = (
        load_dataset(run / "data"),
        load_split(run / "data", "train"),
        load_split(run / "data", "test"),
    )
    network = {
        "channels": 4,
        "hidden": 8,
        "latent": 16,
        "transport": True,
        "levels": True,
        "exposure": ["light"],
    }
    torch.manual_seed(0)
    model = build_image_mechanism("vae", dataset, network).eval()
    images = torch.from_numpy(np.array(train.images))
    parents = torch.from_numpy(
        encode_parents(dataset, {name: train.attributes[name].to_numpy() for name in dataset.names})
    )
    fit_exposure(model.head, images, parents)
    fit_levels(model, images, parents)
    save_model(folder / "models" / "vae" / "seed0", model.state_dict(), {"model": "vae", "network": network})
    page, settings = write(folder, tmp_path / "page.html", runtime), load_settings({}).answers
    actions = [{"light": 80.0}, {"light": 60.0, "angle": -0.3}, {}]
    with Page() as window:
        opened(page, window)
        assert "not evaluated in this page" not in window.evaluate("document.body.innerText")
        rows = window.evaluate("explorer.content.examples.rows")[: len(actions)]
        table = pd.DataFrame({"question": range(3), "index": rows, "seed": [11, 12, 13]})
        table["steps"] = [json.dumps([action]) for action in actions]
        respond = load_method("vae", 0, folder / "data", folder / "models", settings)
        expected, _, _ = answer_questions(respond, table, dataset, test, 10)
        noise = normal(table["seed"].to_numpy(), (16,), "latents", 0)
        for k, action in enumerate(actions):
            found = answered(window, k, action, noise[k])
            assert np.abs(np.array(found[1]) - expected[k].ravel().astype(int)).max() <= 1
            if not action:
                assert found[0] == window.evaluate(f"explorer.content.examples.parents[{k}]")
        assert window.errors == []
    monkeypatch.setattr(content, "MOST_LATENTS", 8)
    settings = content.Models(folder / "data", folder / "models", ["vae"], 0, settings)
    found, data, left_out = content.networks(settings, dataset)
    assert not data and left_out == {
        "vae": "models.vae.network.transport moves 16 latents, too many for a browser"
    }
