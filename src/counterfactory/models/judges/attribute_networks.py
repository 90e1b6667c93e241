"""The networks of counterfactual-benchmark that predict one binary attribute of a face (CelebA).

(Melistas et al., 2024, arXiv:2403.20287.) Both average the last feature maps over all pixels and end with one logit::

    simple:  conv 3, 16 | conv 3 /2, 32 | conv 3, 32 | conv 3 /2, 64 | conv 3, 64 | conv 3 /2, 128 | mean
             | linear 128 | linear 1, with batch normalization and ReLU after all layers but the last
    complex: conv 3, 8 | max 2 | conv 3, 16 | max 2 | conv 3, 32 | conv 3, 32 | max 2 | mean | (context)
             | linear 64 | linear 1, with ReLU, without padding

`simple` predicts Smiling and Eyeglasses. `complex` predicts No_Beard and Bald without context, and Young and Male with
No_Beard and Bald as context. The images are in [0, 1], the context in {0, 1}.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution

__all__ = ["AttributeNetwork"]

_SIMPLE = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2))
"""Channels and stride of the convolutions of `simple`."""

_COMPLEX = ((8, True), (16, True), (32, False), (32, True))
"""Channels of the convolutions of `complex`, and whether a maximum over 2 x 2 px follows."""


def _simple(channels: int) -> tuple[list[nn.Module], list[nn.Module]]:
    layers: list[nn.Module] = []
    for outputs, stride in _SIMPLE:
        layers += [nn.Conv2d(channels, outputs, 3, stride, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
        channels = outputs
    return layers, [
        nn.Linear(channels, channels),
        nn.BatchNorm1d(channels),
        nn.ReLU(),
        nn.Linear(channels, 1),
    ]


def _complex(channels: int, context: int) -> tuple[list[nn.Module], list[nn.Module]]:
    layers: list[nn.Module] = []
    for outputs, pooled in _COMPLEX:
        layers += [nn.Conv2d(channels, outputs, 3), nn.ReLU(), *([nn.MaxPool2d(2)] if pooled else [])]
        channels = outputs
    return layers, [nn.Linear(channels + context, 64), nn.ReLU(), nn.Identity(), nn.Linear(64, 1)]


class AttributeNetwork(nn.Module):
    """Predicts a variable of two classes from an image, and optionally from other such variables.

    The modules `cnn` and `fc` have the names and numbers of the published ones.

    Arguments:
        architecture: `simple` or `complex`.
        channels: The number C of channels of an image.
        columns: The columns of the encoded context, in the order in which the network receives them; empty: none.
    """

    def __init__(
        self, architecture: Literal["simple", "complex"], channels: int = 3, columns: Sequence[int] = ()
    ) -> None:
        super().__init__()
        self.columns = list(columns)
        layers, head = _simple(channels) if architecture == "simple" else _complex(channels, len(columns))
        self.cnn, self.fc = nn.Sequential(*layers), nn.Sequential(*head)

    def logit(self, images: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns the logit (B, 1) of images in [0, 1], (B, C, H, W), and context in {0, 1}, (B, K)."""
        pooled = self.cnn(images).mean((2, 3))
        return self.fc(pooled if context is None else torch.cat([pooled, context], 1))

    def forward(self, images: Tensor, context: Tensor | None = None) -> Distribution:
        """Returns the predicted distribution, over the classes 0 and 1.

        Arguments:
            images: Images in [-1, 1], with shape (B, C, H, W).
            context: The encoded variables of the context, with shape (B, K); None if there is none.
        """
        chosen = None if context is None else context[:, self.columns]
        logit = self.logit(0.5 * (images + 1.0), chosen)
        return Categorical(logits=torch.cat([torch.zeros_like(logit), logit], 1), validate_args=False)
