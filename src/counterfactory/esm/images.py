r"""Evidence about generated images: the log-likelihood by a classifier, and the noise of a given image.

With a classifier's probability :math:`c_a(x)` of each fact a about an image,

.. math:: \log P(e \mid z) = \sum_{a \in e} \log c_a(G(z))

is the log-likelihood for the samplers (:mod:`counterfactory.esm.samplers`). The sum treats the facts as independent
given the image. With the classifier's own probabilities an image can count as evidence although the classifier assigns
it a low probability; if the evidence is rare, most draws are of this kind. The logits can be multiplied by a sharpness,
:math:`c_a = \sigma(\tau \ell_a)`: for large :math:`\tau` the evidence is the classifier's decision.

The noise of an image that was not generated is found by gradient descent,

.. math:: z = \arg\min_z \|x - G(z)\|_1 + \lambda \|z\|^2

from the nearest of a fixed set of draws. For a uniform prior :math:`z = \tanh a`, without the penalty.
"""

from collections.abc import Callable, Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.errors import UserError
from ..scm.noise_kernels import LogLikelihood

__all__ = ["fact_log_probability", "image_log_likelihood", "invert"]

RATE = 0.05
"""The initial learning rate of :func:`invert`; it decreases to 0 by a cosine schedule."""

WEIGHT = 1e-3
"""The weight lambda of the mean square of a normal noise."""


def fact_log_probability(
    logits: Tensor,
    blocks: Mapping[str, slice],
    facts: Mapping[str, int],
    sharpness: float = 1.0,
) -> Tensor:
    """Returns the log-probability of facts, in nats, with shape (B,).

    Arguments:
        logits: Logits of A binary attributes and K classes, (B, A + K).
        blocks: The columns of each output: one for an attribute, one per class for a categorical variable, as
            :attr:`counterfactory.models.classifier.model.AttributeClassifier.blocks`.
        facts: For each attribute 0 or 1; for each categorical variable the class.
        sharpness: The factor on the logits.

    Raises:
        UserError: If a fact's name or value is not predicted by the classifier.
    """
    logits = sharpness * logits.double()
    total = torch.zeros_like(logits[:, 0])
    for name, value in facts.items():
        block = logits[:, blocks.get(name, slice(0))]
        count = block.shape[1]
        if count == 1 and value in (0, 1):
            logit = block[:, 0]
            total = total + F.logsigmoid(logit if value else -logit)
        elif count > 1 and 0 <= value < count:
            total = total + F.log_softmax(block, 1)[:, value]
        else:
            raise UserError(
                f"{name}: {value}: not predicted by the classifier, which predicts {', '.join(blocks)}"
            )
    return total


def image_log_likelihood(
    generate: Callable[[Tensor], Tensor],
    log_probability: Callable[[Tensor], Tensor],
    device: str = "cpu",
    chunk: int = 64,
) -> LogLikelihood:
    """Returns the log-likelihood of noises, a function for the samplers.

    Networks always run on whole chunks, because their arithmetic depends on the shape of the input.

    Arguments:
        generate: The generator, from noises (B, D), float32, to images (B, C, H, W) in [-1, 1].
        log_probability: A function from images to the log-probability of the evidence, (B,), in nats.
        device: The device of both.
        chunk: The number of images in a network call.
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
    first: Tensor | None = None,
) -> Tensor:
    """Finds the noise of each image with Adam; the noise of a row does not depend on the other rows.

    Arguments:
        generate: The generator, from noises (B, D) to images (B, C, H, W) in [-1, 1], with gradients.
        images: The images, with shape (B, C, H, W).
        start: Draws from the prior, (S, D); each image starts from the draw whose image is the nearest.
        prior: `normal`, or `uniform` on [-1, 1], the range of the noises.
        steps: The number of updates.
        first: Another start of each image, (B, D), such as the output of an encoder; used where its image is nearer.

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
    optimizer = torch.optim.Adam([free], lr=RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, steps))
    for _ in range(steps):
        z = free.tanh() if bounded else free
        error = (generate(z) - images).abs().mean((1, 2, 3))
        if not bounded:
            error = error + WEIGHT * z.square().mean(1)
        optimizer.zero_grad()
        error.sum().backward()
        optimizer.step()
        schedule.step()
    return (free.tanh() if bounded else free).detach()
