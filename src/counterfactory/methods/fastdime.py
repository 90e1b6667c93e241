r"""The method `fastdime`: DiME without the inner walk (Weng et al., 2024).

The clean image is the one-step estimate that the network's own call gives anyway (Tweedie's formula),

.. math:: c_{i-1} = \mathrm{clip}\Big( \frac{z_i - \sqrt{1 - \bar\alpha_i}\, \hat\epsilon}{\sqrt{\bar\alpha_i}} \Big)

which costs nothing: :math:`\tau` calls a scale, where DiME makes :math:`\tau (\tau + 1) / 2`. The gradient of a step is
taken at the estimate of the step before. From step `warmup_mask` on only a region is changed: with
:math:`m = \sum_{channels} |x - c|` over its largest value, spread by a maximum over `dilation` x `dilation` px,

.. math:: R = \{ m \ge \mathrm{threshold} \}, \qquad c := x, \quad z \sim q(z_i \mid x) \quad \text{outside } R,

and in the end the image outside R is x itself. `form` chooses among the published three:

- `fastdime`: the region follows the estimate of the moment.
- `fastdime-2`: a first walk without a region; the region of its result holds for a second walk from the same start.
- `fastdime-2+`: likewise, but the first walk has a region of its own.

References:
    | Fast Diffusion-Based Counterfactuals for Shortcut Removal and Generation (Weng et al., 2024)
    | https://arxiv.org/abs/2312.14223
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from ..diffusion.guidance import guide
from ..diffusion.steps import ddpm_step, q_sample
from . import Answer, Batch
from .explainer import GuidanceSettings, Networks, Rows, escalate, gradient, load_explainer, noise

__all__ = ["FastDimeSettings", "changed_region", "explain", "load", "walk"]


class FastDimeSettings(GuidanceSettings, Protocol):
    """The settings `answers.fastdime`, under the published names where there are any."""

    classifier_scales: Sequence[float]
    scale_grads: bool
    form: str
    masked: bool
    warmup_mask: int
    dilation: int
    threshold: float


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Returns the function that answers the suite `flip`, by the section `fastdime` of `settings`."""
    return load_explainer(name, explain, seed, data, models, settings, device)


def explain(batch: Batch, networks: Networks, settings: FastDimeSettings, size: int) -> tuple:
    """Answers a batch: at each scale one walk, or two that share a start, in tiles of `size` rows."""

    def attempt(rows: Rows, scale: float, number: int) -> tuple[Tensor, int]:
        if settings.form == "fastdime":
            return walk(networks, rows, scale, (number,), settings)
        warmup = settings.warmup_mask if settings.form == "fastdime-2+" else settings.start_step
        first, calls = walk(networks, rows, scale, (number,), settings, warmup=warmup)
        region = changed_region(rows.x, first.clamp(-1.0, 1.0), settings.dilation, settings.threshold)
        second, more = walk(networks, rows, scale, (number, "second"), settings, region)
        return second, calls + more

    return escalate(batch, networks, attempt, settings.classifier_scales, size)


def changed_region(x: Tensor, clean: Tensor, dilation: int, threshold: float) -> Tensor:
    """Returns where two images differ by at least a share of their largest difference, spread a little.

    Arguments:
        x: Images with shape (B, C, H, W).
        clean: Others, likewise.
        dilation: The side, an odd number of px, of the square that the largest difference is taken over.
        threshold: The share, in (0, 1].

    Returns:
        True inside, with shape (B, 1, H, W); all False where two images are equal.
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
    settings: FastDimeSettings,
    region: Tensor | None = None,
    warmup: int | None = None,
) -> tuple[Tensor, int]:
    """Walks some images back from step `start_step`, guided, once.

    Arguments:
        networks: The networks.
        rows: The questions.
        scale: The classifier scale s.
        names: What names the noise of the steps; the start is the same for all.
        settings: The settings `answers.fastdime`.
        region: Where images may change, at every step, bool (B, 1, H, W); None: what the estimate changes.
        warmup: The number of steps without a region; by default `warmup_mask`.

    Returns:
        Images with shape (B, C, H, W), about [-1, 1], and the number of network calls made for each.
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
        shift, _ = gradient(networks, rows, clean, z, index, scale, settings, settings.scale_grads)
        z, clean = ddpm_step(guide(prediction, shift), fresh[:, step], i), prediction.x0
        if region is None and settings.masked and step >= warmup:
            inside = changed_region(rows.x, clean, settings.dilation, settings.threshold)
        if inside is not None:
            clean = torch.where(inside, clean, rows.x)
            # At step i as published, though z has just left it.
            z = torch.where(inside, z, q_sample(networks.schedule, rows.x, i, outside[:, step]))
    return z if inside is None else torch.where(inside, z, rows.x), start
