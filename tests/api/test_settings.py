"""The settings of a run are those of its answers in Python: temperatures, clipped noise, truncated grey levels."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
import yaml

import counterfactory
from counterfactory.api.bundle import write_bundle
from counterfactory.config import load_settings
from tests.api.conftest import MORE, merged
from tests.workflow import tiny

pytestmark = pytest.mark.slow

PUBLISHED = {
    "protocol": "causal-gen",
    "results": "published",
    "methods": ["copy", "vae", "hvae", "dime", "truth"],
    "answers": {"dime": {"rounding": "down"}},
}
ASKED = [("vae", "do"), ("hvae", "do"), ("dime", "flip")]


@pytest.fixture(scope="module")
def published(results):
    """The run with the settings of a published protocol, and the answers of `counterfactory answer` to them."""
    folder, before = results.parents[1], os.getcwd()
    config = merged(merged(yaml.safe_load(tiny.CONFIG), MORE), PUBLISHED)
    copy = folder / "published" / "pendulum"
    shutil.copytree(results, copy, ignore=shutil.ignore_patterns("answers", "scores", "figures", "tables"))
    plain = (folder / "tiny.yaml").read_text()
    os.chdir(folder)
    try:
        (folder / "tiny.yaml").write_text(yaml.safe_dump(config))
        for method, suite in ASKED:
            questions = pd.read_parquet(copy / "questions" / f"{suite}.parquet")
            assert tiny.run("answer", method, suite, f"000000-{len(questions):06d}") == 0
        (copy / "settings.json").write_text(load_settings(config).model_dump_json())
    finally:
        (folder / "tiny.yaml").write_text(plain)
        os.chdir(before)
    return copy


@pytest.mark.parametrize("method,suite", ASKED)
def test_equals_the_answer_of_the_workflow_byte_for_byte(results, published, method, suite):
    world, other = counterfactory.load(published), counterfactory.load(results)
    [file] = (published / "answers" / method / "seed0" / suite).glob("*.npy")
    stored, differs = np.load(file), False
    for number in (0, 1, 2):
        question = world.question(suite, number)
        answer = world.imagine(**question, method=method)
        assert np.array_equal(answer.images[0], stored[number])
        differs |= not np.array_equal(other.imagine(**question, method=method).images[0], stored[number])
    assert differs  # the settings have an effect


def test_a_bundle_has_them(published, tmp_path):
    bundle = counterfactory.load(write_bundle(published, tmp_path / "bundle", ["vae", "hvae"]))
    run = counterfactory.load(published)
    image, parents = run.test(3).image, run.test(3).parents
    for method in ("vae", "hvae"):
        asked = {"do": {"angle": 0.2}, "given": parents, "method": method}
        assert np.array_equal(bundle.imagine(image, **asked).images, run.imagine(image, **asked).images)
