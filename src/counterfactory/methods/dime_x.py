r"""The method `dime_x`: a faster variant of DiME that abducts the noise of the walk (ours).

DiME noises the image and denoises it with fresh noise, so that most of the change is unrelated to the question. A
counterfactual requires more: the image that the *same* noise gives if the classifier predicts the target. Two walks are
therefore run in parallel. The factual walk y ends exactly at the image x. In every step the noise that it needs is
computed and added to the other walk z, which is guided by a gradient g:

.. math:: y_{i-1} \sim q(y_{i-1} \mid y_i, x), \qquad r_i = y_{i-1} - \mu(y_i), \qquad
   z_{i-1} = \mu(z_i) - \Sigma(z_i)\, g + r_i, \qquad z_\tau = y_\tau.

This is abduction, action and prediction within a diffusion (with the noise of CycleDiffusion: Wu and De la Torre, 2022,
arXiv:2210.05559): without guidance z equals y, and the answer is x itself. The clean image at which the gradient is
evaluated is corrected by the factual walk,

.. math:: c_i = x + \hat x_0(z_i) - \hat x_0(y_i),

so that the blur of the one-step estimates cancels. It is sharp at every step, needs no walk of its own and can be the
answer. Both walks are one network call on a batch of twice the size. Further differences from DiME:

1. The classifier is evaluated at K noisy copies of c, with new noise in every step, so that the gradient is less
   adversarial. Its loss is the hinge :math:`\max(0, m - u)`: at log odds of m and above only the distances act. m is
   `margin`, and for a class of a variable at least `confidence` times the log odds of the classifier's decision for x.
   An image between two classes shows neither; the new class is therefore to be predicted as confidently as the old one.
   A binary attribute, such as thick, is often a threshold of a continuous quantity, for which a small change is enough.
2. An image whose c has reached m at step `stop_step` or below is finished, and the next question takes its place in the
   tile, so that no image waits for the others.
3. The scale of an image that has not reached m grows from step to step, :math:`s \leftarrow b\, s`. If the walk ends
   without a flip, it is repeated from `restart_step` with the final scale.
4. Outside the dilated region of the largest changes (as in FastDiME) c is x; with `threshold: 0` there is no region.
5. The answer is the nearest image on the line from x to c, :math:`x + a (c - x)` with a a multiple of 1 / `shrink`,
   whose log odds are at least m. This takes no network call.

Noise is drawn per question, step and repetition, so that an answer does not depend on the other questions.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..core.noise import normal
from ..diffusion.denoiser import Prediction
from ..diffusion.guidance import guide
from ..diffusion.steps import q_sample
from ..nets.pixels import to_bytes, to_pixels
from . import Answer, Batch, Columns
from .explainer import load_explainer, read_batch, reply
from .fastdime import changed_region
from .guidance import Networks, Rows, State, decisions, gradient, leads, log_odds, noise, odds_at
from .tiles import Sizes, largest, tiles

if TYPE_CHECKING:
    from ..config.explainers import DimeXSettings

__all__ = ["Walks", "confine", "explain", "load", "nearest", "required", "twin_step"]


@dataclass(frozen=True)
class Walks:
    """The states of both walks at one step.

    Arguments:
        guided: The guided states z, with shape (B, C, H, W).
        factual: The factual states y, with shape (B, C, H, W).
        index: Their step, int64 with shape (B,).
        scale: The classifier scale s, with shape (B,).
        enough: The margin m, log odds in nats, with shape (B,).
    """

    guided: Tensor
    factual: Tensor
    index: Tensor
    scale: Tensor
    enough: Tensor


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Returns the function that answers the suite `flip`; its settings are the section `dime_x` of `settings`."""
    return load_explainer(name, explain, seed, data, models, settings, device, together=2)


