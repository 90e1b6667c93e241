"""Renderings that reuse the strokes of an image are those that are computed anew, bit by bit, in bounded memory."""

import numpy as np
import pytest

from counterfactory.data.morphology import render, render_slanted, render_wide, reuse
from counterfactory.data.morphology.rendering import RENDER_SCALE, set_intensity
from counterfactory.data.morphology.workspace import Workspace


@pytest.fixture(autouse=True)
def nothing_kept():
    reuse.kept_strokes.clear()
    reuse.kept_shapes.clear()


def digits(count=4):
    """Returns strokes of different shapes; the last image is black."""
    images = np.zeros((count, 28, 28), np.uint8)
    for number in range(count - 1):
        images[number, 5 : 23 - number, 8 + 2 * number : 12 + 2 * number] = 200 + number
        images[number, 10 + number : 14 + number, 6:20] = 255
    return images


def anew(image, thickness, intensity):
    """Renders one digit as defined, without anything that is kept."""
    space = Workspace(image.shape, RENDER_SCALE)
    found = np.zeros_like(image)
    space.trace_strokes(image)
    if space.contrast:
        space.set_thickness(thickness, space.find_skeleton()[1])
        space.downscale(space.changed, found, space.box)
        set_intensity(found, intensity)
    return found


def asked(repeats=4, seed=0):
    """Returns each digit with several thicknesses and intensities, in random order."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(np.repeat(np.arange(4), repeats))
    return digits()[rows], rng.uniform(1.0, 6.0, len(rows)), rng.uniform(64.0, 255.0, len(rows))


@pytest.mark.parametrize("threads", [1, 2])
def test_images_are_those_of_a_rendering_without_reuse(threads):
    images, thickness, intensity = asked()
    rounded = [values.astype(np.float32).astype(np.float64) for values in (thickness, intensity)]
    known = np.stack([anew(*row) for row in zip(images, *rounded, strict=True)])
    for _ in range(2):  # the second time everything is kept
        np.testing.assert_array_equal(render(images, thickness, intensity, threads), known)


def test_a_small_memory_changes_no_pixel(monkeypatch):
    images, thickness, intensity = asked()
    known = render(images, thickness, intensity)
    for name in ("kept_strokes", "kept_shapes"):
        getattr(reuse, name).clear()
        monkeypatch.setattr(getattr(reuse, name), "size", 1)
    np.testing.assert_array_equal(render(images, thickness, intensity), known)
    assert len(reuse.kept_strokes) == len(reuse.kept_shapes) == 1


def test_slanted_and_wide_digits_are_the_same_when_their_strokes_are_kept():
    images, thickness, _ = asked(2)
    for function, values in ((render_slanted, np.full(8, 0.3)), (render_wide, np.full(8, 14.0))):
        reuse.kept_strokes.clear()
        one_by_one = []
        for number in range(8):
            reuse.kept_strokes.clear()
            one_by_one.append(
                function(*(each[number : number + 1] for each in (images, thickness, values)))[0]
            )
        np.testing.assert_array_equal(function(images, thickness, values), np.stack(one_by_one))
        np.testing.assert_array_equal(function(images, thickness, values), np.stack(one_by_one))


def test_a_sweep_finds_the_skeleton_of_an_image_once(monkeypatch):
    found, plain = [], Workspace.find_skeleton
    monkeypatch.setattr(Workspace, "find_skeleton", lambda space: found.append(1) or plain(space))
    many = np.repeat(digits()[:2], 9, axis=0)
    render(many, np.tile(np.linspace(1.5, 5.0, 9), 2), np.full(18, 150.0))
    render(many, np.full(18, 2.5), np.tile(np.linspace(70.0, 250.0, 9), 2))
    assert len(found) == 2


def test_changing_a_returned_image_changes_nothing_that_is_kept():
    one, thickness, intensity = digits()[:1], np.array([3.0]), np.array([140.0])
    first = render(one, thickness, intensity)
    known = first.copy()
    first[:] = 7
    np.testing.assert_array_equal(render(one, thickness, intensity), known)


def test_the_value_that_was_not_used_for_the_longest_time_is_dropped():
    recent = reuse.Recent(2)
    recent.put("a", 1)
    recent.put("b", 2)
    assert recent.get("a") == 1
    recent.put("c", 3)
    assert (recent.get("a"), recent.get("b"), recent.get("c")) == (1, None, 3)
