r"""Evidence about generated images: what a classifier reads in :math:`G(z)`, and the noise of a given image.

With a classifier's probability :math:`c_a(x)` of each fact a about an image,

.. math:: \log P(e \mid z) = \sum_{a \in e} \log c_a(G(z))

is the log-likelihood that the samplers (:mod:`.samplers`) take. The sum is over facts that the classifier states one
by one: it treats them as independent given the image. With the classifier's own probabilities an image counts as
evidence of what the classifier hardly believes, in proportion; where the evidence is rare, most of what is drawn is of
that kind. Logits may be sharpened by a factor, :math:`c_a = \sigma(\tau \ell_a)`: for large :math:`\tau` the
evidence is what the classifier *says*.

The noise of an image that was not generated is found by descent,

.. math:: z = \arg\min_z \|x - G(z)\|_1 + \lambda \|z\|^2

from the nearest of a fixed set of draws; a uniform prior is kept to by :math:`z = \tanh a`.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import UserError
from ..scm.noise_kernels import LogLikelihood

__all__ = ["fact_log_probability", "image_log_likelihood", "invert"]


def fact_log_probability(
    logits: Tensor,
    names: Sequence[str],
    categorical: str | None,
    facts: Mapping[str, int],
    sharpness: float = 1.0,
) -> Tensor:
    """Returns the log-probability of facts, in nats, with shape (B,).

    Arguments:
        logits: Logits of A binary attributes and K classes, (B, A + K).
        names: The A binary attributes, in order.
        categorical: The variable whose classes follow, or None.
        facts: For each attribute 0 or 1; for the categorical variable the class.
        sharpness: What logits are multiplied by.

    Raises:
        UserError: If the classifier does not know a fact's name or value.
    """
    logits = sharpness * logits.double()
    total = torch.zeros_like(logits[:, 0])
    for name, value in facts.items():
        if name in names and value in (0, 1):
            logit = logits[:, list(names).index(name)]
            total = total + F.logsigmoid(logit if value else -logit)
        elif name == categorical and 0 <= value < logits.shape[1] - len(names):
            total = total + F.log_softmax(logits[:, len(names) :], 1)[:, value]
        else:
            known = [*names, *([categorical] if categorical else [])]
            raise UserError(f"{name}: {value}: not a fact the classifier knows; it knows {', '.join(known)}")
    return total


def image_log_likelihood(
    generate: Callable[[Tensor], Tensor],
    log_probability: Callable[[Tensor], Tensor],
    device: str = "cpu",
    chunk: int = 64,
) -> LogLikelihood:
    """Returns the log-likelihood of noises, for the samplers.

    Networks always run on whole chunks, so that the shape of their input, which decides their arithmetic, is fixed.

    Arguments:
        generate: The generator, from noises (B, D), float32, to images (B, C, H, W) in [-1, 1].
        log_probability: From images to the log-probability of the evidence, (B,).
        device: Where both run.
        chunk: Images in a network call.
    """

    @torch.no_grad()
    def log_likelihood(noise: np.ndarray) -> np.ndarray:
        count = len(noise)
        padded = np.zeros((-(-count // chunk) * chunk, noise.shape[1]), dtype=np.float32)
        padded[:count] = noise
        parts = torch.from_numpy(padded).to(device).split(chunk)
        values = [log_probability(generate(part)).double().cpu().numpy() for part in parts]
        return np.concatenate(values)[:count]

    return log_likelihood


def invert(
    generate: Callable[[Tensor], Tensor],
    images: Tensor,
    start: Tensor,
    prior: str,
    steps: int = 200,
    rate: float = 0.05,
    weight: float = 1e-3,
    first: Tensor | None = None,
) -> Tensor:
    """Finds the noise of each image by Adam; a row's noise depends on that row alone.

    Arguments:
        generate: The generator, from noises (B, D) to images (B, C, H, W) in [-1, 1], with gradients.
        images: The images, with shape (B, C, H, W).
        start: Draws from the prior, (S, D); each image starts from the one whose image is the nearest.
        prior: `normal`, or `uniform` on [-1, 1], which the noises then stay in.
        steps: Updates.
        rate: The learning rate; it falls to 0 by half a cosine.
        weight: The weight of the mean square of a normal noise.
        first: Another start of each image, (B, D), such as an encoder's; taken where its image is nearer.

    Returns:
        The noises, with shape (B, D), without gradient.
    """
    with torch.no_grad():
        drawn = generate(start).flatten(1)
        away, nearest = torch.cdist(images.flatten(1), drawn, p=1).min(1)
        begin = start[nearest]
        if first is not None:
            better = (generate(first) - images).abs().flatten(1).sum(1) < away
            begin = torch.where(better[:, None], first, begin)
    bounded = prior == "uniform"
    free = begin.clamp(-0.99, 0.99).atanh() if bounded else begin.clone()
    free.requires_grad_(True)
    optimizer = torch.optim.Adam([free], lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for _ in range(steps):
        z = free.tanh() if bounded else free
        error = (generate(z) - images).abs().mean((1, 2, 3))
        if not bounded:
            error = error + weight * z.square().mean(1)
        optimizer.zero_grad()
        error.sum().backward()
        optimizer.step()
        schedule.step()
    return (free.tanh() if bounded else free).detach()
