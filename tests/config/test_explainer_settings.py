"""The settings of DiME and FastDiME: those of digits, of photographs, and the published ones."""

from pathlib import Path

import pytest

from counterfactory.config import load_settings, read_config
from counterfactory.config.dataset_defaults import dataset_defaults
from counterfactory.diffusion.schedule import build_schedule

PRESETS = Path(__file__).parents[2] / "workflow" / "presets"
NAMES = ("dime", "fastdime")
WALK = {"timestep_respacing": 200, "start_step": 60, "l1_loss": 0.05, "l_perc": 30.0}
PUBLISHED = {**WALK, "classifier_scales": [8.0, 10.0, 15.0], "perceptual": "vgg19", "l_perc_layer": 18}


def explainers(given):
    """The settings of both explainers, and the warm-up of the mask."""
    answers = load_settings(given).answers
    return {name: getattr(answers, name).model_dump() for name in NAMES}, answers.fastdime.warmup_mask


def test_digits_start_at_the_published_noise():
    """Fewer steps are kept, but the walk starts at about the signal of the published one, and its half is masked."""
    own, warmup = explainers({})
    published = build_schedule("linear", 500, 200).alphas_bar[60]
    for name in NAMES:
        kept = build_schedule("linear", 500, own[name]["timestep_respacing"]).alphas_bar
        assert abs(float(kept[own[name]["start_step"]] - published)) < 0.02
    assert 2 * warmup == own["fastdime"]["start_step"]


@pytest.mark.parametrize("dataset", ["celeba", "morphomnist"])
def test_the_protocol_sets_what_is_published(dataset):
    own, warmup = explainers({"dataset": dataset, "protocol": "dime"})
    assert all(PUBLISHED.items() <= own[name].items() for name in NAMES)
    assert warmup == 30


@pytest.mark.parametrize("preset", ["paper", "faces_paper"])
def test_presets_of_published_sizes_set_what_is_published(preset):
    own, warmup = explainers(read_config([PRESETS / f"{preset}.yaml"]))
    assert all(PUBLISHED.items() <= own[name].items() for name in NAMES)
    assert warmup == 30


def test_photographs_keep_the_published_steps_and_distances():
    own, warmup = explainers({"dataset": "celeba"})
    assert all(WALK.items() <= own[name].items() for name in NAMES)
    assert (warmup, own["dime"]["images"]) == (30, 20)
    declared = [
        {
            path: value
            for path, value in dataset_defaults({"dataset": name}).items()
            if path.startswith("answers.")
        }
        for name in ("celeba", "folder")
    ]
    assert declared[0] == declared[1] and declared[0]["answers.dime_x.boost"] == 1.1
