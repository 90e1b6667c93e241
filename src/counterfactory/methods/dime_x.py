r"""The method `dime_x`: our own fast relative of DiME, which changes as little as it must.

As in DiME, the image is noised to step :math:`\tau` and walked back, guided by a classifier's gradient at a clean image
(:mod:`counterfactory.methods.dime`). What is different, and why:

1. The clean image is the one-step estimate of the call itself, as in FastDiME but without its lag of a step, so a step
   costs one call. Outside the region R that the estimate changes most, it is x.
2. The classifier pulls by the hinge :math:`L_{cls} = \max(0, m - u)`: from log odds m on only the distances act.
3. An image whose estimate has reached m at step `stop_step` or below is done, and the next question takes its place:
   tiles stay full. No image waits for its neighbours.
4. Nothing is run three times over. An image that has not reached m is pulled harder from step to step,
   :math:`s \leftarrow b\, s`. Only if the walk ends without a flip is it repeated, from the nearer step `restart_step` and
   with the scale it ended with.
5. The answer is the nearest image on the way from x to the estimate, :math:`x + a\, (c - x)` with a a multiple of
   1 / `shrink`, that the classifier, which costs a fiftieth of a call, says the target of with log odds m or more.

Noise is drawn a question, step and repetition, so none of this makes an answer depend on its neighbours.
"""

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import load_dataset
from ..diffusion.denoiser import Prediction
from ..diffusion.guidance import guide
from ..diffusion.steps import q_sample
from ..noise import normal
from . import Answer, Batch, Columns
from .explainer import (
    COLUMNS,
    GuidanceSettings,
    Networks,
    Rows,
    as_bytes,
    gradient,
    leads,
    load_networks,
    noise,
    read_batch,
    reply,
    tile_size,
)
from .fastdime import changed_region
from .tiles import tiles

__all__ = ["DimeXSettings", "explain", "load", "nearest"]


class DimeXSettings(GuidanceSettings, Protocol):
    """The settings `answers.dime_x`."""

    classifier_scale: float
    boost: float
    margin: float
    sampling: float
    stop_step: int
    restart_step: int
    restarts: int
    dilation: int
    threshold: float
    shrink: int


def load(seed: int, data: Path, models: Path, settings: DimeXSettings, device: str) -> Answer:
    """Returns the function that answers the suite `flip`.

    Arguments:
        seed: The training seed.
        data: The data set's folder.
        models: The folder of the data set's trained models.
        settings: The settings `answers`; the section `dime_x` is read.
        device: Where networks run.

    Raises:
        UserError: If a trained model is missing, or a number of steps does not fit.
    """
    own: DimeXSettings = settings.dime_x
    networks = load_networks(own, seed, data, models, device, "dime_x")
    size = tile_size(networks, own, load_dataset(data).shape)

    def answer(batch: Batch) -> tuple:
        return explain(batch, networks, own, size)

    answer.columns = COLUMNS
    return answer


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
    schedule, shape = networks.schedule, rows.x.shape[1:]
    start, device = noise(rows, shape, "start"), rows.x.device
    index = torch.full((len(batch),), settings.start_step, device=device)
    z = q_sample(schedule, rows.x, index, start)
    # As in DiME the noise is that of step tau, and the first step back is taken at the one before.
    index -= 1
    scale = torch.full((len(batch),), float(settings.classifier_scale), device=device)
    clean, tries = rows.x.clone(), np.zeros(len(batch), dtype=np.int64)
    calls, left = np.zeros(len(batch)), answered.copy()

    while left.any():
        tile, count = next(tiles(torch.from_numpy(np.flatnonzero(left)[:size]), size))
        meant = tile[:count]
        part, i = rows.take(tile), index[tile]
        prediction = networks.denoise(z[tile], i)
        region = changed_region(part.x, prediction.x0, settings.dilation, settings.threshold)
        estimate = torch.where(region, prediction.x0, part.x)
        shift, odds = gradient(
            networks, part, estimate, z[tile], i, scale[tile], settings, enough=settings.margin
        )
        fresh, outside = _step_noise(part, tries[tile.numpy()], i, shape)
        stepped = _step(guide(prediction, shift), fresh, i, settings.sampling)
        stepped = torch.where(region, stepped, q_sample(schedule, part.x, i - 1, outside))
        calls[meant.numpy()] += 1

        ended = i == 0
        # The last step's state is clean itself.
        clean[meant] = torch.where(ended[:, None, None, None], stepped, estimate)[:count]
        z[meant] = stepped[:count]
        index[meant] -= 1
        reached = odds >= settings.margin
        scale[meant] = torch.where(reached, scale[tile], scale[tile] * settings.boost)[:count]
        reached &= i <= settings.stop_step
        flipped = leads(networks, part, as_bytes(clean[tile])) > 0
        again = torch.from_numpy(tries[tile.numpy()] < settings.restarts).to(device)
        finished = torch.where(ended, flipped | ~again, reached & flipped)[:count]
        left[meant[finished.cpu()].numpy()] = False
        back = meant[(ended[:count] & ~finished).cpu()]
        if len(back):
            tries[back.numpy()] += 1
            index[back] = settings.restart_step
            z[back] = q_sample(schedule, rows.x[back], index[back], start[back])
            index[back] -= 1

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


def nearest(networks: Networks, rows: Rows, clean: Tensor, steps: int, enough: float) -> tuple[Tensor, Tensor]:
    """Returns the nearest image on the straight way from x that is far enough on the target's side.

    Arguments:
        networks: The networks.
        rows: The questions.
        clean: Where the ways lead, images with shape (B, C, H, W).
        steps: How many points of each way are tried; 1: its end only.
        enough: The margin that is far enough.

    Returns:
        The images, uint8 (B, C, H, W): where none is far enough, the end, or, if that has not flipped, the nearest that
        has; and whether they have flipped, (B,).
    """
    best = as_bytes(clean)
    most = leads(networks, rows, best)
    found = torch.zeros_like(most, dtype=torch.bool)
    for step in range(1, steps):
        shown = as_bytes(torch.lerp(rows.x, clean.clamp(-1.0, 1.0), step / steps))
        lead = leads(networks, rows, shown)
        better = ~found & ((lead >= enough) | (most <= 0) & (lead > 0))
        best = torch.where(better[:, None, None, None], shown, best)
        most = torch.where(better, lead, most)
        found |= better
    return best, most > 0


def _step(prediction: Prediction, fresh: Tensor, index: Tensor, sampling: float) -> Tensor:
    """Returns the states one step back, with a share of the noise of ancestral sampling."""
    inside = (index != 0).reshape(-1, *[1] * (fresh.dim() - 1))
    return prediction.mean + inside * sampling * (0.5 * prediction.log_variance).exp() * fresh


def _step_noise(rows: Rows, tries: np.ndarray, index: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns the noise inside and outside of the region, each (B, C, H, W), of each question's step and repetition."""
    drawn = [
        normal([seed], (2, *shape), "outer", int(number), int(step))
        for seed, number, step in zip(rows.seeds.tolist(), tries, index.tolist(), strict=True)
    ]
    return torch.from_numpy(np.concatenate(drawn)).to(rows.x.device).unbind(1)
