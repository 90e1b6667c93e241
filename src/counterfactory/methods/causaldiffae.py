r"""CausalDiffAE: counterfactuals by a diffusion autoencoder whose codes follow the causal graph.

1. *Abduction.* The encoder and the causal layer give codes z, which are moved to the known parents. The noises u
   follow from the codes. The remaining information is :math:`x_T`, the inversion of the deterministic diffusion
   *conditioned on the factual codes*.
2. *Action.* The code of a variable that is set is moved to the new value.
3. *Prediction.* The causal layer gives the counterfactual codes :math:`z^*`, and the diffusion conditioned on them
   decodes :math:`x_T` to the image.

(Komanduri et al., "Causal diffusion autoencoders: toward counterfactual generation via diffusion probabilistic models",
ECAI 2024, arXiv:2404.17735; inversion as in DiffAE, Preechakul et al., 2022, arXiv:2111.15640.) The published code does
not invert. `abduction: noise` reproduces its random :math:`x_T`, the image noised to the last step, which contains
almost no information about the image; everything that is not in the codes is drawn anew. The published code also does
not use the known parents: `labels: read` keeps the codes of the encoder. A code that is set is the mean of its label
there (`action: replace`), which loses the other information of the code; `action: move` keeps it.

`guidance` w scales the strength of the change in the decoding,

.. math:: \hat\epsilon = \hat\epsilon_0 + w (\hat\epsilon(z^*) - \hat\epsilon_0),

where :math:`\hat\epsilon_0` is conditioned on the factual codes (`guide_from: factual`), so that a null intervention is
not amplified, or unconditional (`null`, classifier-free guidance as in the paper).

`stickiness` s < 1 redraws each entry of :math:`x_T` with probability 1 - s (:mod:`counterfactory.methods.stickiness`);
the noises of the codes are kept.

The answers contain the factual codes of the encoder in columns `code_<variable>_<dimension>`, which
:mod:`counterfactory.metrics.dci` scores.

The method's own parents: a variable that is set has its new value. A variable whose code changes through its causes
changes by as much as the label of its code. All other variables keep their values.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

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

if TYPE_CHECKING:
    from ..config.causaldiffae import CausalDiffAEAnswers

__all__ = ["Decoding", "counterfactual_codes", "counterfactual_image", "load"]


@dataclass(frozen=True)
class Decoding:
    """How images are inverted and decoded; the section `answers.causaldiffae` has the same fields.

    Arguments:
        corrections: Fixed-point iterations in each step of the inversion.
        guidance: The guidance weight w.
        guide_from: The origin of the guidance direction, `factual` or `null`.
    """

    corrections: int = 0
    guidance: float = 1.0
    guide_from: str = "factual"


def counterfactual_codes(
    model: CausalDiffAE,
    read: Tensor,
    parents: Tensor,
    values: Tensor,
    acted: Tensor,
    labels: str = "given",
    action: str = "move",
) -> tuple[Tensor, Tensor]:
    """Returns the factual and the counterfactual codes, each with shape (B, K, W).

    Arguments:
        model: The trained networks.
        read: The codes of the factual images from the encoder, (B, K, W).
        parents: The encoded parents of the factual images, (B, P); used if `labels` is `given`.
        values: The encoded parents with the values of the intervention, (B, P).
        acted: Which variables are set, bool with shape (B, K).
        labels: `given` or `read`.
        action: `move` or `replace`.
    """
    before = model.prior.move(read, parents) if labels == "given" else read
    noises = model.layer.noises(before)
    before = model.layer(noises)  # equal up to rounding, and bit for bit the result of a null intervention
    do = model.prior.move(before, values) if action == "move" else model.prior(values)[0]
    return before, model.layer(noises, do, acted)


def counterfactual_image(
    network: Network,
    schedule: Schedule,
    x: Tensor,
    conditions: tuple[Tensor, Tensor],
    settings: "Decoding | CausalDiffAEAnswers",
    noise: Tensor | None = None,
    copy: Copy | None = None,
) -> Tensor:
    """Returns the counterfactual images, not clipped, with shape (B, C, H, W).

    Arguments:
        network: The network that predicts noise, conditioned on (B, F).
        schedule: The noise schedule, respaced to the number of steps.
        x: Images in [-1, 1] with shape (B, C, H, W).
        conditions: The conditions of the factual and of the counterfactual images, each with shape (B, F).
        settings: The settings `corrections`, `guidance` and `guide_from`.
        noise: Standard normal noise, (B, C, H, W), used instead of the inversion.
        copy: The law of the counterfactual :math:`x_T` given the abducted one; None keeps it.
    """
    before, after = conditions
    last = len(schedule) - 1
    # Not clipped, because clipping is not invertible.
    plain = denoiser(network, schedule, clip=False, learned=False)
    if noise is None:
        x_t = ddim_invert(plain, schedule, x, last, (before,), settings.corrections)
    else:
        x_t = q_sample(schedule, x, last, noise)
    if copy is not None:
        x_t = copy("start", x_t)
    start = before if settings.guide_from == "factual" else None
    guided = denoiser(
        classifier_free(network, settings.guidance, start, learned=False), schedule, clip=False, learned=False
    )
    return ddim_decode(guided, schedule, x_t, last, (after,))


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Loads the networks and returns the function that answers.

    Raises:
        UserError: If a network is missing or damaged.
    """
    dataset, own = load_dataset(data), settings.causaldiffae
    model, schedule = load_causaldiffae(
        models / "causaldiffae" / f"seed{seed}", dataset, device, own.precision
    )
    stickiness = getattr(settings, "stickiness", 1.0)
    schedule = respace(schedule, min(own.steps, len(schedule)))
    code_names = [f"code_{name}_{i}" for name in dataset.names for i in range(model.prior.width)]

    @torch.no_grad()
    def answer(batch: Batch) -> tuple[np.ndarray, Columns, Columns]:
        parents = {name: batch.align(values) for name, values in batch.parents.items()}
        do = {name: batch.align(values) for name, values in batch.do.items()}
        acted = np.stack([~np.isnan(do[name]) for name in dataset.names], axis=1)
        values = {name: np.where(np.isnan(do[name]), parents[name], do[name]) for name in dataset.names}
        x = to_pixels(batch.align(batch.images)).to(device)
        before, after = (
            torch.from_numpy(encode_parents(dataset, one)).to(device) for one in (parents, values)
        )
        acts = torch.from_numpy(acted).to(device)
        read = model.layer(model.encoder(x)[0])
        codes = counterfactual_codes(model, read, before, after, acts, own.labels, own.action)
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
            (model.condition(codes[0]), model.condition(codes[1])),
            own,
            noise,
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
            dict(zip(code_names, batch.pick(seen).T, strict=True)),
        )

    inversion = 0 if own.abduction == "noise" else len(schedule) * (1 + own.corrections)
    calls = 1 + inversion + len(schedule) * (1 if own.guidance == 1.0 else 2)
    return Answer(answer, network_calls=calls, columns=dict.fromkeys(code_names, float))


def _parents(
    dataset: Dataset,
    values: dict[str, np.ndarray],
    acted: np.ndarray,
    moved: np.ndarray,
    before: np.ndarray,
    after: np.ndarray,
) -> dict[str, np.ndarray]:
    """Returns the parents after the intervention, in physical units, as described at the top of this module."""
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
