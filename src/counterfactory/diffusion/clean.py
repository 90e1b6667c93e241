r"""Wrapper that turns a network predicting the clean image into one predicting noise.

.. math:: \hat\epsilon = \frac{x_t - \sqrt{\bar\alpha_t}\, \hat x_0}{\sqrt{1 - \bar\alpha_t}}

(Ho et al., 2020, arXiv:2006.11239, section 3.2; guided-diffusion's flag `predict_xstart`.)
"""

from typing import Any

import torch
from torch import Tensor, nn

from .schedule import Schedule

__all__ = ["CleanImage"]


class CleanImage(nn.Module):
    """Wraps a network whose first C output channels are the clean image; further channels are returned unchanged.

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

    def cast(self, dtype: torch.dtype) -> "CleanImage":
        """Casts the network's weights in place; see :meth:`counterfactory.nets.unet.UNet.cast`."""
        self.network.cast(dtype)
        return self

    def forward(self, x_t: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        """Returns the noise (B, C, H, W), followed by the network's further output channels."""
        output = self.network(x_t, t, *condition)
        channels = x_t.shape[1]
        shape = (-1, 1, 1, 1)
        eps = (x_t - self.signal[t].reshape(shape) * output[:, :channels]) / self.noise[t].reshape(shape)
        return (
            eps
            if output.shape[1] == channels
            else torch.cat([eps, output[:, channels:].to(eps.dtype)], dim=1)
        )
