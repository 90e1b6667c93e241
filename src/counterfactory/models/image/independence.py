r"""Adversarial penalty on the information about the parents in the latents.

In a structural causal model the exogenous noise of the image is independent of its parents. The ELBO enforces this only
weakly, because the mutual information :math:`I(z; \mathrm{pa})` is a small part of the KL divergence. After a short
training, :math:`z` then still contains information that the parents provide, and an intervention on the parents has
little effect. This penalty has a weight :math:`\lambda` of its own,

.. math:: \mathcal{L} = \mathrm{NLL} + \beta\, \mathrm{KL}
          + \frac{\lambda}{D} \sum_k \max\big(0, H_k - \mathrm{CE}_k(z)\big)

where :math:`D` is the number of pixels. An adversary predicts variable k from the latents; continuous variables are
binned into classes. :math:`\mathrm{CE}_k` is its cross-entropy and :math:`H_k` the entropy of the classes, so that
:math:`H_k - \mathrm{CE}_k` is a lower bound of :math:`I(z; \mathrm{pa}_k)`. The adversary minimises
:math:`\mathrm{CE}` on the same latents, as in domain-adversarial training (Ganin et al., 2016, arXiv:1505.07818) and
fader networks (Lample et al., 2017, arXiv:1706.00409). The penalty and its gradient are zero when the adversary is at
chance, which keeps the training stable.

The penalty uses parents and images of the train split, and neither a predictor of attributes nor counterfactuals.
Unlike counterfactual fine-tuning, it does not reward images for the visible effect of an intervention.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...data.dataset import Dataset, variable_columns

__all__ = ["Adversary", "dependence"]


class Adversary(nn.Module):
    """Predicts the class of every parent from the latents.

    Arguments:
        dataset: The data set, for its variables.
        parents: The encoded parents of the train split, with shape :math:`(N, P)`. Their quantiles are the bin edges
            of continuous variables, and their frequencies determine the entropies.
        latents: The number of latent values of an image.
        hidden: Width of the first hidden layer; the second has a quarter of it.
        bins: The number of classes of a continuous variable.
    """

    def __init__(
        self, dataset: Dataset, parents: Tensor, latents: int, hidden: int = 256, bins: int = 8
    ) -> None:
        super().__init__()
        self.columns, self.classes = [], []
        for variable, columns in zip(dataset.variables, variable_columns(dataset), strict=True):
            categorical = variable.kind == "categorical"
            self.columns.append((columns, categorical))
            self.classes.append(variable.classes if categorical else bins)
            if not categorical:
                quantiles = torch.arange(1, bins, dtype=parents.dtype) / bins
                self.register_buffer(
                    f"edges{columns.start}", torch.quantile(parents[:, columns.start], quantiles)
                )
        counts = [
            torch.bincount(classes, minlength=total).double()
            for classes, total in zip(self.targets(parents), self.classes, strict=True)
        ]
        # The entropy is less than the logarithm of the number of classes if these are not equally frequent.
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
        """Returns the class of each variable, a list of K tensors (B,), for encoded parents (B, P)."""
        return [
            parents[:, columns].argmax(1)
            if categorical
            else torch.bucketize(
                parents[:, columns.start].contiguous(), getattr(self, f"edges{columns.start}")
            )
            for columns, categorical in self.columns
        ]

    def forward(self, latents: Tensor, targets: list[Tensor]) -> Tensor:
        """Returns the mean cross-entropy of each variable in nats, with shape :math:`(K,)`."""
        logits = self.layers(latents).split(self.classes, dim=1)
        return torch.stack(
            [F.cross_entropy(part, target) for part, target in zip(logits, targets, strict=True)]
        )


def dependence(adversary: Adversary, latents: list[Tensor], parents: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the loss of the adversary and the information it finds in the latents.

    Arguments:
        adversary: The adversary.
        latents: The latents of a batch, one tensor for each layer.
        parents: The encoded parents, with shape :math:`(B, P)`.

    Returns:
        The cross-entropy, summed over variables, with gradients for the adversary only; and the lower bound of the
        information about the parents, in nats summed over variables, with gradients for the latents only.
    """
    with torch.autocast(parents.device.type, enabled=False):
        z = torch.cat([layer.flatten(1) for layer in latents], dim=1).float()
        targets = adversary.targets(parents)
        error = adversary(z.detach(), targets).sum()
        for parameter in adversary.parameters():
            parameter.requires_grad_(False)
        information = (adversary.chance - adversary(z, targets)).clamp(min=0.0).sum()
        for parameter in adversary.parameters():
            parameter.requires_grad_(True)
    return error, information
