r"""The method `dime_x`: our own fast relative of DiME, which abducts the noise of the walk and changes what it must.

DiME noises the image and walks it back by chance, so that most of what changes has nothing to do with the question. A
counterfactual asks for more: what would *this* image be, by the same chances, if the classifier were to say something
else? So two walks go down side by side. The factual one, y, leads back to the image x exactly; in every step the noise
that it needed is read off and given to the other one, z, which is guided by a gradient g:

.. math:: y_{i-1} \sim q(y_{i-1} \mid y_i, x), \qquad r_i = y_{i-1} - \mu(y_i), \qquad
   z_{i-1} = \mu(z_i) - \Sigma(z_i)\, g + r_i, \qquad z_\tau = y_\tau.

This is abduction, action and prediction within a diffusion (the noise is that of CycleDiffusion: Wu and De la Torre,
2022, arXiv:2210.05559): without guidance z is y, and the answer is x itself. The clean image that the gradient is
taken at is calibrated by its twin,

.. math:: c_i = x + \hat x_0(z_i) - \hat x_0(y_i),

so that the blur of a one-step estimate cancels out: it is sharp at any step, costs no walk of its own, and may be the
answer. Both walks are one network call on twice as many images. The rest saves calls and keeps answers near:

1. The classifier pulls at K noisy copies of c: a gradient that they share is less of a trick on it. Its loss is the
   hinge :math:`\max(0, m - u)`: from log odds m on only the distances act.
2. An image whose c has reached m at step `stop_step` or below is done, and the next question takes its place: tiles
   stay full, and no image waits for its neighbours.
3. An image that has not is pulled harder from step to step, :math:`s \leftarrow b\, s`. Only if its walk ends without a
   flip is it repeated, from `restart_step` and with the scale it ended with.
4. Outside of the region that c changes most, spread a little as in FastDiME, it is x.
5. The answer is the nearest image on the straight way from x to c, :math:`x + a (c - x)` with a a multiple of
   1 / `shrink`, that has log odds m or more. That takes no network call.

Noise is drawn a question, step and repetition, so none of this makes an answer depend on its neighbours.
"""

from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from ..core.noise import normal
from ..diffusion.denoiser import Prediction
from ..diffusion.guidance import guide
from ..diffusion.steps import q_sample
from ..nets.pixels import to_bytes, to_pixels
from . import Answer, Batch, Columns
from .explainer import (
    GuidanceSettings,
    Networks,
    Rows,
    gradient,
    leads,
    load_explainer,
    noise,
    odds_at,
    read_batch,
    reply,
)
from .fastdime import changed_region
from .tiles import tiles

__all__ = ["DimeXSettings", "confine", "explain", "load", "nearest", "twin_step"]