@torch.no_grad()
def explain(
    batch: Batch, networks: Networks, settings: "DimeXSettings", sizes: Sizes
) -> tuple[np.ndarray, dict[str, np.ndarray], Columns]:
    """Answers a batch; the number of steps differs from image to image.

    Arguments:
        batch: The questions.
        networks: The networks.
        settings: The section `answers.dime_x`.
        sizes: The numbers of rows that a tile can have, from
            :func:`counterfactory.methods.explainer.tile_sizes`.
    """
    rows, answered = read_batch(batch, networks, sizes)
    shape, device = rows.x.shape[1:], rows.x.device
    start, enough = noise(rows, shape, "start"), required(networks, rows, settings, sizes)
    index = torch.full((len(batch),), settings.start_step - 1, device=device)
    twin = q_sample(networks.schedule, rows.x, index, start)
    state, clean = twin.clone(), rows.x.clone()
    scale = torch.full((len(batch),), float(settings.classifier_scale), device=device)
    tries, calls, left = np.zeros(len(batch), np.int64), np.zeros(len(batch)), answered.copy()

    while left.any():
        tile, count = next(tiles(torch.from_numpy(np.flatnonzero(left)[: largest(sizes)]), sizes))
        chosen, i = tile[:count], index[tile]
        part = rows.take(tile)
        drawn = _step_noise(part, tries[tile.numpy()], i, (1 + settings.copies, *shape))
        fresh, jitter = drawn[0], settings.jitter * drawn[1:] if settings.copies and settings.jitter else None
        walks = Walks(state[tile], twin[tile], i, scale[tile], enough[tile])
        estimate, stepped, twinned, odds = twin_step(networks, part, walks, fresh, jitter, settings)
        calls[chosen.numpy()] += 2
        ended, reached = i == 0, odds >= walks.enough
        # The state after the last step is a clean image itself.
        end = confine(part.x, stepped - part.x, settings)
        shown = torch.where(ended[:, None, None, None], end, estimate)
        flipped = leads(networks, part, to_bytes(shown)) > 0
        again = torch.from_numpy(tries[tile.numpy()] < settings.restarts).to(device)
        finished = torch.where(ended, flipped | ~again, reached & (i <= settings.stop_step) & flipped)

        clean[chosen], state[chosen], twin[chosen] = shown[:count], stepped[:count], twinned[:count]
        index[chosen] -= 1
        scale[chosen] = torch.where(reached, scale[tile], scale[tile] * settings.boost)[:count]
        left[chosen[finished[:count].cpu()].numpy()] = False
        back = chosen[(ended & ~finished)[:count].cpu()]
        if len(back):
            tries[back.numpy()] += 1
            index[back] = settings.restart_step - 1
            state[back] = twin[back] = q_sample(networks.schedule, rows.x[back], index[back], start[back])

    images = np.array(batch.images)
    columns = {
        "answered": answered,
        "reached": np.zeros(len(batch), dtype=bool),
        "network_calls": np.where(answered, calls, np.nan),
        "scale": np.full(len(batch), np.nan),
    }
    for tile, count in tiles(torch.from_numpy(np.flatnonzero(answered)), sizes):
        shown, found = nearest(networks, rows.take(tile), clean[tile], settings.shrink, enough[tile])
        which, flips = tile[:count].numpy(), found[:count].cpu().numpy()
        images[which] = shown[:count].cpu().numpy()
        columns["reached"][which] = flips
        columns["scale"][which[flips]] = scale[tile[:count]].cpu().numpy()[flips]
    return reply(networks, images, columns)


