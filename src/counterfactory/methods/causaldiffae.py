r"""CausalDiffAE: counterfactuals by a diffusion autoencoder whose codes follow the causal graph.

1. *Abduction.* The codes' noises :math:`u = \mu(x)` by the encoder, the factual codes z by the causal layer, and what
   they do not say: :math:`x_T`, by inverting the deterministic diffusion *with the factual codes*.
2. *Action.* The code of a variable that is set becomes the code of its value.
3. *Prediction.* The counterfactual codes :math:`z^*` by the causal layer, and the image by going back from :math:`x_T`
   with these.

(Komanduri et al., "Causal diffusion autoencoders: toward counterfactual generation via diffusion probabilistic models",
ECAI 2024, arXiv:2404.17735; inversion as in DiffAE, Preechakul et al., 2022, arXiv:2111.15640.) Its published code
never inverts: `abduction: noise` takes its random :math:`x_T`, the image under as much noise as there is, which keeps
next to nothing of it; whatever the codes do not say is then drawn anew.

`guidance` w is the dial of strength: :math:`\hat\epsilon = \hat\epsilon_0 + w (\hat\epsilon(z^*) - \hat\epsilon_0)` on
the way back, where :math:`\hat\epsilon_0` is told the factual codes (`guide_from: factual`), so that an intervention
that changes nothing has nothing to exaggerate, or nothing (`null`, classifier-free guidance as published).

`stickiness` s < 1 redraws each entry of :math:`x_T` with probability 1 - s (see :mod:`.stickiness`); the codes' noises
are kept.

The method's own parents: a variable that is set has its value; one whose code is moved, by its causes, moves as far as
the code's label does; all others stay.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..data.dataset import Dataset, encode_parents, load_dataset
from ..diffusion.denoiser import Network, denoiser
from ..diffusion.guidance import classifier_free
from ..diffusion.schedule import Schedule, respace
from ..diffusion.steps import ddim_decode, ddim_invert, q_sample
from ..nets.diffusion_autoencoder import DiffusionAutoencoder, condition_of
from ..nets.pixels import to_bytes, to_pixels
from ..noise import normal
from ..training.diffusion_autoencoder import load_autoencoder
from . import Answer, Batch
from .stickiness import Copy, copying

__all__ = ["counterfactual_codes", "counterfactual_image", "load"]


def counterfactual_codes(
    model: DiffusionAutoencoder, x: Tensor, values: Tensor, acted: Tensor
) -> tuple[Tensor, Tensor]:
    """Returns factual and counterfactual codes, each (B, K, W).

    Arguments:
        model: Trained networks.
        x: Images in [-1, 1] with shape (B, C, H, W).
        values: Encoded parents (B, P), in which the variables that are set have their value.
        acted: Which variables of which images are set, bool with shape (B, K).
    """
    noises, _ = model.encoder(x)
    return model.layer(noises), model.layer(noises, model.prior(values)[0], acted)


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


def load(seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Loads the networks and returns the function that answers.

    Raises:
        UserError: If they are missing or damaged, or there are fewer steps in training than asked for.
    """
    dataset, own = load_dataset(data), settings.causaldiffae
    model, schedule = load_autoencoder(
        models / "causaldiffae" / f"seed{seed}", dataset, device, own.precision
    )
    stickiness = getattr(settings, "stickiness", 1.0)
    schedule = respace(schedule, min(own.steps, len(schedule)))

    @torch.no_grad()
    def answer(batch: Batch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        parents = {name: batch.align(values) for name, values in batch.parents.items()}
        do = {name: batch.align(values) for name, values in batch.do.items()}
        acted = np.stack([~np.isnan(do[name]) for name in dataset.names], axis=1)
        values = {name: np.where(np.isnan(do[name]), parents[name], do[name]) for name in dataset.names}
        x = to_pixels(batch.align(batch.images)).to(device)
        encoded = torch.from_numpy(encode_parents(dataset, values)).to(device)
        before, after = counterfactual_codes(model, x, encoded, torch.from_numpy(acted).to(device))
        noise = None
        if own.abduction == "noise":
            drawn = normal(batch.align(batch.seeds), dataset.shape, "forward", batch.step)
            noise = torch.from_numpy(drawn).to(device)
        images = counterfactual_image(
            model.denoiser,
            schedule,
            x,
            condition_of(before),
            condition_of(after),
            noise,
            own.corrections,
            own.guidance,
            own.guide_from,
            copying(stickiness, batch.align(batch.seeds), batch.step) if stickiness < 1.0 else None,
        )
        labels = [model.prior.read(codes).cpu().numpy().astype(np.float64) for codes in (before, after)]
        moved = (before != after).any(2).cpu().numpy()
        own_parents = _parents(dataset, values, acted, moved, *labels)
        return batch.pick(to_bytes(images).cpu().numpy()), {
            name: batch.pick(column) for name, column in own_parents.items()
        }

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
