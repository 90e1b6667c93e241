"""The moving average of weights, by its recursion and in closed form."""

import math

import pytest
import torch
from torch import nn

from counterfactory.training.ema import average_weights


class Weight(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.full((1,), 0.5, dtype=torch.float64))


def test_average_of_weights():
    model = Weight()
    average, expected = {"w": torch.tensor([2.0], dtype=torch.float64)}, 2.0
    for step in range(300):
        model.w.data.fill_(math.sin(step))
        average_weights(average, model, step, 0.95)
        decay = min(0.95, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * math.sin(step)
        assert average["w"].item() == pytest.approx(expected, abs=1e-12)
    assert (1 + 170) / (10 + 170) == 0.95  # the ramp ends within these steps


def test_average_of_constant_weights_forgets_the_first_in_closed_form():
    model = Weight()
    average = {"w": torch.zeros(1, dtype=torch.float64)}
    for step in range(50):
        average_weights(average, model, step, 0.999)
    # The product of (1 + n) / (10 + n) for n < 50.
    share = math.factorial(50) * math.factorial(9) / math.factorial(59)
    assert average["w"].item() == pytest.approx(0.5 * (1 - share), rel=1e-12)


def test_average_without_decay_copies_and_buffers_are_copied_always():
    model = nn.BatchNorm1d(2)
    average = {name: torch.full_like(tensor, 7) for name, tensor in model.state_dict().items()}
    average_weights(average, model, 10**6, 0.999)
    assert (average["weight"] > 6.9).all()
    assert torch.equal(average["running_var"], torch.ones(2)) and average["num_batches_tracked"] == 0
    average_weights(average, model, 10**6, 0.0)
    assert all(torch.equal(average[name], tensor) for name, tensor in model.state_dict().items())
