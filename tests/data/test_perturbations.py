"""The perturbations of Morpho-MNIST: closed forms on bars and rings, and effects on drawn strokes."""

import numpy as np
import pytest
from scipy import ndimage
from skimage.draw import disk, line
from skimage.measure import euler_number
from skimage.morphology import dilation, erosion
from skimage.morphology import disk as disk_footprint

from counterfactory.core.errors import UserError
from counterfactory.data import perturbations
from counterfactory.data.morphology import Analysis, analyse, downscale, measure
from counterfactory.data.perturbations import (
    KINDS,
    MIXES,
    SCALE,
    fracture,
    mix,
    perturb,
    swell,
    thicken,
    thin,
)

EIGHT = np.ones((3, 3))


def bar(half=8, start=16, stop=96):
    """A horizontal bar of 2 `half` + 1 fine rows, and its centre line as its skeleton."""
    binary, skeleton = np.zeros((2, 112, 112), bool)
    binary[56 - half : 57 + half, start:stop] = True
    skeleton[56, start + half : stop - half] = True
    return Analysis(
        hires=255 * binary.astype(np.uint8),
        binary=binary,
        skeleton=skeleton,
        distance=ndimage.distance_transform_edt(binary),
    )


def strokes():
    """Drawn 28 x 28 images: a bar, a slanted line, a ring, a T that touches the border."""
    images = []
    fine = np.zeros((4, 112, 112))
    fine[0, 40:60, 16:96] = 1
    fine[1][line(16, 30, 96, 80)] = 1
    fine[1] = dilation(fine[1], disk_footprint(6))
    fine[2][disk((56, 56), 40)] = 1
    fine[2][disk((56, 56), 24)] = 0
    fine[3, 0:14, 10:100] = 1
    fine[3, 0:112, 50:62] = 1
    images = [downscale(image > 0, SCALE) for image in fine]
    return np.stack(images)


def parts(binary):
    return ndimage.label(binary, EIGHT)[1]


class Fixed:
    """A generator that draws given integers."""

    def __init__(self, *values):
        self.values = values

    def integers(self, high, size=None):
        return self.values[0] if size is None else np.array(self.values[:size])


# Thinner and thicker.


@pytest.mark.parametrize("half", [4, 8, 12])
@pytest.mark.parametrize("amount", [0.3, 0.7, 1.0])
def test_a_bar_loses_or_gains_the_stated_share(half, amount):
    # The bar's 2 half + 1 rows lie at most half + 1 from the background.
    radius = int(amount * (half + 1))
    assert thin(bar(half), amount=amount)[:, 56].sum() == max(0, 2 * half + 1 - 2 * radius)
    assert thicken(bar(half), amount=amount)[:, 56].sum() == 2 * half + 1 + 2 * radius


def test_no_amount_changes_nothing():
    np.testing.assert_array_equal(thin(bar(), amount=0), bar().binary)
    np.testing.assert_array_equal(thicken(bar(), amount=0), bar().binary)


@pytest.mark.parametrize("index", range(4))
def test_they_are_scikit_images_erosion_and_dilation_by_a_disk(index):
    analysis = analyse(strokes()[index], SCALE)
    binary = analysis.binary
    fine = np.mean(analysis.distance[analysis.skeleton])
    np.testing.assert_array_equal(thin(analysis), erosion(binary, disk_footprint(int(0.7 * fine))))
    np.testing.assert_array_equal(thicken(analysis), dilation(binary, disk_footprint(int(fine))))


def test_the_measured_thickness_changes_by_about_the_stated_share():
    images = strokes()[:3]  # without the T: a stroke along the border is treated as if it continued outside
    before, thinner, thicker = (
        measure(x)["thickness"].to_numpy()
        for x in (images, perturb(images, "thin", 0), perturb(images, "thicken", 0))
    )
    # The radius is rounded down, by up to 0.5 px of thickness, and scaling down blurs the thinnest strokes wider.
    assert np.all(np.abs(thinner - (0.3 * before + 0.4)) < 0.4)
    assert np.all(np.abs(thicker - (2.0 * before - 0.3)) < 0.4)


# Swelling.


