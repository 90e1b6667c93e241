r"""Deep structural causal models: abduction, action and prediction with a learned image mechanism.

The methods `vae`, `hvae` and their fine-tuned versions `vae_ft` and `hvae_ft` differ only in the image mechanism. Given
an image x, its parents pa and an intervention do(pa_k = v):

1. *Abduction.* The exogenous noises of the parents are found by inverting their mechanisms. The noises of the image are
   :math:`z \sim q(z \mid x, \mathrm{pa})` and :math:`\epsilon = (x - m(z, \mathrm{pa})) / s(z, \mathrm{pa})`.
2. *Action.* pa_k is set to v and its mechanism is removed.
3. *Prediction.* The mechanisms give :math:`\mathrm{pa}^*` from the noises, then
   :math:`x^* = m(z, \mathrm{pa}^*) + t_u\, s(z, \mathrm{pa}^*)\, \epsilon`.

(Pawlowski et al., 2020, arXiv:2006.06485; De Sousa Ribeiro et al., 2023, arXiv:2306.15764.) `latent_temperature` scales
the standard deviation of the posterior in step 1; `residual_temperature` is :math:`t_u`. Both are 1 in Pearl's
definition; `temperatures` has those of single models. With :math:`t_u = 1` a null intervention returns the image
itself. The evaluation of causal-gen uses 0.1 for both, except that its simple VAE ignores the temperature of the
latents, so that its composition error is the reconstruction error of the model. The method `hvae_reduced` is `hvae`
with a residual temperature of its own (by default 0.1): on photographs, :math:`t_u = 1` carries over most of the image,
which makes composition exact and hides the effect of an intervention.

The latents may be corrected for the bias of the encoder (:mod:`counterfactory.models.image.debias`). The corrections of
a prediction, `transport`, `calibration` and `grey_levels`, are those of
:mod:`counterfactory.models.image.prediction`.

`stickiness` s < 1 redraws each abducted noise, of parents, latents and pixels, with probability 1 - s
(:mod:`counterfactory.methods.stickiness`). The noises of the latents are then
:math:`(z_l - \mu_l(z_{<l})) / \sigma_l(z_{<l})`, which a transport moves before any is redrawn. The noises of the grey
levels (:mod:`counterfactory.models.image.levels`) are together one noise of the image. Where it is kept, `grey_levels`
and `calibration` apply. Where it is redrawn, the levels are those of the predicted image, and neither applies. With
s = 0 the answer therefore depends neither on the factual image nor on its parents.

If the prior is conditional, :math:`z` is a mediator and three effects are defined: `direct` predicts from
:math:`(z, \mathrm{pa}^*)`, `indirect` from :math:`(z^*, \mathrm{pa})` and `total` from
:math:`(z^*, \mathrm{pa}^*)`. With an exogenous prior :math:`z^* = z`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..core.errors import UserError
from ..core.noise import normal
from ..data.dataset import encode_parents, load_dataset
from ..models.image.debias import abduct_latents
from ..models.image.hvae import Hvae
from ..models.image.model import load_image_mechanism
from ..models.image.prediction import predict_image
from ..models.image.transport import own_noise
from ..models.image.vae import Vae
from ..nets.latents import Latent
from ..nets.likelihood import standardise, unstandardise
from ..nets.pixels import to_bytes, to_pixels
from ..scm.fit import load_scm
from . import Answer, Batch
from .registry import METHODS
from .stickiness import Copy, kept_rows, sticky_copy

if TYPE_CHECKING:
    from ..config.answers import AnswersSettings

__all__ = ["Pearl", "SecondDraw", "counterfactual_image", "load"]


@dataclass(frozen=True)
class Pearl:
    """How an image is abducted and predicted; by default as in Pearl's definition. `answers` has the same settings.

    Arguments:
        latent_temperature: Factor on the standard deviation of the posterior.
        residual_temperature: Factor :math:`t_u` on the abducted pixel noise.
        effect: `direct`, `indirect` or `total`.
        mediator_weight: The weight of the factual posterior in the counterfactual mediator.
        residual: `censored`, or `clipped` as in causal-gen (:func:`counterfactory.nets.likelihood.standardise`).
        mediator_variance: `squared`, or `linear` as in the code of causal-gen's simple VAE
            (:func:`counterfactory.nets.latents.mix`).
        mediator_draws: `kept`, or `fresh`: the mediator is computed from a second draw of the posterior, at its own
            standard deviation, and from draws of the prior, as in the evaluation of causal-gen.
    """

    latent_temperature: float = 1.0
    residual_temperature: float = 1.0
    effect: str = "direct"
    mediator_weight: float = 0.5
    residual: str = "censored"
    mediator_variance: str = "squared"
    mediator_draws: str = "kept"


class SecondDraw(NamedTuple):
    """Standard normal noise of a mediator that is drawn anew, with the shapes `noise_shapes` of the mechanism.

    Arguments:
        posterior: The noise of a second draw of the latents.
        prior: The noise of draws from the prior under the counterfactual parents.
    """

    posterior: list[Tensor]
    prior: list[Tensor]


@torch.no_grad()
def counterfactual_image(
    mechanism: Vae | Hvae,
    x: Tensor,
    parents: Tensor,
    parents_after: Tensor,
    noise: list[Tensor],
    settings: "Pearl | AnswersSettings" = Pearl(),
    copy: Copy | None = None,
    second: "SecondDraw | None" = None,
) -> Tensor:
    r"""Returns the counterfactual image :math:`x^*`, in [-1, 1].

    Arguments:
        mechanism: A trained image mechanism.
        x: Images in [-1, 1], with shape :math:`(B, C, H, W)`.
        parents: The encoded factual parents, with shape :math:`(B, P)`.
        parents_after: The encoded counterfactual parents, with shape :math:`(B, P)`.
        noise: Standard normal noise for the latents, with shapes `mechanism.noise_shapes`.
        settings: The settings that :class:`Pearl` lists.
        copy: The law of the counterfactual noises given the abducted ones; by default the noises are kept. Requires
            a mechanism with an exogenous prior.
        second: The noise of `mediator_draws: fresh`; None: the noises of the abducted latents are kept.
    """
    latents = abduct_latents(mechanism, x, parents, noise, settings.latent_temperature)
    clipped = getattr(settings, "residual", "censored") == "clipped"
    if copy is not None:
        temperature = settings.residual_temperature
        return _redrawn(mechanism, x, parents, parents_after, latents, copy, temperature, clipped)
    mediators = None
    if settings.effect != "direct":
        linear = getattr(settings, "mediator_variance", "squared") == "linear"
        again = latents if second is None else mechanism.abduct(x, parents, second.posterior)
        prior_noise = None if second is None else second.prior
        mediators = mechanism.mediate(again, parents_after, settings.mediator_weight, linear, prior_noise)
    return predict_image(
        mechanism,
        x,
        parents,
        parents if settings.effect == "indirect" else parents_after,
        latents,
        mediators,
        settings.residual_temperature,
        clipped,
    )


def _redrawn(
    mechanism: Any,
    x: Tensor,
    parents: Tensor,
    parents_after: Tensor,
    latents: list[Latent],
    copy: Copy,
    temperature: float,
    clipped: bool,
) -> Tensor:
    """Returns the counterfactual image of which `copy` redraws some noises; the arguments are those above."""
    transport, levels, calibration = mechanism.transport, mechanism.grey_levels, mechanism.calibration
    location, log_scale = mechanism.predict([latent.z for latent in latents], parents)
    residual = standardise(x, location, log_scale, clipped)
    own, inputs = own_noise(latents), parents_after
    if transport is not None:
        own = transport(own, parents, parents_after)
    redrawn = [copy(f"latents {number}", u) for number, u in enumerate(own)]
    kept = kept_rows(copy, "levels", x)[:, None, None, None]
    if calibration is not None:
        inputs = torch.where(kept[:, 0, 0], calibration(parents, parents_after), parents_after)
    if levels is not None:
        residual = torch.where(kept, levels.censor(x, residual, parents, parents_after), residual)
    location, log_scale = mechanism.generate(inputs, redrawn)
    predicted = unstandardise(temperature * copy("pixels", residual), location, log_scale, clipped)
    if levels is None:
        return predicted
    return torch.where(kept, levels(x, predicted, parents, parents_after), predicted)


def _with_own_temperatures(settings: Any, model: str) -> Any:
    """Returns the settings `answers` with the temperatures that `answers.temperatures` has for a model."""
    own = getattr(settings, "temperatures", {}).get(model)
    if own is None:
        return settings
    found = {"latent_temperature": own.latents, "residual_temperature": own.residual}
    return settings.model_copy(update={key: value for key, value in found.items() if value is not None})


def load(name: str, seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Loads the mechanisms of the parents and the image mechanism, and returns the function that answers.

    The image mechanism is the trained model that the method's line in the registry names.

    Raises:
        UserError: If a trained model is missing or damaged, or `stickiness` does not fit its prior.
    """
    [model] = METHODS[name].models
    settings = _with_own_temperatures(settings, model)
    if section := METHODS[name].section:
        own = getattr(settings, section).residual_temperature
        settings = settings.model_copy(update={"residual_temperature": own})
    dataset = load_dataset(data)
    scm = load_scm(models / "scm" / f"seed{seed}", dataset)
    mechanism = load_image_mechanism(models / model / f"seed{seed}", dataset, device, model)
    stickiness = getattr(settings, "stickiness", 1.0)
    if stickiness < 1.0 and mechanism.mediated:
        raise UserError(
            f"answers.stickiness: a value below 1 requires models.{model}.network.prior: exogenous; set both"
        )
    mediated = settings.effect != "direct" and mechanism.mediated
    fresh = mediated and getattr(settings, "mediator_draws", "kept") == "fresh"
    sizes = [int(np.prod(shape)) for shape in mechanism.noise_shapes]

    def encode(parents: dict[str, np.ndarray]) -> Tensor:
        return torch.from_numpy(encode_parents(dataset, parents)).to(device)

    def answer(batch: Batch) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        before = {name: batch.align(values) for name, values in batch.parents.items()}
        do = {name: batch.align(values) for name, values in batch.do.items()}
        seeds = batch.align(batch.seeds)
        after = scm.counterfactual_table(before, do, seeds, stickiness, batch.step)

        def noise_of(stream: str) -> list[Tensor]:
            # One draw per question, split into layers: the noise does not depend on the batch.
            flat = torch.from_numpy(normal(seeds, (sum(sizes),), stream, batch.step)).to(device)
            parts = zip(flat.split(sizes, 1), mechanism.noise_shapes, strict=True)
            return [part.unflatten(1, shape) for part, shape in parts]

        second = SecondDraw(noise_of("mediator"), noise_of("prior")) if fresh else None
        x = counterfactual_image(
            mechanism,
            to_pixels(batch.align(batch.images)).to(device),
            encode(before),
            encode(after),
            noise_of("latents"),
            settings,
            sticky_copy(stickiness, seeds, batch.step) if stickiness < 1.0 else None,
            second,
        )
        images = to_bytes(x).cpu().numpy()
        return batch.pick(images), {name: batch.pick(values) for name, values in after.items()}

    # Abduction, factual prediction and counterfactual prediction (with mediation: one more; with a second draw two
    # more; with a transport one more). The bias is corrected by a prediction, an abduction, and in a hierarchy the pass
    # that places the latents.
    calls = 3 if not mediated else 6 if fresh else 4
    calls += int(mechanism.transport is not None)
    if mechanism.debias:
        calls += 3 if isinstance(mechanism, Hvae) else 2
    return Answer(answer, network_calls=calls)
