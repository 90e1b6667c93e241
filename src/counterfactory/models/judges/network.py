r"""The convolutional network of judges and predictors: one variable from an image, :math:`q(\mathrm{pa}_k \mid x)`.

It predicts a cause from its effect, against the causal direction, and is therefore called *anticausal*. The network is
that of De Sousa Ribeiro et al. (2023, arXiv:2306.15764), with W channels in the first layer::

    conv 7, W | conv 3 /2, 2W | conv 3, 2W | conv 3 /2, 4W | conv 3, 4W | conv 3 /2, 8W | mean over pixels
    | (context) | linear 8W | linear out

Each layer except the last has no bias and is followed by batch normalization and a leaky ReLU (slope 0.1 here, 0.01
in causal-gen and counterfactual-benchmark). The first convolution has stride 2 for images above 64 px, and is followed
by a maximum over 2 x 2 px for images above 32 px (:func:`counterfactory.pretrained.predictors.stem`). The output is a
normal distribution of a continuous variable in network units, where its range is [-1, 1],

.. math:: q(t \mid x) = \mathcal{N}\big(\tanh(a),\ \mathrm{softplus}(b) + \sigma_0\big)

and a categorical distribution of a categorical one. The networks of counterfactual-benchmark (Melistas et al., 2024,
arXiv:2403.20287) have one linear output a, without the tanh and without a scale; the scale is 1 then.
"""

import torch
from torch import Tensor, nn
from torch.distributions import Categorical, Distribution, Normal
from torch.nn import functional as F

__all__ = ["JudgeNetwork"]

SLOPE = 0.1  # slope of the leaky ReLU below zero, by default
SCALE_FLOOR = 1e-3  # smallest scale of the normal distribution, in network units; bounds the likelihood


def _convolution(
    inputs: int, outputs: int, kernel: int, stride: int, slope: float, pool: int = 1
) -> nn.Sequential:
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, padding=kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.LeakyReLU(slope, inplace=True),
    ]
    return nn.Sequential(*layers, *([nn.MaxPool2d(pool)] if pool > 1 else []))


class JudgeNetwork(nn.Module):
    """Predicts one variable from an image, and optionally from other variables.

    Arguments:
        channels: The number C of channels of an image.
        classes: The number of classes of a categorical variable; 0 for a continuous one.
        width: The number W of channels after the first layer (published: 8).
        context: The width K of the encoded variables that are inputs beside the image; 0: none.
        slope: The slope of the leaky ReLU below zero (published: 0.01).
        linear: Whether a continuous variable has one linear output and no scale (counterfactual-benchmark).
        stem_stride: The stride of the first convolution (causal-gen: 2 for images above 64 px).
        stem_pool: The side of the squares after it whose maximum is taken (causal-gen: 2 for images above 32 px).
    """

    def __init__(
        self,
        channels: int,
        classes: int = 0,
        width: int = 8,
        context: int = 0,
        slope: float = SLOPE,
        linear: bool = False,
        stem_stride: int = 1,
        stem_pool: int = 1,
    ) -> None:
        super().__init__()
        self.classes, self.context, self.linear = classes, context, linear
        widths = [width, 2 * width, 2 * width, 4 * width, 4 * width, 8 * width]
        strides = [stem_stride, 2, 1, 2, 1, 2]
        layers = []
        for number, (outputs, stride) in enumerate(zip(widths, strides, strict=True)):
            pool = 1 if number else stem_pool
            layers.append(_convolution(channels, outputs, 3 if number else 7, stride, slope, pool))
            channels = outputs
        self.trunk = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Linear(channels + context, channels, bias=False),
            nn.BatchNorm1d(channels),
            nn.LeakyReLU(slope, inplace=True),
            nn.Linear(channels, classes or (1 if linear else 2)),
        )

    def forward(self, images: Tensor, context: Tensor | None = None) -> Distribution:
        """Returns the predicted distribution of the variable.

        Arguments:
            images: Images in [-1, 1], with shape (B, C, H, W).
            context: Encoded variables with shape (B, K), if `context` is not 0.

        Returns:
            :class:`torch.distributions.Normal` in network units or :class:`torch.distributions.Categorical`, with batch
            shape (B,).

        Raises:
            ValueError: If the context is missing, or there should be none.
        """
        outputs = self.outputs(images, context)
        if self.classes:
            return Categorical(logits=outputs, validate_args=False)
        if self.linear:
            return Normal(outputs[:, 0], torch.ones_like(outputs[:, 0]), validate_args=False)
        loc, scale = outputs.unbind(1)
        return Normal(loc.tanh(), F.softplus(scale) + SCALE_FLOOR, validate_args=False)

    def outputs(self, images: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns the outputs of the last layer: logits (B, classes), (a, b), (B, 2), or a, (B, 1).

        The arguments are those of :meth:`forward`.
        """
        if (context is not None) != (self.context > 0):
            raise ValueError(f"this network requires {self.context or 'no'} columns of context")
        pooled = self.trunk(images).mean((2, 3))  # (B, 8W)
        if context is not None:
            pooled = torch.cat([pooled, context], 1)
        # float32 from here on, also under autocast: bfloat16 resolves intensity to one grey level at best.
        with torch.autocast(images.device.type, enabled=False):
            return self.head(pooled.float())
