r"""The noise schedule of a discrete diffusion: how much of an image is left at each step.

.. math:: q(x_i \mid x_0) = \mathcal{N}\big(\sqrt{\bar\alpha_i}\, x_0,\ (1 - \bar\alpha_i) I\big), \qquad
          \bar\alpha_i = \prod_{j \le i} (1 - \beta_j), \qquad i = 0, \ldots, S - 1

(Ho et al., 2020, arXiv:2006.11239). Given the clean image, the step before has the Gaussian posterior

.. math:: q(x_{i-1} \mid x_i, x_0) = \mathcal{N}\Big(
          \frac{\sqrt{\bar\alpha_{i-1}}\, \beta_i}{1 - \bar\alpha_i} x_0
          + \frac{\sqrt{1 - \beta_i}\,(1 - \bar\alpha_{i-1})}{1 - \bar\alpha_i} x_i,\
          \tilde\beta_i = \frac{1 - \bar\alpha_{i-1}}{1 - \bar\alpha_i} \beta_i\Big), \qquad \bar\alpha_{-1} = 1.

A schedule *respaced* to fewer steps keeps some :math:`\bar\alpha_i` and takes its :math:`\beta` from their ratios
(Nichol and Dhariwal, 2021, arXiv:2102.09672, section 4); it remembers which steps it kept, since the network was
trained with their original numbers. Everything is kept in float64 and cast where it meets an image.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["Schedule", "build_schedule", "cosine", "linear", "respace"]


@dataclass(frozen=True, eq=False)
class Schedule:
    r"""A discrete noise schedule of S steps; index 0 is the least noisy, and -1 stands for the clean image.

    Arguments:
        betas: The variance :math:`\beta_i` that each step adds, float64 with shape (S,), each in (0, 1).
        timesteps: The number of each step in the schedule that the network was trained with, int64 with shape (S,).
    """

    betas: Tensor
    timesteps: Tensor

    def __post_init__(self) -> None:
        if self.betas.dim() != 1 or self.betas.shape != self.timesteps.shape:
            raise ValueError("a schedule needs as many betas as timesteps, each one-dimensional")
        if not bool(((self.betas > 0) & (self.betas < 1)).all()):
            raise ValueError("each beta of a schedule must lie between 0 and 1")

    def __len__(self) -> int:
        return len(self.betas)

    @cached_property
    def alphas_bar(self) -> Tensor:
        r"""The share :math:`\bar\alpha_i` of the clean image's variance that is left, (S,)."""
        return torch.cumprod(1.0 - self.betas, 0)

    @cached_property
    def alphas_bar_before(self) -> Tensor:
        r"""The same one step earlier, :math:`\bar\alpha_{i-1}`; 1 before the first step, (S,)."""
        return torch.cat([self.alphas_bar.new_ones(1), self.alphas_bar[:-1]])

    @cached_property
    def posterior_variance(self) -> Tensor:
        r"""The posterior's variance :math:`\tilde\beta_i`; 0 at the first step, (S,)."""
        return self.betas * (1.0 - self.alphas_bar_before) / (1.0 - self.alphas_bar)

    @cached_property
    def posterior_log_variance(self) -> Tensor:
        """Its logarithm; the first entry, which would be minus infinity, is replaced by the second, (S,)."""
        variance = self.posterior_variance
        # A schedule of one step has no second entry, and its beta stands in.
        second = variance[1:2] if len(self) > 1 else self.betas[:1]
        return torch.cat([second, variance[1:]]).log()

    @cached_property
    def posterior_weight_clean(self) -> Tensor:
        """The weight of the clean image in the posterior's mean, (S,)."""
        return self.alphas_bar_before.sqrt() * self.betas / (1.0 - self.alphas_bar)

    @cached_property
    def posterior_weight_noisy(self) -> Tensor:
        """The weight of the noisy image in the posterior's mean, (S,)."""
        return (1.0 - self.betas).sqrt() * (1.0 - self.alphas_bar_before) / (1.0 - self.alphas_bar)

    @cached_property
    def _signal(self) -> Tensor:
        return torch.cat([self.alphas_bar.new_ones(1), self.alphas_bar]).sqrt()

    @cached_property
    def _noise(self) -> Tensor:
        return torch.cat([self.alphas_bar.new_zeros(1), 1.0 - self.alphas_bar]).sqrt()

    def signal(self, index: Tensor | int, like: Tensor) -> Tensor:
        r"""Returns :math:`\sqrt{\bar\alpha_i}`, 1 at index -1, to multiply `like` (B, C, H, W) with."""
        return _spread(self._signal, index, like, 1)

    def noise(self, index: Tensor | int, like: Tensor) -> Tensor:
        r"""Returns :math:`\sqrt{1 - \bar\alpha_i}`, 0 at index -1, to multiply `like` (B, C, H, W) with."""
        return _spread(self._noise, index, like, 1)

    def take(self, values: Tensor, index: Tensor | int, like: Tensor) -> Tensor:
        """Returns one of the schedule's values for each image, shaped and typed to multiply `like` with.

        Arguments:
            values: Values of the schedule's steps, with shape (S,).
            index: The step of each image, (B,), or one for all.
            like: Images with shape (B, C, H, W), on the schedule's device.
        """
        return _spread(values, index, like, 0)

    def to(self, device: torch.device | str) -> "Schedule":
        """Returns the same schedule on another device, so that no step copies anything to it."""
        return Schedule(self.betas.to(device), self.timesteps.to(device))


