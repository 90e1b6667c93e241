r"""Predicts the counterfactual image from abducted latents, with the corrections that the mechanism has.

Given latents z of an image x with parents pa, location m and scale s of the pixels and the counterfactual parents
:math:`\mathrm{pa}^*`,

.. math:: x^* = m(z, \mathrm{pa}^*) + t_u\, s(z, \mathrm{pa}^*)\, \epsilon, \qquad
   \epsilon = \frac{x - m(z, \mathrm{pa})}{s(z, \mathrm{pa})}

(De Sousa Ribeiro et al., 2023, arXiv:2306.15764). A mechanism may have three corrections, each None if it has not:

- `transport` moves the noises of the latents if the class of a categorical parent changes
  (:mod:`counterfactory.models.image.transport`);
- `calibration` changes the continuous parents that the decoder receives
  (:mod:`counterfactory.models.image.calibration`);
- `grey_levels` sets the white level and the peak of the predicted image (:mod:`counterfactory.models.image.levels`).

None of them changes anything where no parent changes, so null interventions stay exact.
"""

from typing import Any

import torch
from torch import Tensor

from ...nets.latents import Latent
from ...nets.likelihood import standardise, unstandardise
from .transport import own_noise

__all__ = ["predict_image"]


def predict_image(
    mechanism: Any,
    x: Tensor,
    parents: Tensor,
    parents_after: Tensor,
    latents: list[Latent],
    mediators: list[Tensor] | None = None,
    residual_temperature: float = 1.0,
    clipped: bool = False,
) -> Tensor:
    r"""Returns the counterfactual image :math:`x^*`, in [-1, 1].

    Arguments:
        mechanism: A trained image mechanism.
        x: Images in [-1, 1], with shape :math:`(B, C, H, W)`.
        parents: The encoded factual parents, with shape :math:`(B, P)`.
        parents_after: The encoded parents that the decoder predicts from, with shape :math:`(B, P)`.
        latents: The abducted latents of each layer.
        mediators: The latents that the decoder predicts from, if they are not the abducted ones.
        residual_temperature: The factor :math:`t_u`.
        clipped: Whether the pixel noise is that of causal-gen (:func:`counterfactory.nets.likelihood.standardise`).
    """
    z = [latent.z for latent in latents]
    location, log_scale = mechanism.predict(z, parents)
    residual = standardise(x, location, log_scale, clipped)
    transport, levels, calibration = mechanism.transport, mechanism.grey_levels, mechanism.calibration
    inputs = parents_after if calibration is None else calibration(parents, parents_after)
    if levels is not None:
        residual = levels.censor(x, residual, parents, parents_after)
    location, log_scale = mechanism.predict(z if mediators is None else mediators, inputs)
    changed = None if transport is None else transport.changed(parents, parents_after)
    if changed is not None and changed.any():
        # Where no class changes, the latents themselves are kept, so that a null intervention stays exact.
        moved = mechanism.generate(inputs, transport(own_noise(latents), parents, parents_after))
        rows = changed[:, None, None, None]
        location, log_scale = (
            torch.where(rows, *pair) for pair in zip(moved, (location, log_scale), strict=True)
        )
    predicted = unstandardise(residual_temperature * residual, location, log_scale, clipped)
    return predicted if levels is None else levels(x, predicted, parents, parents_after)
