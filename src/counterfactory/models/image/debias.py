r"""Abducts the latents of an image, less a share of their estimated bias.

After a short training the encoder is biased: the latents that it finds in an image that the decoder made differ
systematically from those that the image was made of. With E(x) the noises of the prior of the abducted latents
(:func:`counterfactory.models.image.transport.own_noise`) and m(u) the location of the pixels, both at the factual
parents, the bias is estimated by abducting from the image that the abducted noises themselves imply,

.. math:: \hat u = E(x), \qquad b = E\big(m(\hat u)\big) - \hat u, \qquad u = \hat u - a\, b .

With a = 1 this is the bias correction of the parametric bootstrap, with one simulated image that has no pixel noise
(Efron & Tibshirani, 1993, An Introduction to the Bootstrap, chapter 10), or one step of the iteration of indirect
inference towards the latents whose image is encoded as x is (Gourieroux, Monfort & Renault, 1993,
doi:10.1002/jae.3950080507). The whole correction also carries more of the factual class into the latents, so that fewer
answers show the class that was set. The share a = 0.5 was chosen on the valid split of Morpho-MNIST.

The pixel noise is abducted with the corrected latents, so a null intervention stays exact. Transport and sharpness are
fitted to latents without the correction, draws from the posterior; the calibration is fitted with it.
"""

from typing import Any

from torch import Tensor

from ...nets.latents import Latent
from .transport import own_noise

__all__ = ["abduct_latents"]


def abduct_latents(
    mechanism: Any, x: Tensor, parents: Tensor, noise: list[Tensor], temperature: float = 1.0
) -> list[Latent]:
    r"""Returns the abducted latents of each layer, corrected by the share `mechanism.debias` of their bias.

    Arguments:
        mechanism: An image mechanism. With a share above 0 its prior must be exogenous.
        x: Images in [-1, 1], with shape :math:`(B, C, H, W)`.
        parents: Their encoded parents, with shape :math:`(B, P)`.
        noise: Standard normal noise ``(B, *shape)`` for each of `mechanism.noise_shapes`. It is used in both
            abductions. At a temperature close to 0 it has hardly any effect on the bias.
        temperature: Factor on the standard deviation of the posterior.
    """
    latents = mechanism.abduct(x, parents, noise, temperature)
    if mechanism.debias == 0:
        return latents
    own = own_noise(latents)
    simulated = mechanism.generate(parents, own)[0].clamp(-1.0, 1.0)
    again = own_noise(mechanism.abduct(simulated, parents, noise, temperature))
    corrected = [u - mechanism.debias * (v - u) for u, v in zip(own, again, strict=True)]
    return mechanism.place(parents, corrected)