def _spread(values: Tensor, index: Tensor | int, like: Tensor, offset: int) -> Tensor:
    """Returns `values[index + offset]` with as many dimensions as `like`; an index below -`offset` is an error."""
    if isinstance(index, int):
        if not -offset <= index < len(values) - offset:
            raise IndexError(f"step {index} is outside a schedule of {len(values) - offset} steps")
        return values[index + offset].to(like.dtype)
    return values[index + offset].to(like.dtype).reshape(-1, *[1] * (like.dim() - 1))


def linear(steps: int) -> Schedule:
    r"""Returns betas that rise linearly from :math:`0.1 / T` to :math:`20 / T`.

    These are the endpoints 0.0001 and 0.02 of 1,000 steps (Ho et al., 2020), scaled so that any number of steps
    ends with about as little signal (Nichol and Dhariwal, 2021).

    Arguments:
        steps: The number of steps T; at least 21, since each beta must stay below 1.

    Raises:
        ValueError: If there are too few steps.
    """
    if steps < 21:
        raise ValueError(
            f"a linear schedule needs at least 21 steps, not {steps}: its last beta is 20 / steps"
        )
    betas = torch.linspace(0.1 / steps, 20.0 / steps, steps, dtype=torch.float64)
    return Schedule(betas, torch.arange(steps))


def cosine(steps: int, offset: float = 0.008, most: float = 0.999) -> Schedule:
    r"""Returns the schedule :math:`\bar\alpha(t) \propto \cos^2\big(\frac{\pi}{2} \frac{t/T + s}{1 + s}\big)`.

    Arguments:
        steps: The number of steps T.
        offset: The offset s, which keeps the first betas from vanishing.
        most: The largest beta.

    (Nichol and Dhariwal, 2021, arXiv:2102.09672, equation 17.)
    """
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    left = torch.cos((time + offset) / (1.0 + offset) * math.pi / 2).square()
    betas = (1.0 - left[1:] / left[:-1]).clamp(max=most)
    return Schedule(betas, torch.arange(steps))


def respace(schedule: Schedule, count: int) -> Schedule:
    r"""Returns a schedule of `count` of the steps, first and last among them, as evenly spaced as whole numbers can be.

    Their :math:`\bar\alpha` are kept, and :math:`\beta_i = 1 - \bar\alpha_{k_i} / \bar\alpha_{k_{i-1}}`.

    Arguments:
        schedule: The schedule to thin out.
        count: The number of steps to keep, from 1 (the first alone) to all.

    Raises:
        ValueError: If `count` is not one of these.
    """
    if not 1 <= count <= len(schedule):
        raise ValueError(f"cannot keep {count} of {len(schedule)} steps; choose from 1 to {len(schedule)}")
    stride = (len(schedule) - 1) / (count - 1) if count > 1 else 1.0
    # Python's rounding (half to even), as the published respacing has it.
    kept = torch.tensor([round(stride * step) for step in range(count)], device=schedule.betas.device)
    left = schedule.alphas_bar[kept]
    before = torch.cat([left.new_ones(1), left[:-1]])
    return Schedule(1.0 - left / before, schedule.timesteps[kept])


def build_schedule(name: str, steps: int, respacing: int = 0) -> Schedule:
    """Returns the schedule that a configuration names.

    Arguments:
        name: `linear` or `cosine`.
        steps: The number of steps the network is trained with.
        respacing: The number of steps to keep of these; 0 keeps all.

    Raises:
        ValueError: If there is no such schedule, or its numbers of steps are impossible.
    """
    schedules = {"linear": linear, "cosine": cosine}
    if name not in schedules:
        raise ValueError(f"{name}: no such schedule; choose one of {', '.join(schedules)}")
    schedule = schedules[name](steps)
    return respace(schedule, respacing) if respacing else schedule
