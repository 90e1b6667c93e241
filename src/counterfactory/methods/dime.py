r"""The method `dime`: diffusion models for counterfactual explanations (Jeanneret et al., 2022, arXiv:2203.15636).

The image x is noised to step :math:`\tau` and denoised again. At every step the mean of the denoiser is shifted by
minus its variance times the gradient g of the classifier's loss and two distances
(:mod:`counterfactory.methods.guidance`). The classifier was trained on clean images only. The gradient is therefore
evaluated at a clean image, which an unguided walk from the current state computes:

.. math:: z_\tau \sim q(z_\tau \mid x), \qquad z_{i-1} = \mu_i - \Sigma_i\, g(c_i, z_i) + \Sigma_i^{1/2} \epsilon,
   \qquad c_{\tau - 1} = x, \quad c_{i-1} = \mathrm{walk}(z_{i-1})

with i from :math:`\tau - 1` to 0. This takes :math:`\tau + \sum_{i=1}^{\tau - 1} i = \tau (\tau + 1) / 2` network calls
per scale. The first call of each inner walk has the same input as the next outer step. With `reuse_calls` these
:math:`\tau - 1` calls, and calls whose result is not used, are made only once; the answers do not change.

Differences from the published code: noise is drawn per question instead of per batch, and the classifier must predict
the target for the rounded uint8 image.

References:
    | Diffusion Models for Counterfactual Explanations (Jeanneret et al., 2022)
    | https://arxiv.org/abs/2203.15636
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from ..diffusion.denoiser import Prediction
from ..diffusion.guidance import guide
from ..diffusion.steps import ddpm_step, q_sample
from . import Answer, Batch
from .explainer import escalate, load_explainer
from .guidance import Networks, Rows, State, gradient, noise
from .tiles import Sizes

if TYPE_CHECKING:
    from ..config.explainers import DimeSettings

__all__ = ["explain", "inner_walk", "load", "outer_walk"]


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Returns the function that answers the suite `flip`; its settings are the section `dime` of `settings`."""
    return load_explainer(name, explain, seed, data, models, settings, device)


def explain(batch: Batch, networks: Networks, settings: "DimeSettings", sizes: Sizes) -> tuple:
    """Answers a batch with one outer walk per scale, in tiles of `sizes` rows."""

    def attempt(rows: Rows, scale: float, number: int) -> tuple[Tensor, int]:
        return outer_walk(networks, rows, scale, number, settings)

    return escalate(batch, networks, attempt, settings.classifier_scales, sizes, settings.rounding)


@torch.no_grad()
def outer_walk(
    networks: Networks, rows: Rows, scale: float, number: int, settings: "DimeSettings"
) -> tuple[Tensor, int]:
    """Denoises images from step `start_step` to 0 once, with guidance.

    Arguments:
        networks: The networks.
        rows: The questions.
        scale: The classifier scale s.
        number: The index of the scale in the list. It selects the noise of the steps; the start is the same for all.
        settings: The section `answers.dime`.

    Returns:
        Images with shape (B, C, H, W), approximately in [-1, 1], and the number of network calls per image.
    """
    start, shape = settings.start_step, rows.x.shape[1:]
    denoise = networks.denoise if settings.clip_denoised else networks.unclipped
    # The inner walk always clips, so that its calls can be reused only if the outer walk clips too.
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
            shift, _ = gradient(networks, rows, State(clean, z, index, scale), settings)
            prediction = guide(prediction, shift)
        z, known = ddpm_step(prediction, fresh[:, step], i), None
        used = step + 1 < settings.guided_iterations or not settings.reuse_calls
        if i and guided and used:
            clean, first = inner_walk(networks, rows, z, i - 1, number, settings)
            calls += i
            known = first if shared else None
    return z, calls


def inner_walk(
    networks: Networks, rows: Rows, z: Tensor, index: int, number: int, settings: "DimeSettings"
) -> tuple[Tensor, Prediction]:
    """Denoises states to clean images without guidance, in `index` + 1 calls.

    Arguments:
        networks: The networks.
        rows: The questions.
        z: The states at step `index`, (B, C, H, W).
        index: That step.
        number: The index of the scale in the list.
        settings: `use_sampling_on_x_t`: whether the steps add noise or use the means only.

    Returns:
        The clean images, and the prediction of the first call.
    """
    sampling = settings.use_sampling_on_x_t
    shape = z.shape[1:]
    fresh = noise(rows, (index, *shape), "inner", number, index) if sampling and index else None
    first: Prediction | None = None
    for step in range(index, -1, -1):
        prediction = networks.denoise(z, step)
        first = first or prediction
        z = prediction.mean if fresh is None or step == 0 else ddpm_step(prediction, fresh[:, step - 1], step)
    assert first is not None  # there is at least one call
    return z, first
