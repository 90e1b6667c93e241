r"""CausalDiffAE: counterfactuals by a diffusion autoencoder whose codes follow the causal graph.

1. *Abduction.* The codes z by encoder and causal layer, moved to show the parents that are known; from them the noises
   u; and what they do not say: :math:`x_T`, by inverting the deterministic diffusion *with the factual codes*.
2. *Action.* The code of a variable that is set is moved to its value.
3. *Prediction.* The counterfactual codes :math:`z^*` by the causal layer, and the image by going back from :math:`x_T`
   with these.

(Komanduri et al., "Causal diffusion autoencoders: toward counterfactual generation via diffusion probabilistic models",
ECAI 2024, arXiv:2404.17735; inversion as in DiffAE, Preechakul et al., 2022, arXiv:2111.15640.) Its published code
never inverts: `abduction: noise` takes its random :math:`x_T`, the image under as much noise as there is, which keeps
next to nothing of it; whatever the codes do not say is then drawn anew. Nor does it know parents beside the image:
`labels: read` leaves codes as the encoder reads them. And a code that is set is its label's mean (`action: replace`);
what else it said of the image is lost then, where `action: move` keeps it.

`guidance` w is the dial of strength: :math:`\hat\epsilon = \hat\epsilon_0 + w (\hat\epsilon(z^*) - \hat\epsilon_0)` on
the way back, where :math:`\hat\epsilon_0` is told the factual codes (`guide_from: factual`), so that an intervention
that changes nothing has nothing to exaggerate, or nothing (`null`, classifier-free guidance as published).

`stickiness` s < 1 redraws each entry of :math:`x_T` with probability 1 - s (see :mod:`.stickiness`); the codes' noises
are kept.

With its answers go the factual codes as the encoder reads them, in columns `code_<variable>_<dimension>`: the codes
that :mod:`counterfactory.metrics.dci` scores.

The method's own parents: a variable that is set has its value; one whose code is moved, by its causes, moves as far as
the code's label does; all others stay.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.noise import normal
from ..data.dataset import Dataset, encode_parents, load_dataset
from ..diffusion.denoiser import Network, denoiser
from ..diffusion.guidance import classifier_free
from ..diffusion.schedule import Schedule, respace
from ..diffusion.steps import ddim_decode, ddim_invert, q_sample
from ..models.causaldiffae.model import load_causaldiffae
from ..models.causaldiffae.network import CausalDiffAE
from ..nets.pixels import to_bytes, to_pixels
from . import Answer, Batch, Columns
from .stickiness import Copy, sticky_copy

__all__ = ["counterfactual_codes", "counterfactual_image", "load"]


def counterfactual_codes(
    model: CausalDiffAE,
    read: Tensor,
    parents: Tensor,
    values: Tensor,
    acted: Tensor,
    labels: str = "given",
    action: str = "move",
) -> tuple[Tensor, Tensor]:
    """Returns factual and counterfactual codes, each (B, K, W).

    Arguments:
        model: Trained networks.
        read: The factual codes as the encoder reads them, (B, K, W).
        parents: The factual images' encoded parents (B, P); looked at if `labels` is `given`.
        values: The same with the value of each variable that is set.
        acted: Which variables of which images are set, bool with shape (B, K).
        labels: `given` or `read`.
        action: `move` or `replace`.
    """
    before = model.prior.move(read, parents) if labels == "given" else read
    noises = model.layer.noises(before)
    before = model.layer(noises)  # the same up to rounding, and to the bit what an empty action gives
    do = model.prior.move(before, values) if action == "move" else model.prior(values)[0]
    return before, model.layer(noises, do, acted)


def counterfactual_image(
    network: Network,
    schedule: Schedule,
    x: Tensor,
    before: Tensor,
    after: Tensor,
    noise: Tensor | None = None,
    corrections: int = 0,
    guidance: float = 1.0,
    guide_from: str = "factual",
    copy: Copy | None = None,
) -> Tensor:
    """Returns the counterfactual images, not clipped.

    Arguments:
        network: Predicts noise, told a condition (B, F).
        schedule: The schedule to go by, respaced to as many steps as are wanted.
        x: Images in [-1, 1] with shape (B, C, H, W).
        before: What the network is told of the factual images, (B, F).
        after: What it is told of the counterfactual ones, likewise.
        noise: Standard normal noise, (B, C, H, W), to take instead of inverting.
        corrections: Fixed-point iterations in each step of the inversion.
        guidance: The weight w.
        guide_from: `factual` or `null`: what the direction of guidance starts from.
        copy: The law of the counterfactual start given the abducted one; None keeps it.
    """
    last = len(schedule) - 1
    # Not clipped: what is clipped cannot be inverted.
    plain = denoiser(network, schedule, clip=False, learned=False)
    if noise is None:
        x_t = ddim_invert(plain, schedule, x, last, (before,), corrections)
    else:
        x_t = q_sample(schedule, x, last, noise)
    if copy is not None:
        x_t = copy("start", x_t)
    start = before if guide_from == "factual" else None
    guided = denoiser(
        classifier_free(network, guidance, start, learned=False), schedule, clip=False, learned=False
    )
    return ddim_decode(guided, schedule, x_t, last, (after,))


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Loads the networks and returns the function that answers.

    Raises:
        UserError: If they are missing or damaged, or there are fewer steps in training than asked for.
    """
    dataset, own = load_dataset(data), settings.causaldiffae
    model, schedule = load_causaldiffae(
        models / "causaldiffae" / f"seed{seed}", dataset, device, own.precision
    )
    stickiness = getattr(settings, "stickiness", 1.0)
    schedule = respace(schedule, min(own.steps, len(schedule)))

    @torch.no_grad()
    def answer(batch: Batch) -> tuple[np.ndarray, Columns, Columns]:
        parents = {name: batch.align(values) for name, values in batch.parents.items()}
        do = {name: batch.align(values) for name, values in batch.do.items()}
        acted = np.stack([~np.isnan(do[name]) for name in dataset.names], axis=1)
        values = {name: np.where(np.isnan(do[name]), parents[name], do[name]) for name in dataset.names}
        x = to_pixels(batch.align(batch.images)).to(device)
        told = [torch.from_numpy(encode_parents(dataset, given)).to(device) for given in (parents, values)]
        acts = torch.from_numpy(acted).to(device)
        read = model.layer(model.encoder(x)[0])
        codes = counterfactual_codes(model, read, *told, acts, own.labels, own.action)
        labels = [model.prior.read(one) for one in codes]
        shown = [model.prior.encode(one) for one in labels]
        noise = None
        if own.abduction == "noise":
            drawn = normal(batch.align(batch.seeds), dataset.shape, "forward", batch.step)
            noise = torch.from_numpy(drawn).to(device)
        images = counterfactual_image(
            model.denoiser,
            schedule,
            model.develop(x, shown[0]),
            model.condition(codes[0]),
            model.condition(codes[1]),
            noise,
            own.corrections,
            own.guidance,
            own.guide_from,
            sticky_copy(stickiness, batch.align(batch.seeds), batch.step) if stickiness < 1.0 else None,
        )
        moved = (codes[0] != codes[1]).any(2).cpu().numpy()
        found = [one.cpu().numpy().astype(np.float64) for one in labels]
        own_parents = _parents(dataset, values, acted, moved, *found)
        images = model.expose(images, shown[1])
        seen = read.flatten(1).cpu().numpy().astype(np.float64)
        return (
            batch.pick(to_bytes(images).cpu().numpy()),
            {name: batch.pick(column) for name, column in own_parents.items()},
            dict(zip(answer.columns, batch.pick(seen).T, strict=True)),
        )

    answer.columns = {f"code_{name}_{i}": float for name in dataset.names for i in range(model.prior.width)}
    inversion = 0 if own.abduction == "noise" else len(schedule) * (1 + own.corrections)
    answer.network_calls = 1 + inversion + len(schedule) * (1 if own.guidance == 1.0 else 2)
    return answer


def _parents(
    dataset: Dataset,
    values: dict[str, np.ndarray],
    acted: np.ndarray,
    moved: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
) -> dict[str, np.ndarray]:
    """Returns the parents after the intervention, in physical units; see the module."""
    parents = {}
    for number, variable in enumerate(dataset.variables):
        value = values[variable.name]
        change = moved[:, number] & ~acted[:, number]
        if variable.classes:
            change &= before[:, number] != after[:, number]
            effect = after[:, number]
        else:
            effect = value + 0.5 * (variable.high - variable.low) * (after[:, number] - before[:, number])
        parents[variable.name] = np.where(change, effect, value)
    return parents