def test_a_bar_swells_as_the_warp_says():
    analysis, half = bar(), 8.5
    middle = len(np.argwhere(analysis.skeleton)) // 2
    swollen = swell(analysis, Fixed(middle))
    centre = np.argwhere(analysis.skeleton)[middle][1]
    reach = 0.5 * SCALE * 7 * np.sqrt(2 / SCALE * 9)
    # Above the centre a point at y is read at y (y / R)^2, so the edge half appears at (half R^2)^(1/3).
    height = 2 * (half * reach**2) ** (1 / 3)
    assert (swollen[:, centre] >= 0.5).sum() == pytest.approx(height, abs=1.01)
    y, x = np.mgrid[:112, :112]
    outside = np.hypot(y - 56, x - centre) > reach
    np.testing.assert_allclose(swollen[outside], analysis.binary[outside], atol=1e-9)
    assert (swollen - analysis.binary).min() > -1e-9  # it only grows
    assert swollen.max() <= 1


def test_swelling_of_strength_one_changes_nothing():
    np.testing.assert_allclose(swell(bar(), np.random.default_rng(0), strength=1), bar().binary, atol=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_swelling_adds_ink_in_one_place(seed):
    for image, swollen in zip(strokes(), perturb(strokes(), "swell", seed), strict=True):
        before, after = (analyse(x, SCALE).binary for x in (image, swollen))
        # 1.02 and not 1: a swelling at the border of the image lies largely outside it.
        assert after.sum() > 1.02 * before.sum()
        y, x = np.nonzero(after & ~dilation(before, disk_footprint(3)))  # less the rounding of both scalings
        size = 2 * 0.5 * SCALE * 7 * np.sqrt(measure(image[None])["thickness"][0]) + 4
        assert max(np.ptp(y), np.ptp(x)) <= size


# Fractures.


@pytest.mark.parametrize("width", [1.0, 1.5, 2.5])
def test_a_fracture_cuts_a_bar_in_two(width):
    analysis = bar()
    cut = fracture(analysis, np.random.default_rng(0), width=width, count=1)
    assert parts(cut) == 2
    brush = int(np.ceil((width * SCALE - 1) / 2))
    assert (analysis.binary & ~cut)[56].sum() == 2 * brush + 1
    assert not (cut & ~analysis.binary).any()


@pytest.mark.parametrize("angle", [0, 20, 45, 70, 90, 135])
def test_a_fracture_lies_across_the_stroke(angle):
    offset = 45 * np.array([np.sin(np.radians(angle)), np.cos(np.radians(angle))])
    skeleton = np.zeros((112, 112), bool)
    skeleton[line(*np.round(56 - offset).astype(int), *np.round(56 + offset).astype(int))] = True
    binary = dilation(skeleton, disk_footprint(7))
    analysis = Analysis(
        hires=255 * binary.astype(np.uint8),
        binary=binary,
        skeleton=skeleton,
        distance=ndimage.distance_transform_edt(binary),
    )
    gap = binary & ~fracture(analysis, np.random.default_rng(angle), count=1)
    assert parts(binary & ~gap) == 2
    # The shortest possible cut: 15 fine pixels across the stroke and 7 along it.
    assert gap.sum() == pytest.approx(15 * 7, rel=0.25)


def test_fractures_keep_off_tips_and_forks():
    analysis = bar()
    analysis.skeleton[57:90, 56] = True  # a stem: forks about (56, 56), a tip at (89, 56)
    analysis.binary[57:98, 48:65] = True
    analysis.distance[:] = ndimage.distance_transform_edt(analysis.binary)
    lost = np.zeros((112, 112), bool)
    for seed in range(150):
        # A gap of one pixel, exactly at the drawn point of the skeleton.
        lost |= analysis.binary & ~fracture(analysis, np.random.default_rng(seed), width=0.25, count=1)
    arms, stem = lost[56], lost[:, 56]
    assert not arms[:33].any() and not arms[80:].any() and not stem[82:].any()  # 8 from the tips 24, 87, 89
    assert not arms[48:65].any() and not stem[56:65].any()  # 8 from the fork
    assert arms[34:46].mean() > 0.5 and arms[67:79].mean() > 0.5 and stem[67:81].mean() > 0.5


def test_a_fracture_opens_a_ring():
    image = strokes()[2:3]
    binary = analyse(image[0], SCALE).binary
    assert euler_number(binary, 2) == 0  # one part, one hole
    for seed in range(3):
        cut = fracture(analyse(image[0], SCALE), np.random.default_rng(seed), count=1)
        assert (parts(cut), euler_number(cut, 2)) == (1, 1)


def test_fractures_break_the_skeleton_of_drawn_strokes():
    for image, fractured in zip(strokes(), perturb(strokes(), "fracture", 0), strict=True):
        before, after = (analyse(x, SCALE).binary for x in (image, fractured))
        assert euler_number(after, 2) > euler_number(before, 2)
        assert after.sum() < before.sum()


def test_a_dot_too_small_to_prune_is_fractured_all_the_same():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 12:15, 12:15] = 255
    assert perturb(image, "fracture", 0).sum() < image.sum()


