"""Morphology against the published images and numbers, and against scipy and scikit-image where definitions agree.

They agree on the distance transform, the blur, moments, dilation and erosion, and on the medial axis with the
tie-breaking permutation of the published data. They differ in the cubic interpolation of `resize` (a Catmull-Rom kernel
in version 0.16, a B-spline today), and therefore in grey levels: with today's scikit-image, the measured mean thickness
differs by about 0.03 px, and a rendered image has 89 % identical pixels.
"""

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label, moments_central, regionprops
from skimage.morphology import medial_axis
from skimage.transform import pyramid_expand

from counterfactory.core.errors import UserError
from counterfactory.data.morphology import (
    ATTRIBUTES,
    analyse,
    downscale,
    measure,
    render,
    render_slanted,
    render_wide,
)
from counterfactory.data.morphology.rendering import set_intensity
from counterfactory.data.morphology.resampling import blur_weights
from counterfactory.data.morphology.skeleton import keep_table, tie_draws
from counterfactory.data.morphology.thickness import (
    change_radius,
    footprint,
    half_widths,
    lone_offsets,
    spread,
)
from counterfactory.data.morphology.workspace import Workspace
from tests.data.samples import mnist, sample, strokes

# Of the first 1000 published images: those whose radius is 19, and those of digits that touch the border.
SPECIAL = [25, 48, 94, 437, 552, 894, 947, 26, 141, 262, 410, 425, 483, 638, 646, 730, 822, 906, 917]


class Legacy(np.random.Generator):
    """Permutes as the published data's generator did."""

    def permutation(self, x):
        return np.random.RandomState(0).permutation(x)


# The published images and numbers.


def published(rows):
    file = np.load(sample("morphomnist-published-t10k-first1000.npz"))
    images, labels = mnist()
    assert np.array_equal(file["labels"], labels[60_000:61_000])
    digits = images[60_000:61_000][rows]
    return digits, *(file[name][rows] for name in ("thickness", "intensity", "images"))


def test_published_images_are_rendered_to_the_bit():
    digits, thickness, intensity, images = published(np.unique([*range(150), *SPECIAL]))
    np.testing.assert_array_equal(render(digits, thickness, intensity, threads=2), images)


@pytest.mark.slow
def test_all_published_images_are_rendered_to_the_bit():
    digits, thickness, intensity, images = published(slice(None))
    np.testing.assert_array_equal(render(digits, thickness, intensity, threads=2), images)


def test_measurements_are_the_published_ones():
    found = measure(mnist()[0][:1]).iloc[0]
    expected = {
        "area": 107.3125,
        "length": 50.26650429449552,
        "thickness": 2.4606583773939543,
        "slant": 0.23107446620980754,
        "width": 14.539571782767355,
        "height": 19.849053691610763,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, abs=1e-12, rel=1e-12), name


def test_published_images_measure_as_they_are_known_to():
    file = np.load(sample("morphomnist-published-t10k-first1000.npz"))
    found = measure(file["images"], threads=2)
    error = found["thickness"] - file["thickness"]
    assert (error.abs().mean(), error.mean()) == pytest.approx((0.1244, 0.100), abs=5e-4)
    assert error.abs().max() == pytest.approx(1.409, abs=5e-4)
    error = found["intensity"] - file["intensity"]
    assert error.abs().max() == pytest.approx(18.41, abs=5e-3) and error.abs().argmax() == 979


# Stage by stage.


@pytest.mark.parametrize("scale", [4, 16])
def test_the_blur_is_that_of_scipy_to_the_bit(scale):
    weights = blur_weights(scale)
    line = np.zeros(2 * len(weights) - 1)
    line[len(weights) - 1] = 1.0
    sigma = 2 * scale / 6
    np.testing.assert_array_equal(
        ndimage.gaussian_filter1d(line, sigma, mode="constant")[len(weights) - 1 :], weights
    )


def upscale_plainly(image, scale):
    """Upscaling by its definition, which is slow."""
    size = image.shape[0]
    source = (np.arange(size * scale) + 0.5) / scale - 0.5
    first = np.floor(source).astype(int)
    padded = np.pad(image * (1 / 255.0), 2, mode="reflect")

    def interpolate(rows):
        f0, f1, f2, f3 = (rows[first + k + 1] for k in range(4))
        t = (source - first)[:, None]
        return f1 + 0.5 * t * (f2 - f0 + t * (2 * f0 - 5 * f1 + 4 * f2 - f3 + t * (3 * (f1 - f2) + f3 - f0)))

    fine = interpolate(interpolate(padded.T).T)
    fine = np.clip(fine, image.min() * (1 / 255.0), image.max() * (1 / 255.0))
    return (255.0 * ndimage.gaussian_filter(fine, 2 * scale / 6, mode="reflect")).astype(np.uint8)


