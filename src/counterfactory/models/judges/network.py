r"""The convolutional predictor of one parent from an image, :math:`q(\mathrm{pa}_k \mid x)`.

It reads a cause from its effect, against the causal direction, hence *anticausal*. The network is that of
De Sousa Ribeiro et al. (2023, arXiv:2306.15764) for 32 x 32 images, with W channels at its root:

    conv 7, W | conv 3 /2, 2W | conv 3, 2W | conv 3 /2, 4W | conv 3, 4W | conv 3 /2, 8W | mean over pixels
    | (context) | linear 8W | linear out

each layer but the last without bias and followed by batch normalisation and a leaky ReLU. The head gives a
normal distribution of a continuous parent in network units, where its range is [-1, 1],

.. math:: q(t \mid x) = \mathcal{N}\big(\tanh(a),\ \mathrm{softplus}(b) + \sigma_0\big)

and a categorical distribution of a categorical one.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Normal
from torch.nn import functional as F

__all__ = ["JudgeNetwork"]

SLOPE = 0.1  # of the leaky ReLU below zero
SCALE_FLOOR = 1e-3  # of the normal's scale, in network units; keeps the likelihood bounded


def _convolution(inputs: int, outputs: int, kernel: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(SLOPE, inplace=True),
    )


class JudgeNetwork(nn.Module):
    """Predicts one parent from an image, and optionally from other parents.

    Arguments:
        channels: The image's channels C.
        classes: The number of classes of a categorical parent, or 0 for a continuous one.
        width: The channels W after the first layer; 8 as published.
        context: The width K of the parents given beside the image; 0 for none.
    """

    def __init__(self, channels: int, classes: int = 0, width: int = 8, context: int = 0) -> None:
        super().__init__()
        self.classes, self.context = classes, context
        widths = [width, 2 * width, 2 * width, 4 * width, 4 * width, 8 * width]
        strides = [1, 2, 1, 2, 1, 2]
        layers = []
        for number, (outputs, stride) in enumerate(zip(widths, strides, strict=True)):
            layers.append(_convolution(channels, outputs, 3 if number else 7, stride))
            channels = outputs
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(channels + context, channels, bias=False),
            nn.BatchNorm1d(channels),
            nn.LeakyReLU(SLOPE, inplace=True),
            nn.Linear(channels, classes or 2),
        )

    def forward(self, images: Tensor, context: Tensor | None = None) -> Distribution:
        """Returns the distribution of the parent.

        Arguments:
            images: Images in [-1, 1], with shape (B, C, H, W).
            context: Other parents as networks see them, with shape (B, K); only where `context` is not 0.

        Returns:
            :class:`Normal` of batch shape (B,) in network units, or :class:`Categorical` of batch shape (B,).

        Raises:
            ValueError: If context is missing or not wanted.
        """
        if (context is not None) != (self.context > 0):
            raise ValueError(f"this predictor takes {self.context or 'no'} columns of context")
        pooled = self.trunk(images).mean((2, 3))  # (B, 8W)
        if context is not None:
            pooled = torch.cat([pooled, context], 1)
        # Full precision from here on, also under autocast: bfloat16 knows intensity to a grey level at best.
        with torch.autocast(images.device.type, enabled=False):
            outputs = self.head(pooled.float())
        if self.classes:
            return Categorical(logits=outputs, validate_args=False)
        loc, scale = outputs.unbind(1)
        return Normal(loc.tanh(), F.softplus(scale) + SCALE_FLOOR, validate_args=False)
