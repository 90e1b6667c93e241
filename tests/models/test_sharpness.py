from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from counterfactory.models.image.sharpness import HALVINGS, MOST, bisect, fit_sharpness, steepness
from counterfactory.nets.head import Head
from counterfactory.nets.latents import Latent
from counterfactory.nets.sharpening import Sharpening, sharpened


class Blurring(nn.Module):
    """Predicts for each image, which is its own latent, the image before sharpening."""

    noise_shapes = [(1, 16, 16)]
    grey_levels = None

    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.head = head

    def abduct(self, x, parents, noise):
        return [Latent(self.soft, (self.soft, self.soft))]

    def predict(self, z, parents):
        location = sharpened(z[0], self.head.sharpness) - 1
        return location, torch.zeros_like(location)


def bytes_of(brightness):
    return brightness.mul(127.5).round().clamp(0, 255).to(torch.uint8)


@pytest.mark.parametrize("amount", [0.4, 1.5])
def test_the_amount_of_sharpening_is_recovered(amount):
    generator = torch.Generator().manual_seed(0)
    rough = torch.rand(50, 1, 16, 16, generator=generator)
    soft = 2 * nn.functional.avg_pool2d(rough, 5, stride=1, padding=2)
    mechanism = Blurring(Head(2, 1, sharpen=True)).eval()
    mechanism.soft = soft
    images = bytes_of(sharpened(soft, amount))
    fit_sharpness(mechanism, images, torch.zeros(50, 1), seed=0)
    assert float(mechanism.head.sharpness) == pytest.approx(amount, rel=0.02)


def test_a_prediction_that_is_already_steeper_is_unchanged():
    mechanism = Blurring(Head(2, 1, sharpen=True)).eval()
    mechanism.soft = torch.rand(5, 1, 16, 16)
    fit_sharpness(mechanism, torch.full((5, 1, 16, 16), 90, dtype=torch.uint8), torch.zeros(5, 1), seed=0)
    assert float(mechanism.head.sharpness) < 1e-4


def test_a_head_without_sharpness_is_unchanged():
    fit_sharpness(SimpleNamespace(head=Head(2, 1)), torch.zeros(0), torch.zeros(0), seed=0)


def test_steepness_of_a_ramp():
    ramp = (0.1 * torch.arange(8.0)).expand(2, 1, 8, 8)
    assert_close(steepness(ramp), torch.tensor(0.01))


def plain_bisection(steep, wanted):
    low, high = 0.0, MOST
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if steep(middle) < wanted else (low, middle)
    return low


@pytest.mark.parametrize("seed", range(12))
def test_the_amount_is_that_of_the_plain_bisection_with_fewer_evaluations(seed):
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(20, 1 + 2 * (seed % 2), 16, 16, generator=generator)
    soft = Sharpening(2 * nn.functional.avg_pool2d(rough, 5, stride=1, padding=2))
    computed = {}

    def steep(amount):
        computed[amount] = steepness(soft(amount).clamp(0.0, 2.0))
        return computed[amount]

    amount = float(torch.rand((), generator=generator)) * (0.2, 2.0, 7.5)[seed % 3]
    wanted = steepness(soft(amount).clamp(0.0, 2.0))
    found = plain_bisection(lambda a: steepness(soft(a).clamp(0.0, 2.0)), wanted)
    for start, most in ((0.9 * amount, 14), (0.0, 20)):
        computed.clear()
        assert bisect(steep, wanted, computed, start) == found
        assert len(computed) <= most


def test_an_unreachable_steepness_gives_the_largest_amount():
    computed = {}

    def steep(amount):
        computed[amount] = torch.tensor(amount)
        return computed[amount]

    assert bisect(steep, torch.tensor(100.0), computed, 8.0) == MOST - MOST / 2**HALVINGS
    assert bisect(steep, torch.tensor(-1.0), computed, 0.0) == 0.0