@pytest.mark.parametrize("scale", [4, 16])
@pytest.mark.parametrize("kind", ["inside", "border", "grey"])
def test_upscaling_is_as_defined(scale, kind):
    images = strokes(4, seed=scale, touch=kind == "border")
    if kind == "grey":
        images = 40 + images // 3 * 2
    for image in images:
        np.testing.assert_array_equal(analyse(image, scale).hires, upscale_plainly(image, scale))


@pytest.mark.parametrize("kind", ["inside", "border", "grey", "faint", "noise"])
def test_the_quick_way_to_strokes_finds_the_same_ones(kind):
    images = strokes(12, seed=3, touch=kind == "border")
    if kind == "grey":
        images = 40 + images // 3 * 2
    elif kind == "faint":
        images //= 60
    elif kind == "noise":
        images = np.random.default_rng(0).integers(0, 256, images.shape, np.uint8)
    exact, quick = Workspace((28, 28), 16), Workspace((28, 28), 16)
    for image in images:
        exact.find_strokes(image)
        quick.trace_strokes(image)
        assert exact.contrast == quick.contrast
        np.testing.assert_array_equal(exact.binary, quick.binary)
        np.testing.assert_array_equal(exact.box, quick.box)


def test_downscaling_is_as_defined():
    rng = np.random.default_rng(0)
    for scale in (4, 16):
        for fine in (
            analyse(strokes(1, seed=5)[0], scale).binary,
            analyse(strokes(1, seed=5, touch=True)[0], scale).binary,
            ndimage.binary_dilation(analyse(strokes(1, seed=6)[0], scale).binary, iterations=5 * scale),
            rng.random((28 * scale, 28 * scale)),
            np.ones((28 * scale, 28 * scale), bool),
            np.zeros((28 * scale, 28 * scale), bool),
        ):
            blurred = ndimage.gaussian_filter(fine.astype(float), 2 * scale / 6, mode="reflect")
            first = np.arange(28) * scale + scale // 2 - 2

            def half_way(rows, first=first):
                f0, f1, f2, f3 = (rows[first + k] for k in range(4))
                t = 0.5
                curve = 2 * f0 - 5 * f1 + 4 * f2 - f3 + t * (3 * (f1 - f2) + f3 - f0)
                return f1 + 0.5 * t * (f2 - f0 + t * curve)

            expected = np.clip(half_way(half_way(blurred.T).T), blurred.min(), blurred.max())
            np.testing.assert_array_equal(downscale(fine, scale), (255.0 * expected).astype(np.uint8))


@pytest.mark.parametrize("touch", [False, True])
@pytest.mark.parametrize("scale", [4, 16])
def test_distance_and_skeleton_are_those_of_scikit_image(scale, touch):
    for image in strokes(3 if scale == 16 else 10, seed=scale, touch=touch):
        found = analyse(image, scale)
        skeleton, distance = medial_axis(found.binary, return_distance=True, rng=Legacy(np.random.PCG64()))
        np.testing.assert_array_equal(found.distance, distance)
        np.testing.assert_array_equal(found.skeleton, skeleton)
        np.testing.assert_array_equal(distance, ndimage.distance_transform_edt(found.binary))
        assert label(found.skeleton, connectivity=2).max() == label(found.binary, connectivity=2).max()


def test_ties_are_broken_as_numpy_permutes():
    # The skeleton of a square depends on the permutation, because nearly all of its pixels are ties.
    for side in (2, 3, 7, 20):
        binary = np.zeros((28, 28), np.uint8)
        binary[4 : 4 + side, 4 : 4 + side] = 255
        found = analyse(binary, 4)
        skeleton = medial_axis(found.binary, rng=Legacy(np.random.PCG64()))
        np.testing.assert_array_equal(found.skeleton, skeleton)
    assert tie_draws(10)[:3].tolist() == np.random.RandomState(0).randint(0, 2**32, 3, np.uint32).tolist()


def test_the_table_keeps_what_holds_a_stroke_together():
    keep = keep_table()
    line, block, alone, background = 0b010_010_010, 0b111_111_111, 0b000_010_000, 0b111_101_111
    assert keep[[line, alone]].all() and not keep[[block, background]].any()