class DimeXSettings(GuidanceSettings, Protocol):
    """The settings `answers.dime_x`."""

    classifier_scale: float
    boost: float
    margin: float
    stop_step: int
    restart_step: int
    restarts: int
    copies: int
    jitter: float
    dilation: int
    threshold: float
    shrink: int


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Returns the function that answers the suite `flip`, by the section `dime_x` of `settings`."""
    return load_explainer(name, explain, seed, data, models, settings, device)


@torch.no_grad()
def explain(
    batch: Batch, networks: Networks, settings: DimeXSettings, size: int
) -> tuple[np.ndarray, dict[str, np.ndarray], Columns]:
    """Answers a batch; each image takes the steps it needs, in whatever tiles.

    Arguments:
        batch: The questions.
        networks: The networks.
        settings: The settings `answers.dime_x`.
        size: Rows in a tile, from :func:`counterfactory.methods.explainer.tile_size`.
    """
    rows, answered = read_batch(batch, networks, size)
    shape, device = rows.x.shape[1:], rows.x.device
    start, copies = noise(rows, shape, "start"), noise(rows, (settings.copies, *shape), "copies")
    index = torch.full((len(batch),), settings.start_step - 1, device=device)
    twin = q_sample(networks.schedule, rows.x, index, start)
    state, clean = twin.clone(), rows.x.clone()
    scale = torch.full((len(batch),), float(settings.classifier_scale), device=device)
    tries, calls, left = np.zeros(len(batch), np.int64), np.zeros(len(batch)), answered.copy()

    while left.any():
        tile, count = next(tiles(torch.from_numpy(np.flatnonzero(left)[:size]), size))
        meant, i = tile[:count], index[tile]
        part = rows.take(tile)
        fresh = _step_noise(part, tries[tile.numpy()], i, shape)
        jitter = _jitter(copies[tile], settings.jitter)
        estimate, stepped, twinned, odds = twin_step(
            networks, part, state[tile], twin[tile], i, scale[tile], fresh, jitter, settings
        )
        calls[meant.numpy()] += 2
        ended, enough = i == 0, odds >= settings.margin
        # The last step's state is clean itself.
        end = confine(part.x, stepped - part.x, settings)
        shown = torch.where(ended[:, None, None, None], end, estimate)
        flipped = leads(networks, part, to_bytes(shown)) > 0
        again = torch.from_numpy(tries[tile.numpy()] < settings.restarts).to(device)
        finished = torch.where(ended, flipped | ~again, enough & (i <= settings.stop_step) & flipped)

        clean[meant], state[meant], twin[meant] = shown[:count], stepped[:count], twinned[:count]
        index[meant] -= 1
        scale[meant] = torch.where(enough, scale[tile], scale[tile] * settings.boost)[:count]
        left[meant[finished[:count].cpu()].numpy()] = False
        back = meant[(ended & ~finished)[:count].cpu()]
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
    for tile, count in tiles(torch.from_numpy(np.flatnonzero(answered)), size):
        shown, flipped = nearest(networks, rows.take(tile), clean[tile], settings.shrink, settings.margin)
        meant, flipped = tile[:count].numpy(), flipped[:count].cpu().numpy()
        images[meant] = shown[:count].cpu().numpy()
        columns["reached"][meant] = flipped
        columns["scale"][meant[flipped]] = scale[tile[:count]].cpu().numpy()[flipped]
    return reply(networks, images, columns)


@torch.no_grad()
def twin_step(
    networks: Networks,
    rows: Rows,
    state: Tensor,
    twin: Tensor,
    index: Tensor,
    scale: Tensor,
    fresh: Tensor,
    jitter: Tensor | None,
    settings: DimeXSettings,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Takes one step of both walks.

    Arguments:
        networks: The networks.
        rows: The questions.
        state: The guided states z, (B, C, H, W).
        twin: The factual states y, likewise.
        index: Their step, (B,).
        scale: The classifier scale s, (B,).
        fresh: Standard normal noise for the factual walk, (B, C, H, W).
        jitter: The noise of the copies that the classifier pulls at, (K, B, C, H, W), or None.
        settings: The settings `answers.dime_x`.

    Returns:
        The clean images c before the step, both states after it (the factual one is x itself after step 0), and the log
        odds at c, (B,).
    """
    schedule = networks.schedule
    prediction = networks.denoise(torch.cat([state, twin]), torch.cat([index, index]))
    guided, factual = (Prediction(*(one.chunk(2)[half] for one in prediction)) for half in (0, 1))
    change = guided.x0 - factual.x0
    estimate = confine(rows.x, change, settings)
    shift, odds = gradient(
        networks,
        rows,
        estimate,
        # The distance in pixels is that of the two walks: their noise cancels out.
        rows.x + state - twin,
        index,
        scale,
        settings,
        enough=settings.margin,
        jitter=jitter,
    )
    spread = schedule.take(schedule.posterior_variance.sqrt(), index, twin)
    after = schedule.take(schedule.posterior_weight_clean, index, twin) * rows.x
    after = after + schedule.take(schedule.posterior_weight_noisy, index, twin) * twin + spread * fresh
    return estimate, guide(guided, shift).mean + (after - factual.mean), after, odds


def confine(x: Tensor, change: Tensor, settings: DimeXSettings) -> Tensor:
    """Returns images changed where they change most, and x elsewhere.

    Arguments:
        x: Images in [-1, 1] with shape (B, C, H, W).
        change: What is added to them, likewise.
        settings: `dilation` and `threshold` (see :func:`counterfactory.methods.fastdime.changed_region`).
    """
    region = changed_region(torch.zeros_like(change), change, settings.dilation, settings.threshold)
    return torch.where(region, (x + change).clamp(-1.0, 1.0), x)


@torch.no_grad()
def nearest(
    networks: Networks, rows: Rows, clean: Tensor, steps: int, enough: float
) -> tuple[Tensor, Tensor]:
    """Returns the nearest image on the straight way from x that is far enough on the target's side.

    Arguments:
        networks: The networks.
        rows: The questions.
        clean: Where the ways lead, images in [-1, 1] with shape (B, C, H, W).
        steps: How many points of each way are tried; 1: its end only.
        enough: The log odds that are far enough.

    Returns:
        The images, uint8 (B, C, H, W): where none has flipped and is far enough, the end; and whether they have
        flipped, (B,).
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


def _jitter(copies: Tensor, amount: float) -> Tensor | None:
    """Returns the noise of the copies, from (B, K, C, H, W) to (K, B, C, H, W)."""
    return amount * copies.transpose(0, 1) if copies.shape[1] and amount else None


def _step_noise(rows: Rows, tries: np.ndarray, index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns the noise of each question's own step and repetition, (B, C, H, W)."""
    drawn = [
        normal([seed], shape, "step", int(number), int(step))
        for seed, number, step in zip(rows.seeds.tolist(), tries, index.tolist(), strict=True)
    ]
    return torch.from_numpy(np.concatenate(drawn)).to(rows.x.device)
