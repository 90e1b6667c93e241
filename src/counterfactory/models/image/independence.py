r"""Exogenous noise that knows nothing of the parents.

In a structural causal model the image's noise is independent of its parents. The ELBO asks for it only in
passing (the mutual information :math:`I(z; \mathrm{pa})` is one small part of the KL divergence), so a
network trained for minutes keeps in :math:`z` what the parents could have told it, and an intervention on
them then changes nothing. Here that part gets a weight of its own,

.. math:: \mathcal{L} = \mathrm{NLL} + \beta\, \mathrm{KL}
          + \frac{\lambda}{D} \sum_k \max\big(0, H_k - \mathrm{CE}_k(z)\big)

where :math:`D` is the number of pixels and an adversary reads variable k, cut into classes of entropy
:math:`H_k`, off the latents with cross-entropy :math:`\mathrm{CE}_k`: :math:`H - \mathrm{CE}` is a lower bound
of :math:`I(z; \mathrm{pa}_k)`. The adversary minimises :math:`\mathrm{CE}` on the same latents (as in
domain-adversarial training, Ganin et al., 2016, arXiv:1505.07818, and fader networks, Lample et al., 2017,
arXiv:1706.00409). Its reading at chance is all that is asked for: beyond it the gradient is zero, so the two
do not chase each other to infinity.

It uses parents and images of the train split, no predictor of attributes and no counterfactual: unlike
counterfactual fine-tuning it does not reward images for looking like the intervention.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...data.dataset import Dataset

__all__ = ["Adversary", "dependence"]


class Adversary(nn.Module):
    """Reads the parents off the latents.

    Arguments:
        dataset: The data set, for its variables.
        parents: The encoded parents of the train split, with shape :math:`(N, P)`; their quantiles cut
            continuous variables, their frequencies say what chance is.
        latents: The number of latents of an image.
        hidden: Width of the first of two hidden layers.
        bins: Classes of a continuous variable.
    """

    def __init__(
        self, dataset: Dataset, parents: Tensor, latents: int, hidden: int = 256, bins: int = 8
    ) -> None:
        super().__init__()
        self.columns, self.classes = [], []
        start = 0
        for variable in dataset.variables:
            categorical = variable.kind == "categorical"
            self.columns.append((start, variable.width, categorical))
            self.classes.append(variable.classes if categorical else bins)
            if not categorical:
                quantiles = torch.arange(1, bins, dtype=parents.dtype) / bins
                self.register_buffer(f"edges{start}", torch.quantile(parents[:, start], quantiles))
            start += variable.width
        counts = [
            torch.bincount(classes, minlength=total).double()
            for classes, total in zip(self.targets(parents), self.classes, strict=True)
        ]
        # Not log K: the cross-entropy of guessing is less where some classes are rare.
        entropies = torch.stack([torch.special.entr(count / count.sum()).sum() for count in counts])
        self.register_buffer("chance", entropies.float())
        self.layers = nn.Sequential(
            nn.Linear(latents, hidden),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden, hidden // 4),
            nn.LeakyReLU(0.1),
            nn.Linear(hidden // 4, sum(self.classes)),
        )

    def targets(self, parents: Tensor) -> list[Tensor]:
        """Returns the class of every variable, each (B,), for encoded parents (B, P)."""
        return [
            parents[:, start : start + width].argmax(1)
            if categorical
            else torch.bucketize(parents[:, start].contiguous(), getattr(self, f"edges{start}"))
            for start, width, categorical in self.columns
        ]

    def forward(self, latents: Tensor, targets: list[Tensor]) -> Tensor:
        """Returns the cross-entropy of every variable, in nats, with shape :math:`(K,)`."""
        logits = self.layers(latents).split(self.classes, dim=1)
        return torch.stack(
            [F.cross_entropy(part, target) for part, target in zip(logits, targets, strict=True)]
        )


def dependence(adversary: Adversary, latents: list[Tensor], parents: Tensor) -> tuple[Tensor, Tensor]:
    """Returns what to add to the loss: the adversary's own error, and what it can read.

    Arguments:
        adversary: The adversary.
        latents: The latents of a batch, a tensor a layer.
        parents: Its encoded parents, with shape :math:`(B, P)`.

    Returns:
        The adversary's summed cross-entropy, whose gradient reaches the adversary only, and a lower bound of
        the information in the latents about the parents, in nats summed over variables, whose gradient
        reaches the latents only.
    """
    with torch.autocast(parents.device.type, enabled=False):
        z = torch.cat([layer.flatten(1) for layer in latents], dim=1).float()
        targets = adversary.targets(parents)
        error = adversary(z.detach(), targets).sum()
        for parameter in adversary.parameters():
            parameter.requires_grad_(False)
        known = (adversary.chance - adversary(z, targets)).clamp(min=0.0).sum()
        for parameter in adversary.parameters():
            parameter.requires_grad_(True)
    return error, known
