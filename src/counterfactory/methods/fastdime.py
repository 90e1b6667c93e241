r"""The method `fastdime`: DiME without the inner walk (Weng et al., 2024, arXiv:2312.14223).

The clean image is the one-step estimate of the network's own call (Tweedie's formula),

.. math:: c_{i-1} = \mathrm{clip}\Big( \frac{z_i - \sqrt{1 - \bar\alpha_i}\, \hat\epsilon}{\sqrt{\bar\alpha_i}} \Big)

which takes no additional call: :math:`\tau` calls per scale, where DiME makes :math:`\tau (\tau + 1) / 2`. The gradient
of a step is evaluated at the estimate of the previous step. From step `warmup_mask` on, changes are restricted to a
region. Let :math:`m = \sum_{channels} |x - c|`, divided by its maximum and dilated by a maximum filter over
`dilation` x `dilation` px:

.. math:: R = \{ m \ge \mathrm{threshold} \}, \qquad c := x, \quad z \sim q(z_i \mid x) \quad \text{outside } R,

and the final image outside R is x itself. `form` selects one of the three published variants:

- `fastdime`: the region is that of the current estimate.
- `fastdime-2`: a first walk has no region; the region of its result is used in a second walk from the same start.
- `fastdime-2+`: likewise, but the first walk has a region of its own.

References:
    | Fast Diffusion-Based Counterfactuals for Shortcut Removal and Generation (Weng et al., 2024)
    | https://arxiv.org/abs/2312.14223
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..diffusion.guidance import guide
from ..diffusion.steps import ddpm_step, q_sample
from . import Answer, Batch
from .explainer import escalate, load_explainer
from .guidance import Networks, Rows, State, gradient, noise
from .tiles import Sizes

if TYPE_CHECKING:
    from ..config.explainers import FastDimeSettings

__all__ = ["changed_region", "explain", "load", "walk"]


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Returns the function that answers the suite `flip`; its settings are the section `fastdime` of `settings`."""
    return load_explainer(name, explain, seed, data, models, settings, device)


def explain(batch: Batch, networks: Networks, settings: "FastDimeSettings", sizes: Sizes) -> tuple:
    """Answers a batch with one walk per scale, or two from the same start, in tiles of `sizes` rows."""

    def attempt(rows: Rows, scale: float, number: int) -> tuple[Tensor, int]:
        if settings.form == "fastdime":
            return walk(networks, rows, scale, (number,), settings)
        warmup = settings.warmup_mask if settings.form == "fastdime-2+" else settings.start_step
        first, calls = walk(networks, rows, scale, (number,), settings, warmup=warmup)
        region = changed_region(rows.x, first.clamp(-1.0, 1.0), settings.dilation, settings.threshold)
        second, more = walk(networks, rows, scale, (number, "second"), settings, region)
        return second, calls + more

    return escalate(batch, networks, attempt, settings.classifier_scales, sizes, settings.rounding)


def changed_region(x: Tensor, clean: Tensor, dilation: int, threshold: float) -> Tensor:
    """Returns the dilated region where two images differ by at least a share of their largest difference.

    Arguments:
        x: Images with shape (B, C, H, W).
        clean: Other images with the same shape.
        dilation: The side of the square maximum filter, an odd number of px.
        threshold: The share, in (0, 1].

    Returns:
        True inside the region, with shape (B, 1, H, W); all False where two images are equal.
    """
    change = (x - clean).abs().sum(1, keepdim=True)
    change = change / change.amax((1, 2, 3), keepdim=True).clamp(min=torch.finfo(change.dtype).tiny)
    return F.max_pool2d(change, dilation, 1, dilation // 2) >= threshold


@torch.no_grad()
def walk(
    networks: Networks,
    rows: Rows,
    scale: float,
    names: Sequence[str | int],
    settings: "FastDimeSettings",
    region: Tensor | None = None,
    warmup: int | None = None,
) -> tuple[Tensor, int]:
    """Denoises images from step `start_step` to 0 once, with guidance.

    Arguments:
        networks: The networks.
        rows: The questions.
        scale: The classifier scale s.
        names: The names that select the noise of the steps; the start is the same for all.
        settings: The section `answers.fastdime`.
        region: The region where images can change, at every step, bool (B, 1, H, W); None: that of the estimate.
        warmup: The number of steps without a region; by default `warmup_mask`.

    Returns:
        Images with shape (B, C, H, W), approximately in [-1, 1], and the number of network calls per image.
    """
    start, shape = settings.start_step, rows.x.shape[1:]
    warmup = settings.warmup_mask if warmup is None else warmup
    z = q_sample(networks.schedule, rows.x, start, noise(rows, shape, "start"))
    fresh = noise(rows, (start, *shape), "outer", *names)
    outside = noise(rows, (start, *shape), "outside", *names)
    clean, inside = rows.x, region
    for step in range(start):
        i = start - 1 - step
        index = torch.full((len(z),), i, device=z.device)
        prediction = networks.denoise(z, i)
        state = State(clean, z, index, scale)
        shift, _ = gradient(networks, rows, state, settings, settings.scale_grads)
        z, clean = ddpm_step(guide(prediction, shift), fresh[:, step], i), prediction.x0
        if region is None and settings.masked and step >= warmup:
            inside = changed_region(rows.x, clean, settings.dilation, settings.threshold)
        if inside is not None:
            clean = torch.where(inside, clean, rows.x)
            # Noised to step i as in the published code, although z has already left it.
            z = torch.where(inside, z, q_sample(networks.schedule, rows.x, i, outside[:, step]))
    return z if inside is None else torch.where(inside, z, rows.x), start