@torch.no_grad()
def twin_step(
    networks: Networks,
    rows: Rows,
    walks: Walks,
    fresh: Tensor,
    jitter: Tensor | None,
    settings: "DimeXSettings",
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Takes one step of both walks.

    Arguments:
        networks: The networks.
        rows: The questions.
        walks: The states of both walks.
        fresh: Standard normal noise for the factual walk, (B, C, H, W).
        jitter: The noise of the copies at which the classifier is evaluated, (K, B, C, H, W), or None.
        settings: The section `answers.dime_x`.

    Returns:
        The clean images c before the step, the guided and the factual states after it (the latter is x after step 0),
        each with shape (B, C, H, W), and the log odds at c, (B,).
    """
    schedule, index, twin = networks.schedule, walks.index, walks.factual
    prediction = networks.denoise(torch.cat([walks.guided, twin]), torch.cat([index, index]))
    guided, factual = (Prediction(*(one.chunk(2)[half] for one in prediction)) for half in (0, 1))
    change = guided.x0 - factual.x0
    estimate = confine(rows.x, change, settings)
    # The distance in pixels is that of the two walks: their common noise cancels.
    state = State(estimate, rows.x + walks.guided - twin, index, walks.scale)
    shift, odds = gradient(networks, rows, state, settings, enough=walks.enough, jitter=jitter)
    spread = schedule.take(schedule.posterior_variance.sqrt(), index, twin)
    after = schedule.take(schedule.posterior_weight_clean, index, twin) * rows.x
    after = after + schedule.take(schedule.posterior_weight_noisy, index, twin) * twin + spread * fresh
    return estimate, guide(guided, shift).mean + (after - factual.mean), after, odds


def confine(x: Tensor, change: Tensor, settings: "DimeXSettings") -> Tensor:
    """Returns images with the change inside the region of the largest changes, and x elsewhere.

    Arguments:
        x: Images in [-1, 1] with shape (B, C, H, W).
        change: The change of the images, with the same shape.
        settings: `dilation` and `threshold` (see :func:`counterfactory.methods.fastdime.changed_region`).
    """
    region = changed_region(torch.zeros_like(change), change, settings.dilation, settings.threshold)
    return torch.where(region, (x + change).clamp(-1.0, 1.0), x)


@torch.no_grad()
def required(networks: Networks, rows: Rows, settings: "DimeXSettings", sizes: Sizes) -> Tensor:
    """Returns the margin m of each question, in nats, (B,).

    It is `margin`, and for a class of a variable max(`margin`, `confidence` * u(x)) with the log odds u(x) of the
    classifier's decision for the image x.
    """
    classifier, parts = networks.classifier, []
    outputs = len(classifier.names), classifier.classes
    for tile, count in tiles(torch.arange(len(rows.x)), sizes):
        logits, column = classifier.logits(rows.x[tile]), rows.column[tile]
        own = log_odds(logits, column, decisions(logits, column, *outputs), *outputs)
        own = torch.where(column < 0, settings.confidence * own, 0.0)
        parts.append(own.clamp(min=settings.margin)[:count])
    return torch.cat(parts)


@torch.no_grad()
def nearest(
    networks: Networks, rows: Rows, clean: Tensor, steps: int, enough: Tensor | float
) -> tuple[Tensor, Tensor]:
    """Returns the nearest image on the line from x to `clean` that reaches the log odds `enough`.

    Arguments:
        networks: The networks.
        rows: The questions.
        clean: The ends of the lines, images in [-1, 1] with shape (B, C, H, W).
        steps: The number of points that are tried on each line; 1: its end only.
        enough: The required log odds, in nats, (B,) or one number.

    Returns:
        The images, uint8 (B, C, H, W), and whether they have flipped, (B,). Where no point has flipped with the
        required log odds, the image is the end of the line.
    """
    best = to_bytes(clean)
    flipped = leads(networks, rows, best) > 0
    found = torch.zeros_like(flipped)
    for step in range(1, steps):
        shown = to_bytes(torch.lerp(rows.x, clean, step / steps))
        far = odds_at(networks, rows, to_pixels(shown)) >= enough
        better = ~found & far & (leads(networks, rows, shown) > 0)
        best = torch.where(better[:, None, None, None], shown, best)
        flipped, found = flipped | better, found | better
    return best, flipped


def _step_noise(rows: Rows, tries: np.ndarray, index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns standard normal noise of the step and repetition of each question, (N, B, C, H, W) for (N, C, H, W)."""
    drawn = [
        normal([seed], shape, "step", int(number), int(step))
        for seed, number, step in zip(rows.seeds.tolist(), tries, index.tolist(), strict=True)
    ]
    return torch.from_numpy(np.concatenate(drawn)).transpose(0, 1).to(rows.x.device)