def test_the_structuring_element_is_the_published_one():
    assert all(footprint(radius).all() for radius in range(6))
    assert half_widths(10).tolist() == [10] * 8 + [9, 8, 7]
    assert [footprint(radius).sum() for radius in (10, 19, 20)] == [417, 1349, 1477]
    for radius in set(range(61)) - {19}:
        element = footprint(radius)
        assert (element == element.T).all() and (element == element[::-1]).all()
        assert (np.diff(half_widths(radius).astype(int)) <= 0).all()


@pytest.mark.parametrize("radius", [0, 1, 5, 7, 19])
@pytest.mark.parametrize("touch", [False, True])
def test_dilation_and_erosion_are_those_of_scipy(radius, touch):
    for image in strokes(1, seed=radius, size=20, touch=touch):
        space = Workspace((20, 20), 16)
        space.find_strokes(image)
        element, box = footprint(radius), space.box.copy()
        grown = ndimage.grey_dilation(space.binary, footprint=element[::-1, ::-1], mode="reflect")
        shrunk = ndimage.grey_erosion(space.binary, footprint=element, mode="reflect")
        for on, expected in ((0, shrunk), (1, grown)):
            space.box[:] = box
            spread(
                space.binary,
                space.box,
                on,
                half_widths(radius),
                lone_offsets(radius),
                np.empty((320, 320), np.uint8),
                space.changed,
            )
            np.testing.assert_array_equal(space.changed, expected)
            outside = space.changed.copy()
            outside[space.box[0] : space.box[1], space.box[2] : space.box[3]] = 0
            assert not outside.any()


def test_the_radius_is_half_the_change_rounded_down():
    assert change_radius(3.0, 2.0, 16) == (8, 1) and change_radius(2.0, 3.1, 16) == (8, 0)
    assert change_radius(2.0, 2.0, 16) == (0, 1)


# Measurement.


def test_moments_and_slant_are_those_of_scikit_image():
    for image in strokes(5):
        fine = analyse(image, 4).hires
        moments = moments_central(fine.astype(float), order=2)
        found = measure(image[None]).iloc[0]
        assert found["slant"] == pytest.approx(-np.arctan(moments[1, 1] / moments[2, 0]), abs=1e-12)
        region = regionprops(np.ones_like(fine, dtype=int), fine)[0]
        # The orientation of an ellipse differs from the shear, but has the same sign.
        assert np.sign(region.moments_weighted_central[1, 1]) == -np.sign(found["slant"])


def test_area_and_thickness_follow_from_the_analysis():
    for image in strokes(5):
        analysis, found = analyse(image, 4), measure(image[None]).iloc[0]
        assert found["area"] == analysis.binary.sum() / 16
        assert found["thickness"] == pytest.approx(analysis.distance[analysis.skeleton].mean() / 2, rel=1e-12)
        low, high = int(image.min()), int(image.max())
        assert found["intensity"] == np.median(image[image >= low + 0.5 * (high - low)])
        skeleton = np.pad(analysis.skeleton, 1)
        pairs = [
            (skeleton & np.roll(skeleton, shift, (0, 1))).sum() for shift in ((0, 1), (1, 0), (1, 1), (1, -1))
        ]
        length = pairs[0] + pairs[1] + np.sqrt(2) * (pairs[2] + pairs[3])
        assert found["length"] == pytest.approx(length / 4, rel=1e-12)


def test_a_bar_measures_as_it_is():
    image = np.zeros((1, 28, 28), np.uint8)
    image[0, 12:16, 4:24] = 200
    found = measure(image).iloc[0]
    assert found["thickness"] == pytest.approx(4, abs=0.3) and found["area"] == pytest.approx(80, abs=2)
    assert found["width"] == pytest.approx(20, abs=0.6) and found["height"] == pytest.approx(4, abs=1)
    assert found["slant"] == pytest.approx(0, abs=1e-3) and found["intensity"] == 200


def test_scikit_image_of_today_measures_otherwise():
    differences = []
    for image in strokes(20):
        fine = (255 * pyramid_expand(image, 4, sigma=8 / 6, order=3)).astype(np.uint8)
        skeleton, distance = medial_axis(fine >= 127.5, return_distance=True, rng=42)
        differences.append(distance[skeleton].mean() / 2 - measure(image[None])["thickness"][0])
    assert 0 < np.abs(differences).mean() < 0.1


def test_a_border_or_a_channel_axis_changes_no_measurement():
    images = strokes(6)
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2)))[:, None]
    np.testing.assert_allclose(measure(padded), measure(images), rtol=1e-12)