def test_a_fracture_may_run_out_of_the_image():
    analysis = bar()
    for field in ("hires", "binary", "skeleton", "distance"):
        getattr(analysis, field)[:] = np.roll(getattr(analysis, field), -56, axis=0)
    assert parts(fracture(analysis, np.random.default_rng(0), count=1)[:40]) == 2


# Batches, seeds, mixes.


@pytest.mark.parametrize("kind", KINDS)
def test_a_batch_is_its_images_one_by_one(kind):
    images = strokes()
    whole = perturb(images, kind, 7)
    assert whole.shape == images.shape and whole.dtype == np.uint8
    for index in range(len(images)):
        np.testing.assert_array_equal(perturb(images[index : index + 1], kind, 7, [index])[0], whole[index])
    np.testing.assert_array_equal(perturb(images[::-1], kind, 7, range(len(images))[::-1]), whole[::-1])


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_one_result_and_another_seed_another(kind):
    images = strokes()
    np.testing.assert_array_equal(perturb(images, kind, 3), perturb(images, kind, 3))
    drawn = kind in ("swell", "fracture")
    assert np.array_equal(perturb(images, kind, 3), perturb(images, kind, 4)) != drawn


def test_plain_is_the_binary_image_scaled_down():
    images = strokes()
    again = perturb(images // 2, "plain", 0)
    for image, result in zip(images // 2, again, strict=True):
        np.testing.assert_array_equal(result, downscale(analyse(image, SCALE).binary, SCALE))
    assert np.abs(again.astype(int) - images).mean() < 4  # full contrast again


@pytest.mark.parametrize("name", MIXES)
def test_a_mix_is_made_of_its_kinds_by_its_labels(name):
    images = np.concatenate([strokes()] * 3)
    mixed, labels = mix(images, name, 5)
    assert labels.dtype == np.uint8 and {KINDS[label] for label in labels} == set(MIXES[name])
    for index, (image, label) in enumerate(zip(images, labels, strict=True)):
        alone = perturb(image[None], KINDS[label], 5, [index])[0]
        np.testing.assert_array_equal(mixed[index], alone)
    some, some_labels = mix(images[4:6], name, 5, [4, 5])
    np.testing.assert_array_equal(some, mixed[4:6])
    np.testing.assert_array_equal(some_labels, labels[4:6])


def test_the_kinds_of_a_mix_are_equally_likely(monkeypatch):
    monkeypatch.setattr(perturbations, "perturb", lambda images, *arguments: images)
    _, labels = mix(np.zeros((3000, 28, 28), np.uint8), "local", 0)
    counts = np.bincount(labels, minlength=5)
    assert counts[[1, 2]].sum() == 0
    assert np.abs(counts[[0, 3, 4]] - 1000).max() < 4 * np.sqrt(3000 * 2 / 9)


def test_an_image_without_strokes_is_returned_as_it_is():
    images = np.stack([np.zeros((28, 28)), np.full((28, 28), 9), 8 + np.eye(28)]).astype(np.uint8)
    for kind in KINDS:
        np.testing.assert_array_equal(perturb(images, kind, 0), images)
    assert perturb(images[:0], "swell", 0).shape == (0, 28, 28)


def test_wrong_arguments_are_named():
    images = strokes()
    with pytest.raises(UserError, match="'melt' is not a kind; choose one of plain, thin"):
        perturb(images, "melt", 0)
    with pytest.raises(UserError, match="'all' is not a mix; choose one of global, local"):
        mix(images, "all", 0)
    with pytest.raises(UserError, match="4 images, 3 kinds"):
        perturb(images, ["plain"] * 3, 0)
    with pytest.raises(UserError, match="uint8"):
        perturb(images / 255, "plain", 0)
