r"""The loss of the explained classifier that guides a diffusion, and its gradient.

With the logit :math:`\ell_a` of a binary attribute, or the logits :math:`\ell_k` of the classes of one variable, the
log odds of the target are

.. math:: u = \pm \ell_a \qquad \text{or} \qquad u = \ell_t - \log \sum_{k \ne t} e^{\ell_k},

so that :math:`\sigma(u)` is the probability of the target in both cases, and one loss serves both. Let c be the clean
image estimated from the noisy state z at step i. The loss of the image x and its gradient are

.. math:: L = s\, L_{cls}(c) + \lambda_p \left\| \phi(c) - \phi(x) \right\|_2^2, \qquad
   g = \frac{1}{\sqrt{\bar\alpha_i}} \nabla_c L + \lambda_1 \mathrm{sign}(z - x) + \lambda_2 \frac{z - x}{\|z - x\|}

with :math:`L_{cls} = -u` (`use_logits`) or :math:`-\log \sigma(u)`, the features :math:`\phi` of
:mod:`counterfactory.methods.perceptual`, and the last norm over channels (DiME, Jeanneret et al., 2022,
arXiv:2203.15636). One backward pass computes both terms of L; the features of x are computed once.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..core.noise import normal
from ..diffusion.denoiser import Denoiser
from ..diffusion.schedule import Schedule
from ..models.classifier.model import AttributeClassifier
from ..nets.pixels import to_pixels
from .perceptual import Features

if TYPE_CHECKING:
    from ..config.explainers import ExplainerSettings

__all__ = [
    "Networks",
    "Rows",
    "State",
    "decisions",
    "gradient",
    "leads",
    "log_odds",
    "margin",
    "noise",
    "odds_at",
]


@dataclass(frozen=True)
class Networks:
    """The networks of an explainer.

    Arguments:
        classifier: The explained classifier.
        schedule: The noise schedule, respaced.
        denoise: The denoiser whose estimate of the clean image is clipped to [-1, 1].
        unclipped: The denoiser whose estimate is not clipped.
        features: The perceptual features, or None.
        names: The parents of the data set.
        device: The device of all of them.
    """

    classifier: AttributeClassifier
    schedule: Schedule
    denoise: Denoiser
    unclipped: Denoiser
    features: Features | None
    names: tuple[str, ...]
    device: str


@dataclass(frozen=True)
class Rows:
    """Questions as tensors.

    Arguments:
        x: The images in [-1, 1], with shape (B, C, H, W).
        column: The index of the attribute's logit, or -1 - v for a class of the v-th categorical variable, int64 with
            shape (B,).
        target: The target value (0 or 1) or class, int64 with shape (B,).
        seeds: The seed of each question, int64 with shape (B,), on the CPU.
        features: The perceptual features of x, (B, F); (B, 0) without a perceptual distance.
    """

    x: Tensor
    column: Tensor
    target: Tensor
    seeds: Tensor
    features: Tensor

    def take(self, rows: Tensor) -> "Rows":
        """Returns the questions `rows`, int64 with shape (R,)."""
        return Rows(*(getattr(self, one.name)[rows] for one in fields(self)))


@dataclass(frozen=True)
class State:
    """The state of a walk at one step.

    Arguments:
        clean: The estimated clean images c, with shape (B, C, H, W).
        noisy: The noisy states z, with shape (B, C, H, W).
        index: The step i of each, int64 with shape (B,).
        scale: The classifier scale s, one number or a tensor with shape (B,).
    """

    clean: Tensor
    noisy: Tensor
    index: Tensor
    scale: Tensor | float


def log_odds(
    logits: Tensor, column: Tensor, target: Tensor, attributes: int, classes: Sequence[int] = ()
) -> Tensor:
    """Returns the log odds u of the target, in nats, with shape (B,).

    Arguments:
        logits: The logits of A binary attributes and, variable by variable, of K classes, (B, A + K).
        column: The index of the attribute, or -1 - v for a class of the v-th categorical variable, (B,).
        target: The target value, 0 or 1, or the target class, (B,).
        attributes: The number A.
        classes: The number of classes of each categorical variable, whose sum is K.
    """
    return _odds(logits, column, target, attributes, classes, lambda others: others.logsumexp(1))


def decisions(logits: Tensor, column: Tensor, attributes: int, classes: Sequence[int] = ()) -> Tensor:
    """Returns what the classifier predicts for the attribute or variable of each question, int64 with shape (B,).

    The arguments are those of :func:`log_odds`. The result is 0 or 1 for an attribute, a class for a variable.
    """
    decided = torch.zeros_like(column)
    if attributes:
        binary = logits[:, :attributes].gather(1, column.clamp(min=0)[:, None])[:, 0] > 0
        decided = torch.where(column < 0, decided, binary.long())
    start = attributes
    for number, count in enumerate(classes):
        decided = torch.where(column == -1 - number, logits[:, start : start + count].argmax(1), decided)
        start += count
    return decided


def margin(
    logits: Tensor, column: Tensor, target: Tensor, attributes: int, classes: Sequence[int] = ()
) -> Tensor:
    """Returns the margin of the target, with shape (B,); it is positive where the classifier predicts the target.

    For a class it is the target's logit minus the largest other logit. The arguments are those of :func:`log_odds`.
    """
    return _odds(logits, column, target, attributes, classes, lambda others: others.amax(1))


def _odds(
    logits: Tensor,
    column: Tensor,
    target: Tensor,
    attributes: int,
    classes: Sequence[int],
    rivals: Callable[[Tensor], Tensor],
) -> Tensor:
    sign = 2.0 * target.clamp(0, 1) - 1.0
    odds = torch.zeros_like(logits[:, 0])
    if attributes:
        binary = sign * logits[:, :attributes].gather(1, column.clamp(min=0)[:, None])[:, 0]
        odds = torch.where(column < 0, odds, binary)
    start = attributes
    for number, count in enumerate(classes):
        own, block = column == -1 - number, logits[:, start : start + count]
        # For another variable the class is irrelevant; class 0 stands in.
        chosen = torch.where(own, target, 0)[:, None]
        others = block.scatter(1, chosen, -torch.inf)
        odds = torch.where(own, block.gather(1, chosen)[:, 0] - rivals(others), odds)
        start += count
    return odds


def gradient(
    networks: Networks,
    rows: Rows,
    state: State,
    settings: "ExplainerSettings",
    scale_grads: bool = True,
    enough: Tensor | float = math.inf,
    jitter: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Returns the gradient g that shifts the mean of a step, and the log odds u of the clean images.

    Arguments:
        networks: The networks.
        rows: The questions.
        state: The clean images, the noisy states, their step and the classifier scale.
        settings: The settings `use_logits`, `l_perc`, `l1_loss` and `l2_loss`.
        scale_grads: Whether the gradient at the clean image is divided by :math:`\sqrt{\bar\alpha_i}`.
        enough: The classifier term is dropped where the log odds of the clean image are at least this, (B,) or one
            number.
        jitter: Noise that is added to the clean images before the classifier is evaluated, (K, B, C, H, W). The
            classifier term is the mean over K noisy copies, which makes an adversarial solution less likely.

    Returns:
        The gradient, (B, C, H, W), and u, (B,). The loss is a sum over the batch, so that images are independent.
    """
    with torch.enable_grad():
        clean = state.clean.detach().requires_grad_()
        if jitter is None:
            odds = odds_at(networks, rows, clean)
            pulling = odds
        else:
            with torch.no_grad():
                odds = odds_at(networks, rows, clean)
            pulling = torch.stack([odds_at(networks, rows, clean + one) for one in jitter]).mean(0)
        pulling = torch.where(odds < enough, pulling, pulling.detach())
        loss = state.scale * (-pulling if settings.use_logits else -F.logsigmoid(pulling))
        if networks.features is not None and settings.l_perc:
            loss = loss + settings.l_perc * (networks.features(clean) - rows.features).square().sum(1)
        found = torch.autograd.grad(loss.sum(), clean)[0]
    if scale_grads:
        found = found / networks.schedule.signal(state.index, found)
    away = state.noisy - rows.x
    if settings.l1_loss:
        found = found + settings.l1_loss * away.sign()
    if settings.l2_loss:
        found = found + settings.l2_loss * away / away.norm(dim=1, keepdim=True).clamp(min=1e-12)
    return found, odds.detach()


def odds_at(networks: Networks, rows: Rows, images: Tensor) -> Tensor:
    """Returns the :func:`log_odds` of images in [-1, 1], (B,), differentiable with respect to the images."""
    classifier = networks.classifier
    logits = classifier.logits(images)
    return log_odds(logits, rows.column, rows.target, len(classifier.names), classifier.classes)


def leads(networks: Networks, rows: Rows, images: Tensor) -> Tensor:
    """Returns the :func:`margin` of uint8 images, (B,)."""
    classifier = networks.classifier
    with torch.no_grad():
        logits = classifier.logits(to_pixels(images))
    return margin(logits, rows.column, rows.target, len(classifier.names), classifier.classes)


def noise(rows: Rows, shape: Sequence[int], *names: str | int) -> Tensor:
    """Returns standard normal noise from the stream `names` of each question, float32 ``(B, *shape)``."""
    return torch.from_numpy(normal(rows.seeds.tolist(), shape, *names)).to(rows.x.device)
