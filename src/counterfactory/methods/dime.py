r"""The method `dime`: diffusion models for counterfactual explanations (Jeanneret, Simon and Jurie, 2022).

The image x is noised to step :math:`\tau` and walked back. At every step the mean of the denoiser is shifted by minus
its variance times the gradient g of the classifier's loss and two distances (:mod:`counterfactory.methods.explainer`).
The classifier has seen clean images only; so the gradient is taken at one, that a whole unguided walk from the state of
that moment gives:

.. math:: z_\tau \sim q(z_\tau \mid x), \qquad z_{i-1} = \mu_i - \Sigma_i\, g(c_i, z_i) + \Sigma_i^{1/2} \epsilon,
   \qquad c_{\tau - 1} = x, \quad c_{i-1} = \mathrm{walk}(z_{i-1})

with i from :math:`\tau - 1` to 0. That takes :math:`\tau + \sum_{i=1}^{\tau - 1} i = \tau (\tau + 1) / 2` network calls
a scale. The first call of each inner walk has the input of the next outer step, so :math:`\tau - 1` of them need not be
made twice: `reuse_calls` saves those and what nobody looks at, and changes nothing.

Where this differs from the published code: noise is drawn a question, not a batch; an answer is bytes, rounded, and it
is those that the classifier must say the target of.

References:
    | Diffusion Models for Counterfactual Explanations (Jeanneret et al., 2022)
    | https://arxiv.org/abs/2203.15636
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ..diffusion.denoiser import Prediction
from ..diffusion.guidance import guide
from ..diffusion.steps import ddpm_step, q_sample
from . import Answer, Batch
from .explainer import GuidanceSettings, Networks, Rows, escalate, gradient, load_explainer, noise

__all__ = ["DimeSettings", "explain", "inner_walk", "load", "outer_walk"]


class DimeSettings(GuidanceSettings, Protocol):
    """The settings `answers.dime`, under the published names."""

    classifier_scales: Sequence[float]
    use_sampling_on_x_t: bool
    guided_iterations: int
    clip_denoised: bool
    reuse_calls: bool


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Returns the function that answers the suite `flip`, by the section `dime` of `settings`."""
    return load_explainer(name, explain, seed, data, models, settings, device)


def explain(batch: Batch, networks: Networks, settings: DimeSettings, size: int) -> tuple:
    """Answers a batch: at each scale one outer walk, in tiles of `size` rows."""

    def attempt(rows: Rows, scale: float, number: int) -> tuple[Tensor, int]:
        return outer_walk(networks, rows, scale, number, settings)

    return escalate(batch, networks, attempt, settings.classifier_scales, size)


@torch.no_grad()
def outer_walk(
    networks: Networks, rows: Rows, scale: float, number: int, settings: DimeSettings
) -> tuple[Tensor, int]:
    """Walks some images back from step `start_step`, guided, once.

    Arguments:
        networks: The networks.
        rows: The questions.
        scale: The classifier scale s.
        number: Its number in the list, which names the noise of the steps; the start is the same for all.
        settings: The settings `answers.dime`.

    Returns:
        Images with shape (B, C, H, W), about [-1, 1], and the number of network calls made for each.
    """
    start, shape = settings.start_step, rows.x.shape[1:]
    denoise = networks.denoise if settings.clip_denoised else networks.unclipped
    # The inner walk always clips: only where the outer one does too is a call of theirs the same.
    shared = settings.reuse_calls and settings.clip_denoised
    z = q_sample(networks.schedule, rows.x, start, noise(rows, shape, "start"))
    fresh = noise(rows, (start, *shape), "outer", number)
    clean, known, calls = rows.x, None, 0
    for step in range(start):
        i = start - 1 - step
        prediction = known
        if prediction is None:
            prediction, calls = denoise(z, i), calls + 1
        guided = step < settings.guided_iterations
        if guided:
            index = torch.full((len(z),), i, device=z.device)
            prediction = guide(prediction, gradient(networks, rows, clean, z, index, scale, settings)[0])
        z, known = ddpm_step(prediction, fresh[:, step], i), None
        looked_at = step + 1 < settings.guided_iterations or not settings.reuse_calls
        if i and guided and looked_at:
            clean, first = inner_walk(networks, rows, z, i - 1, number, settings)
            calls += i
            known = first if shared else None
    return z, calls


def inner_walk(
    networks: Networks, rows: Rows, z: Tensor, index: int, number: int, settings: DimeSettings
) -> tuple[Tensor, Prediction]:
    """Walks states back to clean images, unguided, in `index` + 1 calls.

    Arguments:
        networks: The networks.
        rows: The questions.
        z: The states at step `index`, (B, C, H, W).
        index: That step.
        number: The number of the scale in the list.
        settings: `use_sampling_on_x_t`: whether the steps add noise or follow the means only.

    Returns:
        The clean images, and what the first call said.
    """
    sampling = settings.use_sampling_on_x_t
    shape = z.shape[1:]
    fresh = noise(rows, (index, *shape), "inner", number, index) if sampling and index else None
    first = None
    for step in range(index, -1, -1):
        prediction = networks.denoise(z, step)
        first = first or prediction
        z = prediction.mean if fresh is None or step == 0 else ddpm_step(prediction, fresh[:, step - 1], step)
    return z, first
