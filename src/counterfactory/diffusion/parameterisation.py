r"""Wrappers that turn a network predicting velocity or the clean image into one predicting noise.

A diffusion network can predict one of three quantities, each of which gives the other two (Salimans and Ho, 2022,
arXiv:2202.00512, appendix D; Ho et al., 2020, arXiv:2006.11239, section 3.2, guided-diffusion's flag
`predict_xstart`):

.. math:: v = \sqrt{\bar\alpha_t}\, \epsilon - \sqrt{1 - \bar\alpha_t}\, x_0, \qquad
          \hat\epsilon = \sqrt{1 - \bar\alpha_t}\, x_t + \sqrt{\bar\alpha_t}\, \hat v
                       = \frac{x_t - \sqrt{\bar\alpha_t}\, \hat x_0}{\sqrt{1 - \bar\alpha_t}}

At high noise levels a network that predicts noise must reproduce its input except for the small remaining contribution
of the image, which receives little weight in the loss. With velocity the input is added outside the network and the
target has the same variance at every step, so that high noise levels are learned sooner.
"""

from typing import Any, Self

import torch
from torch import Tensor, nn

from .schedule import Schedule

__all__ = ["CleanImage", "NoisePrediction", "Velocity"]


class NoisePrediction(nn.Module):
    """Wraps a network whose first C output channels are converted to noise; further channels are returned unchanged.

    Subclasses define :meth:`convert`.

    Arguments:
        network: Called with noisy images (B, C, H, W), time steps (B,) and further conditions.
        schedule: The training schedule, with all its steps.
    """

    signal: Tensor
    noise: Tensor

    def __init__(self, network: Any, schedule: Schedule) -> None:
        super().__init__()
        self.network: Any = network
        self.register_buffer("signal", schedule.alphas_bar.sqrt().float(), persistent=False)
        self.register_buffer("noise", (1.0 - schedule.alphas_bar).sqrt().float(), persistent=False)

    @property
    def learned_variance(self) -> bool:
        """Whether the network predicts the variance."""
        return self.network.learned_variance

    def cast(self, dtype: torch.dtype) -> Self:
        """Casts the network's weights in place; see :meth:`counterfactory.nets.unet.UNet.cast`."""
        self.network.cast(dtype)
        return self

    def convert(self, x_t: Tensor, output: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """Returns the noise (B, C, H, W).

        Arguments:
            x_t: Noisy images with shape (B, C, H, W).
            output: What the network predicts, with the same shape.
            signal: The factor of the clean image at the time steps, (B, 1, 1, 1).
            noise: The factor of the noise, (B, 1, 1, 1).
        """
        raise NotImplementedError

    def forward(self, x_t: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        """Returns the noise (B, C, H, W), followed by the network's further output channels."""
        output = self.network(x_t, t, *condition)
        channels, shape = x_t.shape[1], (-1, 1, 1, 1)
        eps = self.convert(
            x_t, output[:, :channels], self.signal[t].reshape(shape), self.noise[t].reshape(shape)
        )
        if output.shape[1] == channels:
            return eps
        return torch.cat([eps, output[:, channels:].to(eps.dtype)], dim=1)


class Velocity(NoisePrediction):
    """Wraps a network that predicts velocity."""

    def convert(self, x_t: Tensor, output: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """Returns the noise; see the module."""
        return noise * x_t + signal * output


class CleanImage(NoisePrediction):
    """Wraps a network that predicts the clean image."""

    def convert(self, x_t: Tensor, output: Tensor, signal: Tensor, noise: Tensor) -> Tensor:
        """Returns the noise; see the module."""
        return (x_t - signal * output) / noise
