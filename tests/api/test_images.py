"""Own images: types, sizes and colours become images of the data set; odd ones are found."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from counterfactory.api.images import fit, is_batch, read_image
from counterfactory.api.training_data import fit_typical
from counterfactory.core.errors import UserError

GREY = np.arange(36, dtype=np.uint8).reshape(6, 6)


@pytest.mark.parametrize(
    "source",
    [GREY, GREY[None], GREY[:, :, None], Image.fromarray(GREY), GREY / 255.0, np.stack([GREY] * 3, 2)],
)
def test_every_type_gives_the_same_pixels(source):
    assert np.array_equal(read_image(source, 1)[0][:, :, 0], GREY)


def test_a_file(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "mine.png")
    assert np.array_equal(read_image(tmp_path / "mine.png", 3)[0], np.stack([GREY] * 3, 2))
    with pytest.raises(UserError, match="no such file"):
        read_image(tmp_path / "other.png", 1)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(UserError, match="not an image"):
        read_image(tmp_path / "text.png", 1)


@pytest.mark.parametrize(
    "wrong", [GREY.astype(np.int64), GREY / 10.0, np.full((6, 6), np.nan), np.zeros((0, 6)), 3]
)
def test_wrong_arrays_are_refused(wrong):
    with pytest.raises(UserError):
        read_image(wrong, 1)


def test_batches():
    assert is_batch([GREY]) and is_batch(np.zeros((5, 6, 6))) and is_batch(np.zeros((5, 1, 6, 6)))
    assert not is_batch(GREY) and not is_batch(np.zeros((6, 6, 3))) and not is_batch("mine.png")


def test_sizes():
    same, notes = fit(GREY[:, :, None], (1, 6, 6), "mine")
    assert np.array_equal(same[0], GREY) and not notes
    padded, notes = fit(np.full((28, 28, 1), 7, np.uint8), (1, 32, 32), "mine")
    assert (padded == 7).all() and notes == ["mine: padded from 28 x 28 to 32 x 32 px"]
    wide, notes = fit(np.full((40, 90, 3), 9, np.uint8), (3, 32, 32), "mine")
    assert wide.shape == (3, 32, 32) and (wide == 9).all() and "resized from 90 x 40" in notes[0]


def test_typical_images():
    rng = np.random.default_rng(0)
    images = rng.uniform(0, 1, (300, 1, 1, 1)) * np.linspace(0, 120, 64).reshape(8, 8) + 5 * rng.random(
        (300, 1, 8, 8)
    )
    typical = fit_typical(images.astype(np.uint8))
    assert (typical.distance(images.astype(np.uint8)) <= typical.limit).mean() > 0.97
    assert typical.distance(255 - images.astype(np.uint8)).min() > 2 * typical.limit


def test_import_stays_light():
    code = "import sys, json, counterfactory; light = 'torch' not in sys.modules and 'numpy' not in sys.modules\n"
    code += "import counterfactory.api.world, counterfactory.methods.dscm\n"
    code += "print(json.dumps([light, list(sys.modules)]))"
    light, modules = json.loads(subprocess.check_output([sys.executable, "-c", code], text=True))
    heavy = ("snakemake", "counterfactory.report", "counterfactory.training", "counterfactory.cli")
    assert light and not [name for name in modules if name.startswith(heavy)]
