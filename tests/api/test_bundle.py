"""Bundles: `load` takes them like results, the answers are the same, and the card says what is inside."""

import json
import warnings

import numpy as np
import pytest

import counterfactory
from counterfactory.api import ImagineWarning
from counterfactory.api.bundle import write_bundle
from counterfactory.api.layout import SETTINGS, SHIPPED, answers_settings
from counterfactory.config import load_settings
from counterfactory.core.descriptions import read_description
from counterfactory.core.errors import UserError
from counterfactory.core.files import write_json

pytestmark = pytest.mark.slow


def test_a_bundle_answers_as_the_results_do(results, world, bundle):
    opened = counterfactory.load(bundle)
    assert {"vae", "hvae", "causaldiffae", "dime_x"} <= set(opened.methods) and "truth" not in opened.methods
    pixels = world.test(0).image
    given = world.test(0).parents
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImagineWarning)
        for method in ("vae", "hvae", "causaldiffae"):
            asked = {"do": {"angle": 0.3}, "given": given, "method": method}
            assert np.array_equal(
                opened.imagine(pixels, **asked).images, world.imagine(pixels, **asked).images
            )
        asked = {"flip": "right", "method": "dime_x"}
        assert np.array_equal(opened.imagine(pixels, **asked).images, world.imagine(pixels, **asked).images)
        assert opened.imagine(pixels, {"angle": 0.3}, method="vae").factual.keys() == given.keys()
    assert opened.training == world.training
    with pytest.raises(UserError, match="no test images"):
        opened.test(0)


def test_the_card(bundle):
    text = (bundle / "README.md").read_text()
    assert text.startswith("---\nlicense: mit")
    for words in ("## Variables", "| angle |", "## Scores", "## Limits", "## Origin", "revision", "License"):
        assert words in text
    assert "rendered by the package" in text and "MIT License" in (bundle / "LICENSE").read_text()
    contents = json.loads((bundle / "bundle.json").read_text())
    assert contents["answers"]["vae"]["batch_size"] == 10  # as in the run: batches determine the last bits


def test_chosen_methods_and_refusals(results, bundle, tmp_path):
    small = write_bundle(results, tmp_path / "small", ["vae"])
    assert "VAE: the whole residual" in (small / "README.md").read_text()
    explained = write_bundle(results, tmp_path / "explained", ["dime_x"])
    # An explainer answers flips only, and has no residual.
    card = (explained / "README.md").read_text()
    assert 'flip="right", method="dime_x"' in card and "residual" not in card
    assert sorted(path.name for path in (small / "models").iterdir()) == ["judges", "scm", "vae"]
    for arguments, words in (
        ((results, bundle), "exists"),
        ((bundle, tmp_path / "again"), "is a bundle"),
        ((results, tmp_path / "none", ["veg"]), "no trained method"),
        ((results, bundle / "README.md" / "out"), "cannot be written"),
    ):
        with pytest.raises(UserError, match=words):
            write_bundle(*arguments)
    assert not (tmp_path / "none").exists()


def test_the_bundle_of_the_package_fits_the_code(tmp_path, monkeypatch):
    """The shipped weights are read by the code that is shipped with them, and answer as they did."""
    monkeypatch.chdir(tmp_path)
    shipped = counterfactory.load("morphomnist")
    assert shipped.methods[:3] == ("copy", "vae", "hvae")
    bar = np.zeros((1, 32, 32), np.uint8)
    bar[0, 7:25, 15:18] = 220
    given = {"thickness": 2.5, "intensity": 200.0, "digit": 1}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImagineWarning)
        for method in ("vae", "hvae"):
            thick = shipped.imagine(bar, {"thickness": 5.0}, given, method=method)
            assert (
                np.abs(shipped.imagine(bar, {}, given, method=method).images[0].astype(int) - bar).max() <= 1
            )
            assert thick.images[0].mean() > 1.2 * bar.mean()
            # Thicker strokes are brighter: the effect of thickness on intensity.
            assert thick.parents["intensity"] > 230 and thick.parents["digit"] == 1
            assert thick.measured["thickness"].value > 3.5
        dim = shipped.imagine(bar, {"intensity": 100.0}, given, method="vae")
        assert dim.parents["thickness"] == 2.5 and dim.images.max() < 150


def test_the_bundle_of_the_package_has_the_default_settings(tmp_path):
    """A changed default requires new models in the package: docs/howto/code.md says how they are written."""
    settings = load_settings({}).model_dump(mode="json")
    write_json(tmp_path / SETTINGS, settings)
    folder = SHIPPED / "morphomnist"
    for method in ("vae", "hvae"):
        found, expected = (
            read_description(folder / "models" / method / "seed0" / "model.json"),
            settings["models"][method],
        )
        assert found["network"] == expected["network"]
        assert found["settings"] == expected["training"]
        assert answers_settings(folder, method) == answers_settings(tmp_path, method)
    for judge in (folder / "models" / "judges").iterdir():
        found = read_description(judge / "model.json")
        assert found["settings"] == settings["judges"]["training"]
        assert sum(found["images"].values()) == settings["data"]["judges"]
    assert read_description(folder / "models" / "scm" / "seed0" / "model.json")["settings"] == settings["scm"]
    assert 'counterfactory.load("morphomnist")' in (folder / "README.md").read_text()


def test_an_unknown_name_lists_the_bundles_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match="bundle of the package: morphomnist"):
        counterfactory.load("morphomnits")


def test_the_command_without_any_results(tmp_path, monkeypatch, capsys):
    from PIL import Image

    from counterfactory.cli import main

    monkeypatch.chdir(tmp_path)
    bar = np.zeros((28, 28), np.uint8)
    bar[5:23, 13:16] = 220
    Image.fromarray(bar).save("mine.png")
    words = ["imagine", "mine.png", "--given", "digit=1", "--method", "vae"]
    assert main([*words, "--do", "thickness=4", "--do", "intensity=240", "--out", "after.png"]) == 0
    found = capsys.readouterr()
    assert "after.png" in found.out and "the models of the package answer" in found.err
    assert Image.open("after.png").size == (32, 32)
    assert main([*words, "--grid", "thickness=1:6:4", "--samples", "2", "--out", "sweep.png"]) == 0
    assert Image.open("sweep.png").size == (5 * (4 * 32 + 4), 2 * (4 * 32 + 4))
    capsys.readouterr()
    assert main([*words, "--do", "thicknes=4"]) == 2
    error = capsys.readouterr().err
    assert "did you mean 'thickness'?" in error and error.count("counterfactory imagine: thicknes") == 1
    for wrong in (["--do", "thickness"], ["--grid", "thickness=1:6"], []):
        assert main([*words, *wrong]) == 2
