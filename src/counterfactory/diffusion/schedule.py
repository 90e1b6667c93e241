r"""Noise schedules of a discrete diffusion and the posterior of the reverse step.

.. math:: q(x_i \mid x_0) = \mathcal{N}\big(\sqrt{\bar\alpha_i}\, x_0,\ (1 - \bar\alpha_i) I\big), \qquad
          \bar\alpha_i = \prod_{j \le i} (1 - \beta_j), \qquad i = 0, \ldots, S - 1

(Ho et al., 2020, arXiv:2006.11239). Given the clean image, the posterior of the previous step is Gaussian,

.. math:: q(x_{i-1} \mid x_i, x_0) = \mathcal{N}\Big(
          \frac{\sqrt{\bar\alpha_{i-1}}\, \beta_i}{1 - \bar\alpha_i} x_0
          + \frac{\sqrt{1 - \beta_i}\,(1 - \bar\alpha_{i-1})}{1 - \bar\alpha_i} x_i,\
          \tilde\beta_i = \frac{1 - \bar\alpha_{i-1}}{1 - \bar\alpha_i} \beta_i\Big), \qquad \bar\alpha_{-1} = 1.

A schedule *respaced* to fewer steps keeps a subset of the :math:`\bar\alpha_i` and computes its :math:`\beta` from
their ratios (Nichol and Dhariwal, 2021, arXiv:2102.09672, section 4). It stores the original numbers of the steps,
which are the inputs of the network. Values are float64 and are cast to the type of the images when used.
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
        betas: The variance :math:`\beta_i` added by each step, float64 with shape (S,), each in (0, 1).
        timesteps: The number of each step in the training schedule, int64 with shape (S,).
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
        r"""The remaining share :math:`\bar\alpha_i` of the clean image's variance, (S,)."""
        return torch.cumprod(1.0 - self.betas, 0)

    @cached_property
    def alphas_bar_before(self) -> Tensor:
        r"""The share at the previous step, :math:`\bar\alpha_{i-1}`, with 1 before the first step, (S,)."""
        return torch.cat([self.alphas_bar.new_ones(1), self.alphas_bar[:-1]])

    @cached_property
    def posterior_variance(self) -> Tensor:
        r"""The posterior's variance :math:`\tilde\beta_i`; 0 at the first step, (S,)."""
        return self.betas * (1.0 - self.alphas_bar_before) / (1.0 - self.alphas_bar)

    @cached_property
    def posterior_log_variance(self) -> Tensor:
        """The logarithm of the posterior variance, (S,); the first entry, minus infinity, is replaced by the second."""
        variance = self.posterior_variance
        # A schedule of one step has no second entry; its beta is used instead.
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
        """Returns the value of each image's step, with the type and the number of dimensions of `like`.

        Arguments:
            values: One value for each step, with shape (S,).
            index: The step of each image, with shape (B,), or one step for all images.
            like: Images with shape (B, C, H, W), on the schedule's device.
        """
        return _spread(values, index, like, 0)

    def to(self, device: torch.device | str) -> "Schedule":
        """Returns the schedule on another device, so that no step copies values between devices."""
        return Schedule(self.betas.to(device), self.timesteps.to(device))


def _spread(values: Tensor, index: Tensor | int, like: Tensor, offset: int) -> Tensor:
    """Returns `values[index + offset]` with as many dimensions as `like`; an index below -`offset` is an error."""
    if isinstance(index, int):
        if not -offset <= index < len(values) - offset:
            raise IndexError(f"step {index} is outside a schedule of {len(values) - offset} steps")
        return values[index + offset].to(like.dtype)
    return values[index + offset].to(like.dtype).reshape(-1, *[1] * (like.dim() - 1))


def linear(steps: int) -> Schedule:
    r"""Returns a schedule of betas that rise linearly from :math:`0.1 / T` to :math:`20 / T`.

    For 1,000 steps these are 0.0001 and 0.02 (Ho et al., 2020); they are scaled so that the signal left at the end is
    about the same for any number of steps (Nichol and Dhariwal, 2021).

    Arguments:
        steps: The number of steps T; at least 21, since each beta must be below 1.

    Raises:
        ValueError: If there are too few steps.
    """
    if steps < 21:
        raise ValueError(
            f"a linear schedule needs at least 21 steps, not {steps}, because its last beta is 20 / steps"
        )
    betas = torch.linspace(0.1 / steps, 20.0 / steps, steps, dtype=torch.float64)
    return Schedule(betas, torch.arange(steps))


def cosine(steps: int, offset: float = 0.008, most: float = 0.999) -> Schedule:
    r"""Returns the schedule :math:`\bar\alpha(t) \propto \cos^2\big(\frac{\pi}{2} \frac{t/T + s}{1 + s}\big)`.

    (Nichol and Dhariwal, 2021, arXiv:2102.09672, equation 17.)

    Arguments:
        steps: The number of steps T.
        offset: The offset s, which prevents the first betas from vanishing.
        most: The largest beta.
    """
    time = torch.arange(steps + 1, dtype=torch.float64) / steps
    left = torch.cos((time + offset) / (1.0 + offset) * math.pi / 2).square()
    betas = (1.0 - left[1:] / left[:-1]).clamp(max=most)
    return Schedule(betas, torch.arange(steps))


def respace(schedule: Schedule, count: int) -> Schedule:
    r"""Returns a schedule of `count` evenly spaced steps (rounded to integers), including the first and the last.

    The :math:`\bar\alpha` of these steps are kept, and :math:`\beta_i = 1 - \bar\alpha_{k_i} / \bar\alpha_{k_{i-1}}`.

    Arguments:
        schedule: The schedule to reduce.
        count: The number of steps to keep, from 1 (the first step only) to all.

    Raises:
        ValueError: If `count` is out of range.
    """
    if not 1 <= count <= len(schedule):
        raise ValueError(f"cannot keep {count} of {len(schedule)} steps; choose from 1 to {len(schedule)}")
    stride = (len(schedule) - 1) / (count - 1) if count > 1 else 1.0
    # Python's rounding (half to even), as in the published respacing.
    kept = torch.tensor([round(stride * step) for step in range(count)], device=schedule.betas.device)
    left = schedule.alphas_bar[kept]
    before = torch.cat([left.new_ones(1), left[:-1]])
    return Schedule(1.0 - left / before, schedule.timesteps[kept])


def build_schedule(name: str, steps: int, respacing: int = 0) -> Schedule:
    """Returns a schedule by name.

    Arguments:
        name: `linear` or `cosine`.
        steps: The number of steps of the training schedule.
        respacing: The number of steps to keep; 0 keeps all.

    Raises:
        ValueError: If there is no such schedule or a number of steps is out of range.
    """
    schedules = {"linear": linear, "cosine": cosine}
    if name not in schedules:
        raise ValueError(f"{name}: no such schedule; choose one of {', '.join(schedules)}")
    schedule = schedules[name](steps)
    return respace(schedule, respacing) if respacing else schedule
