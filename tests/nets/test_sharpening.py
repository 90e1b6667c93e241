import pytest
import torch
from torch.testing import assert_close

from counterfactory.nets.head import Head
from counterfactory.nets.sharpening import sharpened


@pytest.fixture
def image():
    return torch.rand(3, 2, 9, 9, generator=torch.Generator().manual_seed(0))


def edge(width: float) -> torch.Tensor:
    """Returns the image of a bright half plane whose edge is `width` px wide."""
    return torch.sigmoid(4.0 * (torch.arange(21.0) - 10.0) / width).expand(1, 1, 21, 21)


def test_nothing_changes_at_zero(image):
    assert torch.equal(sharpened(image, 0.0), image)


def test_no_pixel_leaves_the_range_of_its_neighbours(image):
    padded = torch.nn.functional.pad(image, (1, 1, 1, 1)).unfold(2, 3, 1).unfold(3, 3, 1).flatten(4)
    for amount in (0.5, 2.0, 50.0):
        out = sharpened(image, amount)
        assert (out <= padded.amax(4)).all() and (out >= padded.amin(4)).all()


def test_brightness_scales_through(image):
    assert_close(sharpened(0.3 * image, 1.5), 0.3 * sharpened(image, 1.5))


def test_an_edge_gets_steeper_in_its_place_and_plateaus_stay():
    soft = edge(4.0)
    sharp = sharpened(soft, 2.0)
    inside = slice(2, -2)  # away from the border of the image, outside of which it is black
    assert (sharp.diff(dim=-1).amax(-1) > soft.diff(dim=-1).amax(-1))[..., inside].all()
    assert_close(sharp[..., inside, 10], soft[..., inside, 10])  # the middle of the edge
    for plateau in (slice(1, 5), slice(16, 20)):
        assert_close(sharp[..., inside, plateau], soft[..., inside, plateau], atol=3e-3, rtol=0)


def test_what_is_below_black_stays(image):
    below = image - 0.5
    out = sharpened(below, 1.0)
    assert torch.equal(out.clamp(min=0), sharpened(below.clamp(min=0), 1.0))
    assert torch.equal(out[below < 0].clamp(max=0) <= 0, torch.ones_like(out[below < 0], dtype=torch.bool))
    untouched = torch.full((1, 1, 5, 5), -0.7)
    assert_close(sharpened(untouched, 3.0), untouched)


def test_a_head_sharpens_in_evaluation_only_and_before_exposure():
    torch.manual_seed(0)
    head = Head(4, 1, exposure=[0], sharpen=True)
    head.exposure.fill_(0.5)
    h, parents = torch.randn(2, 4, 8, 8), torch.tensor([[0.4], [-0.4]])
    blurred = head.train()(h, parents)[0]
    assert_close(head.eval()(h, parents)[0], blurred)
    head.sharpness.fill_(1.0)
    assert_close(head(h, parents)[0], sharpened(blurred + 1, 1.0) - 1)
    assert torch.equal(head.train()(h, parents)[0], blurred)
