"""The layout of DiME's published code: files, Info, summary and maps of changes, on values computed by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import yaml
from PIL import Image

from counterfactory.core.errors import UserError
from counterfactory.core.noise import normal
from counterfactory.diffusion.schedule import build_schedule
from counterfactory.report.export_dime import _noised, change_map, flips_of, summary_of, write_experiment
from tests.metrics.flips import StubClassifier, answer_flips, blank, lit, pixel

CLASSIFIER = StubClassifier(bright=pixel(0))
LEVELS = (0, 0, 255, 51)
"""Grey levels of the pixel that the classifier uses, in the factual images; the predictions are 0, 0, 1 and 0."""


def factual() -> np.ndarray:
    images = blank(4)
    images[:, 0, 0, 0] = LEVELS
    return images


def flips(**changes):
    """Answers to four images: flipped, not flipped (as it was), flipped, and flipped from a wrong prediction."""
    images = factual()
    images[0, 0, 0, 0], images[2, 0, 0, 0], images[3, 0, 0, 0] = 255, 0, 204
    asked = {"label": [0, 0, 1, 1], "target": [1, 1, 0, 0], "index": [12, 3, 700, 1234]} | changes
    answered = answer_flips(factual(), images, "bright", **asked)
    answered.questions["seed"] = np.arange(4)
    return flips_of(answered, CLASSIFIER, "bright")


def test_targets_are_the_opposite_of_the_prediction():
    answers = flips()
    np.testing.assert_array_equal(answers.pred, [0, 0, 1, 0])
    np.testing.assert_array_equal(
        answers.target, [1, 1, 0, 1]
    )  # the last one's label is 1, but the prediction is 0
    np.testing.assert_array_equal(answers.cf_pred, [1, 0, 0, 1])
    np.testing.assert_allclose(answers.bkl, [0.0, 1.0, 0.0, 0.2])
    np.testing.assert_allclose(answers.l_1, np.array([255, 0, 255, 153]) / 16 / 255)


def test_files_have_the_published_layout(tmp_path):
    folder = write_experiment(flips(), tmp_path, "some-0")
    assert folder == tmp_path / "Results" / "some-0"
    originals = {path.relative_to(tmp_path / "Original").as_posix() for path in tmp_path.glob("Original/*/*")}
    assert originals == {
        "Correct/0000012.jpg",
        "Correct/0000003.jpg",
        "Correct/0000700.jpg",
        "Incorrect/0001234.jpg",
    }
    where = {"0000012": "CC/CCF", "0000003": "CC/ICF", "0000700": "CC/CCF", "0001234": "IC/CCF"}
    expected = {
        f"{group}/{kind}/{one}.{'txt' if kind == 'Info' else 'jpg'}"
        for one, group in where.items()
        for kind in ("CF", "Info", "SM")
    }
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert files == expected | {"summary.yaml", "stats.npz"}
    # The scripts list all folders, including empty ones.
    for group in ("CC/CCF", "CC/ICF", "IC/CCF", "IC/ICF"):
        assert all((folder / group / kind).is_dir() for kind in ("CF", "Info", "Noise", "SM"))
    with Image.open(folder / "CC/CCF/CF/0000012.jpg") as image:
        assert image.mode == "RGB" and image.size == (4, 4) and image.format == "JPEG"


def test_info_has_six_lines_without_final_newline(tmp_path):
    folder = write_experiment(flips(), tmp_path, "some-0")
    text = (folder / "IC/CCF/Info/0001234.txt").read_text()
    lines = text.split("\n")
    assert lines[:4] == ["label: 1", "pred: 0", "target: 1", "cf pred: 1"] and len(lines) == 6
    assert lines[4].startswith("BKL: ") and float(lines[4].split(": ")[1]) == pytest.approx(0.2)
    assert lines[5].startswith("l_1: ") and float(lines[5].split(": ")[1]) == pytest.approx(153 / 16 / 255)


def test_the_summary_has_the_published_keys_and_units():
    summary = summary_of(flips())
    assert summary["clean acc"] == 75.0  # per cent
    assert summary["cf acc"] == 0.75  # a share
    assert summary["n"] == 4 and summary["FVA"] == 0 and summary["MNAC"] == 0
    assert summary["bkl"] == pytest.approx(0.3)
    assert summary["class-cor"]["n"] == 3 and summary["class-cor"]["cf-inc"] == {
        "bkl": 1.0,
        "l_1": 0.0,
        "n": 1,
    }
    assert summary["class-inc"]["cf-inc"] == {"bkl": 0, "l_1": 0, "n": 0}  # an empty group has means of 0
    assert summary["cf-cor"]["l_1"] == pytest.approx((255 + 255 + 153) / 3 / 16 / 255)
    for name in ("class-cor", "class-inc"):
        assert set(summary[name]) == {"bkl", "l_1", "n", "cf-cor", "cf-inc"}


def test_the_summary_is_plain_yaml_and_stats_contain_no_pickle(tmp_path):
    folder = write_experiment(flips(), tmp_path, "some-0")
    assert yaml.safe_load((folder / "summary.yaml").read_text()) == summary_of(flips())
    with np.load(folder / "stats.npz", allow_pickle=False) as stats:
        assert set(stats) == {"l_1", "bkl", "pred", "cf pred", "target", "label", "n", "flipped", "acc"}
        np.testing.assert_array_equal(stats["cf pred"], [1, 0, 0, 1])
        assert stats["flipped"] == 3 and stats["acc"] == 75.0


def test_the_map_of_an_unchanged_image_is_zero():
    with np.errstate(all="raise"):
        np.testing.assert_array_equal(change_map(factual()[0], factual()[0]), np.zeros((4, 4)))


def test_maps_of_change_sum_channels_and_reach_255():
    before = np.zeros((3, 2, 2), np.uint8)
    after = before.copy()
    after[:, 0, 0], after[0, 1, 1] = 100, 150
    np.testing.assert_array_equal(change_map(before, after), [[255, 0], [0, 127]])
    np.testing.assert_array_equal(change_map(after, before), [[255, 0], [0, 127]])


def test_methods_share_originals_but_not_experiments(tmp_path):
    write_experiment(flips(), tmp_path, "one-0")
    write_experiment(flips(), tmp_path, "two-0")
    assert len(list(tmp_path.glob("Original/*/*.jpg"))) == 4
    with pytest.raises(UserError, match="exists already"):
        write_experiment(flips(), tmp_path, "one-0")


def test_originals_of_another_attribute_raise_an_error(tmp_path):
    write_experiment(flips(), tmp_path, "one-0")
    with pytest.raises(UserError, match="another attribute or classifier"):
        write_experiment(flips(label=[1, 0, 1, 1]), tmp_path, "two-0")
    assert [path.name for path in (tmp_path / "Results").iterdir()] == ["one-0"]


def test_a_failure_leaves_no_partial_experiment(tmp_path, monkeypatch):
    monkeypatch.setattr("counterfactory.report.export_dime.summary_of", lambda flips: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        write_experiment(flips(), tmp_path, "one-0")
    assert not list((tmp_path / "Results").iterdir())


def test_unanswered_questions_and_other_repeats_are_excluded():
    images = lit(factual(), 0)
    answered = answer_flips(
        factual(),
        images,
        "bright",
        index=[1, 2, 3, 4],
        answered=[True, False, True, True],
        repeat=[0, 0, 0, 1],
    )
    answered.questions["seed"] = 0
    assert flips_of(answered, CLASSIFIER, "bright").rows.tolist() == [1, 3]
    assert flips_of(answered, CLASSIFIER, "bright", repeat=1).rows.tolist() == [4]
    assert not len(flips_of(answered, CLASSIFIER, "bright", repeat=2))


def test_noised_images_equal_the_start_of_sampling(tmp_path):
    meta = tmp_path / "model.json"
    meta.write_text(json.dumps({"diffusion": {"schedule": "linear", "steps": 100}}))
    answers = flips()
    noised = _noised(answers, meta, SimpleNamespace(timestep_respacing=40, start_step=12))
    schedule = build_schedule("linear", 100, 40)
    left = schedule.alphas_bar[12].item()
    expected = left**0.5 * (answers.factual / 127.5 - 1) + (1 - left) ** 0.5 * normal(
        range(4), (1, 4, 4), "start"
    )
    np.testing.assert_allclose(noised, np.clip((expected + 1) * 127.5, 0, 255), atol=0.51)
