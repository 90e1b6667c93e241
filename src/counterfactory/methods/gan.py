r"""The method `gan`: abduction by an encoder, prediction by a conditional generator.

.. math:: z = E(x, \mathrm{pa}), \qquad x^* = G(z, \mathrm{pa}^*)

with :math:`\mathrm{pa}^*` from the mechanisms of the parents (ImageCFGen, Dash et al., 2022, arXiv:2009.08270). The
encoder is deterministic and there is no pixel noise, so that a null intervention returns the reconstruction
:math:`G(E(x, \mathrm{pa}), \mathrm{pa})`.

If the training failed (mode collapse, or a discriminator that is too strong; see
:func:`counterfactory.models.gan.train.failure_signs`), no question is answered, so that the tables contain no scores of
a failed training.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..data.dataset import encode_parents, load_dataset
from ..models.gan.model import load_gan
from ..nets.pixels import to_bytes, to_pixels
from ..scm.fit import load_scm
from . import Answer, Batch
from .stickiness import sticky_copy

__all__ = ["load"]


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Loads the mechanisms of the parents and the networks, and returns the function that answers.

    Raises:
        UserError: If a trained model is missing or damaged.
    """
    dataset = load_dataset(data)
    scm = load_scm(models / "scm" / f"seed{seed}", dataset)
    networks, failures = load_gan(models / "gan" / f"seed{seed}", dataset, device, "gan")

    stickiness = getattr(settings, "stickiness", 1.0)

    def encode(parents: dict[str, np.ndarray]) -> torch.Tensor:
        return torch.from_numpy(encode_parents(dataset, parents)).to(device)

    @torch.no_grad()
    def answer(batch: Batch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        if failures:
            return batch.images, {name: np.full(len(batch), np.nan) for name in dataset.names}
        before = {name: batch.align(values) for name, values in batch.parents.items()}
        do = {name: batch.align(values) for name, values in batch.do.items()}
        seeds = batch.align(batch.seeds)
        after = scm.counterfactual_table(before, do, seeds, stickiness, batch.step)
        z = networks.encode(to_pixels(batch.align(batch.images)).to(device), encode(before))
        z = sticky_copy(stickiness, seeds, batch.step, networks.prior)("latents", z)
        images = to_bytes(networks.generate(z, encode(after))).cpu().numpy()
        return batch.pick(images), {name: batch.pick(values) for name, values in after.items()}

    return Answer(answer, network_calls=2)
