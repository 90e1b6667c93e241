"""Shifts of training images by whole pixels, with black at the border, mirror images, and erased squares; drawn for
each image.
"""

import itertools

import pytest
import torch

from counterfactory.training.augmentation import (
    Augmentation,
    erase_squares,
    mirror_images,
    shift_images,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("most", [1, 3])
def test_shift_moves_each_image_by_whole_pixels(most):
    x = torch.rand(200, 2, 7, 9, generator=generator()) - 0.5
    moved = shift_images(x, most, generator(), fill=-1.0)
    assert moved.shape == x.shape
    amounts = list(itertools.product(range(-most, most + 1), repeat=2))
    found = []
    for image, other in zip(x, moved, strict=True):
        matches = []
        for down, right in amounts:
            # By hand: rolled, with black for pixels that wrapped around.
            rolled = image.roll((down, right), dims=(1, 2))
            if down:
                rolled[:, slice(0, down) if down > 0 else slice(down, None)] = -1
            if right:
                rolled[:, :, slice(0, right) if right > 0 else slice(right, None)] = -1
            if torch.equal(rolled, other):
                matches.append((down, right))
        assert len(matches) == 1
        found += matches
    # Every shift occurs, independently for each image.
    assert set(found) == set(amounts)


def test_a_shift_that_loses_nothing_can_be_undone():
    x = torch.full((50, 1, 12, 12), -1.0)
    x[:, :, 3:-3, 3:-3] = torch.rand(50, 1, 6, 6, generator=generator())
    moved = shift_images(x, 3, generator(1), fill=-1.0)
    for image, other in zip(x, moved, strict=True):
        down, right = (other[0] > -1).nonzero()[0] - 3
        assert torch.equal(other.roll((-int(down), -int(right)), dims=(1, 2)), image)


def test_no_shift_leaves_the_images_and_the_generator_alone():
    drawn, x = generator(), torch.rand(2, 1, 4, 4)
    assert shift_images(x, 0, drawn) is x
    assert torch.equal(drawn.get_state(), generator().get_state())


def test_shifts_move_whole_images():
    images = torch.zeros(64, 2, 9, 9, dtype=torch.uint8)
    images[:, 0, 4, 4], images[:, 1, 4, 5] = 7, 9
    moved = shift_images(images, 2, generator())
    assert moved.shape == images.shape and moved.dtype == torch.uint8
    where = (moved[:, 0] == 7).nonzero()  # (image, row, column)
    assert where[:, 0].tolist() == list(range(64))
    assert set(where[:, 1].tolist()) == set(where[:, 2].tolist()) == {2, 3, 4, 5, 6}
    assert (moved[where[:, 0], 1, where[:, 1], where[:, 2] + 1] == 9).all()  # both channels alike


def test_what_a_shift_moves_out_is_lost():
    images = torch.full((200, 1, 4, 4), 255, dtype=torch.uint8)
    kept = (shift_images(images, 1, generator()) > 0).sum((1, 2, 3))
    assert set(kept.tolist()) == {9, 12, 16}


def test_half_of_the_images_are_mirrored_left_to_right():
    x = torch.rand(400, 3, 5, 6, generator=generator())
    found = mirror_images(x, generator())
    kept = (found == x).flatten(1).all(1)
    mirrored = (found == x.flip(3)).flatten(1).all(1)
    assert (kept ^ mirrored).all()
    # Binomial with n = 400: four standard deviations are 40.
    assert abs(int(mirrored.sum()) - 200) < 40
    assert torch.equal(found, mirror_images(x, generator()))


@pytest.mark.parametrize("side", [1, 4, 5])
def test_one_square_of_each_image_is_its_mean(side):
    x = torch.randint(256, (300, 2, 12, 9), generator=generator(), dtype=torch.uint8)
    found = erase_squares(x, side, generator())
    assert found.dtype == x.dtype
    mean = x.float().mean((2, 3)).to(torch.uint8)
    sides = set()
    for image, other, grey in zip(x, found, mean, strict=True):
        # A pixel that is equal to the mean already does not show that it was erased, so pixels of both channels count.
        changed = (image != other).any(0)
        rows, columns = (changed.any(axis).nonzero()[:, 0] for axis in (1, 0))
        if not len(rows):
            continue
        box = other[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        assert (box == grey[:, None, None]).all()
        sides.add(box.shape[1:])
    assert max(sides) == (side, side)
    assert all(height <= side and width <= side for height, width in sides)


def test_every_pixel_can_be_erased():
    x = torch.cat([torch.zeros(1, 6, 7), torch.ones(1, 6, 7)]).expand(500, 2, 6, 7).clone()
    x[:, :, 0, 0] = 0.5
    assert (erase_squares(x, 3, generator()) != x).any(0).any(0).sum() >= 41


def test_an_augmentation_mirrors_then_shifts_then_erases():
    x = torch.randint(256, (50, 3, 8, 8), generator=generator(), dtype=torch.uint8)
    one = generator(4)
    expected = erase_squares(shift_images(mirror_images(x, one), 2, one), 3, one)
    assert torch.equal(Augmentation(2, True, 3)(x, generator(4)), expected)
    unused = generator(4)
    assert Augmentation()(x, unused) is x
    assert torch.equal(unused.get_state(), generator(4).get_state())