def test_threads_and_order_change_nothing():
    images = strokes(9)
    table = measure(images)
    assert tuple(table) == ATTRIBUTES
    np.testing.assert_array_equal(table, measure(images, threads=4))
    np.testing.assert_array_equal(table[::-1], measure(images[::-1]))
    targets = np.linspace(1, 5, 9), np.linspace(70, 250, 9)
    rendered = render(images, *targets)
    np.testing.assert_array_equal(rendered, render(images, *targets, threads=3))
    np.testing.assert_array_equal(rendered[4:5], render(images[4:5], *(target[4:5] for target in targets)))


def test_images_without_strokes():
    images = np.stack([np.full((28, 28), level, np.uint8) for level in (0, 9, 255)])
    found = measure(images)
    assert (found[["area", "length"]] == 0).all(axis=None)
    assert found[["thickness", "slant", "width", "height"]].isna().all(axis=None)
    assert found["intensity"].tolist() == [0, 9, 255]
    assert not render(images, np.full(3, 2.0), np.full(3, 100.0)).any()
    assert not analyse(images[1], 4).skeleton.any()
    assert len(measure(images[:0])) == 0 and render(images[:0], np.empty(0), np.empty(0)).shape == (0, 28, 28)


def test_any_image_can_be_measured():
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (4, 28, 28), np.uint8)
    spot, hole = np.zeros((1, 28, 28), np.uint8), np.full((1, 28, 28), 255, np.uint8)
    spot[0, 0, 0], hole[0, 13, 13] = 1, 0
    found = measure(np.concatenate([noise, noise // 100, spot, hole]))
    assert np.isfinite(found.drop(index=8)).all(axis=None)


# Rendering.


def test_rendering_reaches_its_targets():
    digits = strokes(40, seed=1)
    rng = np.random.default_rng(0)
    thickness, intensity = rng.uniform(1.5, 3.5, 40), rng.uniform(70, 250, 40)
    found = measure(render(digits, thickness, intensity))
    assert np.abs(found["thickness"] - thickness).median() < 0.2
    error = found["intensity"] - intensity
    assert error.between(-1, 1).all() and error.mean() < 0


def test_intensity_is_set_on_any_image():
    black = np.zeros((28, 28), np.uint8)
    set_intensity(black, 100.0)
    assert not black.any()
    image = np.random.default_rng(0).integers(0, 256, (28, 28), np.uint8)
    median = np.median(image[image >= image.min() + 0.5 * (int(image.max()) - image.min())])
    expected = np.clip(image * (150.5 / median), 0, 255).astype(np.uint8)
    set_intensity(image, 150.5)
    np.testing.assert_array_equal(image, expected)


def test_slant_and_width_are_set():
    digits = strokes(10, seed=2)
    thickness = np.full(10, 2.0)
    slant = np.linspace(-0.5, 0.5, 10)
    slanted = render_slanted(digits, thickness, slant)
    np.testing.assert_allclose(measure(slanted)["slant"], slant, atol=0.06)
    np.testing.assert_array_equal(slanted, render_slanted(digits, thickness, slant, threads=2))
    before = measure(digits)
    # Thinning after stretching reduces the width again, so the tolerance is large.
    narrow, wide = (
        measure(render_wide(digits, before["thickness"], factor * before["width"])) for factor in (0.8, 1.2)
    )
    assert (narrow["width"] / before["width"]).median() == pytest.approx(0.8, abs=0.1)
    assert (wide["width"] / before["width"]).median() == pytest.approx(1.2, abs=0.15)
    np.testing.assert_allclose(wide["slant"], before["slant"], atol=0.15)


def test_wrong_arguments_are_named():
    digits = strokes(2)
    with pytest.raises(UserError, match="uint8 grey levels are required, not float64"):
        measure(digits / 255)
    with pytest.raises(UserError, match=r"shape .* is required, not \(28, 28\)"):
        measure(digits[0])
    with pytest.raises(UserError, match="thickness: shape .*; one value per digit"):
        render(digits, np.ones(3), np.ones(2))
    with pytest.raises(UserError, match=r"thickness: -1 is outside of \(0, 28\]"):
        render(digits, np.array([1.0, -1.0]), np.ones(2))
    with pytest.raises(UserError, match=r"intensity: nan is outside"):
        render(digits, np.ones(2), np.array([1.0, np.nan]))
    with pytest.raises(UserError, match="scale 5: must be an even number"):
        analyse(digits[0], 5)
    with pytest.raises(UserError, match="not a multiple of the scale"):
        downscale(np.ones((30, 30), bool), 4)
