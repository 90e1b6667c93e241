"""Answers about single images: equal to those of the workflow, for every kind of image, method and dial."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import counterfactory
from counterfactory.api import ImagineWarning
from counterfactory.api.checks import outside_values
from counterfactory.api.layout import SHIPPED
from counterfactory.core.errors import UserError
from counterfactory.data.dataset import load_dataset

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::counterfactory.api.images.ImagineWarning"),
]

CAUSAL = ["copy", "vae", "hvae", "causaldiffae", "truth"]
EXPLAINERS = ["dime", "fastdime", "dime_x"]
ALL = [(method, suite) for method in CAUSAL for suite in ("do", "null", "reverse", "flip")] + [
    (method, "flip") for method in EXPLAINERS
]


def stored(results, method, suite):
    folder = results / "answers" / method / "seed0" / suite
    [images], [columns] = folder.glob("*.npy"), folder.glob("*.parquet")
    return np.load(images), pd.read_parquet(columns)


@pytest.mark.parametrize("method,suite", ALL)
def test_equals_the_answer_of_the_workflow_byte_for_byte(results, world, method, suite):
    images, columns = stored(results, method, suite)
    for number in (0, len(images) - 1):
        answered = columns["answered"].iloc[number] if "answered" in columns else True
        if not answered:
            with pytest.raises(UserError, match="does not answer"):
                world.imagine(**world.question(suite, number), method=method)
            continue
        answer = world.imagine(**world.question(suite, number), method=method)
        assert np.array_equal(answer.images[0], images[number])
        own = {name: columns[name].iloc[number] for name in answer.parents}
        assert answer.parents == own


def test_paths_pictures_arrays_and_batches_are_alike(world, tmp_path):
    pixels = world.test(1).image
    picture = Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0))
    picture.save(tmp_path / "mine.png")
    asked = {"do": {"angle": 0.4}, "given": world.test(1).parents, "method": "vae"}
    first = world.imagine(tmp_path / "mine.png", **asked).images
    for source in (picture, pixels, pixels / 255.0, pixels.transpose(1, 2, 0)):
        assert np.array_equal(world.imagine(source, **asked).images, first)
    batch = world.imagine([picture, tmp_path / "mine.png"], **asked)
    assert len(batch) == 2 and all(np.abs(one.images.astype(int) - first).max() <= 1 for one in batch)
    two = world.imagine(np.stack([pixels, pixels]), **(asked | {"do": {"angle": [0.4, -0.2]}}))
    assert [one.parents["angle"] for one in two] == [0.4, -0.2]


def test_parents_that_are_not_given_are_read_and_shown(world):
    mine = world.test(0).image
    answer = world.imagine(mine, {"angle": 0.3}, {"light": 70.0}, method="vae")
    assert answer.factual["light"].value == 70.0 and answer.factual["light"].source == "given"
    sources = {name: parent.source for name, parent in answer.factual.items() if name != "light"}
    assert set(sources.values()) <= {"measured", "judged"} and len(sources) == 3
    assert answer.parents["angle"] == 0.3 and answer.parents["light"] == 70.0  # no effect of the angle
    shown = str(answer)
    assert all(name in shown for name in world.dataset.names) and "(given)" in shown
    assert set(answer.measured) == set(world.dataset.names)


def test_samples_and_spread(world):
    asked = (world.test(0), {"angle": 0.3})
    several = world.imagine(*asked, method="vae", samples=4, seed=7)
    assert several.images.shape[0] == 4 and several.spread.shape == several.images.shape[1:]
    assert np.array_equal(several.spread, several.images.astype(float).std(0)) and several.spread.max() > 0
    assert np.array_equal(several.images[0], world.imagine(*asked, method="vae", seed=7).images[0])
    assert world.imagine(*asked, method="vae").spread.max() == 0
    same = world.imagine(*asked, method="vae", samples=3, latent_temperature=0.0)
    assert same.spread.max() == 0  # without noise of the latents all samples are equal


def test_a_null_intervention_returns_the_image(world):
    answer = world.imagine(world.test(0), {}, method="vae")
    assert np.abs(answer.images[0].astype(int) - world.test(0).image).max() <= 1
    blurred = world.imagine(world.test(0), {}, method="vae", residual_temperature=0.0)
    assert np.abs(blurred.images[0].astype(int) - world.test(0).image).max() > 1


def test_a_method_of_ones_own(world):
    def darker(batch):
        parents = {
            name: np.where(np.isnan(batch.do[name]), batch.parents[name], batch.do[name]) for name in batch.do
        }
        return batch.images // 2, parents

    answer = world.imagine(world.test(0), {"angle": 0.3}, method=darker)
    assert np.array_equal(answer.images[0], world.test(0).image // 2)
    assert answer.method == "darker" and answer.parents["angle"] == 0.3


def test_save(world, tmp_path):
    answer = world.imagine(world.test(0), {"angle": 0.3}, method="vae")
    answer.save(tmp_path / "after.png")
    saved = np.asarray(Image.open(tmp_path / "after.png")).reshape(*answer.images.shape[2:], -1)
    assert np.array_equal(saved.transpose(2, 0, 1), answer.images[0])
    with pytest.raises(UserError, match="not a lossless format"):
        answer.save(tmp_path / "after.jpg")


def test_flips(world):
    row = next(row for row in range(20) if world.test(row).parents["angle"] < 0.0)
    flipped = world.imagine(world.test(row), flip="right", method="vae")
    assert flipped.parents["angle"] == world.training["flips"]["right"]["1"] > 0.0
    explained = world.imagine(world.test(row), flip="right", method="dime_x")
    assert explained.parents == {} and explained.images.shape == flipped.images.shape


@pytest.mark.parametrize(
    "arguments,words",
    [
        ({"do": {"angl": 1}}, "did you mean 'angle'?"),
        ({"do": {"angle": "much"}}, "give one number"),
        ({"do": {"angle": [1, 2]}}, "give one number"),
        ({"do": {"angle": float("nan")}}, "not a finite number"),
        ({"do": {"angle": 1}, "given": {"lite": 2}}, "did you mean 'light'?"),
        ({"do": 3}, "give variables and values"),
        ({"do": {"angle": 1}, "given": [1]}, "give variables and values"),
        ({}, "nothing is asked"),
        ({"flip": "rigt"}, "did you mean 'right'?"),
        ({"flip": {"right": 2}}, "give 0 or 1"),
        ({"do": {"angle": 1}, "method": "vae_ft"}, "not among the results"),
        ({"do": {"angle": 1}, "method": "veg"}, "no such method"),
        ({"do": {"angle": 1}, "method": "dime"}, "answers flips only"),
        ({"do": {"angle": 1}, "samples": 0}, "choose 1 or more"),
        ({"do": {"angle": 1}, "residual_temp": 0.1}, "did you mean 'residual_temperature'?"),
        ({"do": {"angle": 1}, "stickiness": 3.0}, "stickiness"),
        ({"do": {"angle": 1}, "image": "missing.png"}, "no such file"),
        ({"do": {"angle": 1}, "image": np.zeros((16, 16), np.int64)}, "give uint8"),
        ({"do": {"angle": 1}, "image": []}, "the batch is empty"),
        ({"do": {"angle": 1}, "image": "postscript.png"}, "not an image"),
    ],
)
def test_mistakes_are_one_line(world, arguments, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Pillow would start a program to draw this one.
    Path("postscript.png").write_text("%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n")
    image = arguments.pop("image", None)
    method = {"method": "vae"} | arguments
    with pytest.raises(UserError, match=re.escape(words)) as found:
        world.imagine(world.test(0) if image is None else image, **method)
    assert "\n" not in str(found.value)


def test_another_size_or_colour_is_said(world):
    pixels = world.test(0).image
    large = Image.fromarray(np.kron(pixels[0], np.ones((4, 4), np.uint8)))
    asked = {"do": {"angle": 0.3}, "method": "vae"}
    answer = world.imagine(large, **asked)
    assert any("resized from 64 x 64 to 16 x 16 px" in line for line in answer.notes)
    coloured = large.convert("RGB")
    assert np.array_equal(world.imagine(coloured, **asked).before, answer.before)


def test_warnings_name_the_value_the_range_and_the_dial(world):
    asked = {"method": "vae"}
    with pytest.warns(ImagineWarning, match=r"do\(light\) = 500.* is outside of the training data"):
        world.imagine(world.test(0), {"light": 500}, **asked)
    noise = np.random.default_rng(0).integers(0, 256, world.dataset.shape).astype(np.uint8)
    with pytest.warns(ImagineWarning, match="residual_temperature=0.1"):
        world.imagine(noise, {}, **asked)


def test_a_value_that_prints_as_the_end_of_the_range_has_no_warning():
    dataset = load_dataset(SHIPPED / "morphomnist" / "data")
    known = {"variables": {"intensity": {"low": 67.18, "high": 254.96}}}
    assert outside_values(dataset, known, {}, [{"intensity": 255.0}]) == []
    [line] = outside_values(dataset, known, {}, [{"intensity": 255.2}])
    assert line.startswith(
        "do(intensity) = 255.2 grey levels is outside of the training data (67.18 to 255 grey"
    )


def test_nothing_of_the_workflow_is_imported(results):
    code = (
        "import sys, time, counterfactory, counterfactory.api\n"
        "start = time.perf_counter()\n"
        f"world = counterfactory.load({str(results)!r})\n"
        "assert time.perf_counter() - start < 2, time.perf_counter() - start\n"
        "world.imagine(world.test(0), {'angle': 0.3}, method='vae')\n"
        "heavy = ('snakemake', 'matplotlib', 'tensorboard', 'jinja2', 'sklearn')\n"
        "own = ('counterfactory.report', 'counterfactory.training', 'counterfactory.metrics.')\n"
        "wrong = [n for n in sys.modules if n.split('.')[0] in heavy or n.startswith(own)]\n"
        "wrong = [n for n in wrong if n != 'counterfactory.metrics.registry']\n"  # names only
        "assert not wrong, wrong\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_no_results_are_one_line(tmp_path):
    for path, words in ((tmp_path / "nothing", "no such folder"), (tmp_path, "no results folder")):
        with pytest.raises(UserError, match=words):
            counterfactory.load(path)
