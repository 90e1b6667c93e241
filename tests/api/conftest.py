"""A finished run at the smallest scale with every kind of method, and a bundle of it."""

import os

import pytest
import yaml

import counterfactory
from counterfactory.config import load_settings
from tests.workflow import tiny

BRIEF = {"steps": 2, "batch_size": 16, "warmup": 1, "valid_every": 1}
DIFFUSION = {"network": {"width": 16, "multipliers": [1, 2]}, "training": BRIEF}
EXPLAINER = {"images": 4, "timestep_respacing": 10, "start_step": 3, "batch_size": 4, "perceptual": "none"}
MORE = {
    "methods": ["copy", "vae", "hvae", "causaldiffae", "dime", "fastdime", "dime_x", "truth"],
    # Each side of the threshold has half of the images, so that a classifier of some steps predicts both.
    "attributes": {"right": {"of": "angle", "above": 0.0}},
    "models": {
        "classifier": {"training": {"steps": 80, "batch_size": 32, "warmup": 5, "valid_every": 20}},
        "hvae": {
            "network": {"widths": [8, 8, 8, 8], "latents": [0, 0, 2, 2], "resolutions": [8, 4, 2, 1]},
            "training": {**BRIEF, "batch_size": 8},
        },
        "causaldiffae": DIFFUSION,
        "ddpm": DIFFUSION,
    },
    "answers": {
        "causaldiffae": {"steps": 3},
        "dime": EXPLAINER,
        "fastdime": {**EXPLAINER, "warmup_mask": 2},
        "dime_x": {**EXPLAINER, "stop_step": 1, "restart_step": 2},
    },
}


def merged(under: dict, over: dict) -> dict:
    """Returns nested keys of `over` merged into `under`."""
    both = {
        key: merged(under[key], value)
        if isinstance(value, dict) and isinstance(under.get(key), dict)
        else value
        for key, value in over.items()
    }
    return {**under, **both}


@pytest.fixture(scope="package")
def results(tmp_path_factory):
    """The results folder of the run; answers of all methods are in it."""
    folder, before = tmp_path_factory.mktemp("imagine"), os.getcwd()
    os.chdir(folder)
    config = merged(yaml.safe_load(tiny.CONFIG), MORE)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tiny, "CONFIG", yaml.safe_dump(config))
            tiny.make()
        for model in ("hvae", "causaldiffae", "ddpm"):
            assert tiny.run("train", model) == 0, model
        for method in ("hvae", "causaldiffae"):
            for suite in tiny.SUITES:
                assert tiny.run("answer", method, suite, tiny.chunk(suite)) == 0, (method, suite)
        for method in ("dime", "fastdime", "dime_x"):
            assert tiny.run("answer", method, "flip", tiny.chunk("flip")) == 0, method
        (tiny.RESULTS / "settings.json").write_text(load_settings(config).model_dump_json())
    finally:
        os.chdir(before)
    return folder / tiny.RESULTS


@pytest.fixture(scope="package")
def world(results):
    return counterfactory.load(results)


@pytest.fixture(scope="package")
def bundle(results, tmp_path_factory):
    from counterfactory.api.bundle import write_bundle

    return write_bundle(results, tmp_path_factory.mktemp("bundles") / "pendulum-bundle")
