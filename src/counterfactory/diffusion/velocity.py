r"""A network that predicts velocity, seen from outside as one that predicts noise.

.. math:: v = \sqrt{\bar\alpha_t}\, \epsilon - \sqrt{1 - \bar\alpha_t}\, x_0, \qquad
          \hat\epsilon = \sqrt{1 - \bar\alpha_t}\, x_t + \sqrt{\bar\alpha_t}\, \hat v

(Salimans and Ho, 2022, arXiv:2202.00512, appendix D). A network that predicts noise must, at the noisy end, return its
input to within the little that is left of the image, and little is what it is taught of that. This one is given the
input, and its target has the same variance at every step; so it learns the noisy end sooner.
"""

import torch
from torch import Tensor, nn

from .schedule import Schedule

__all__ = ["Velocity"]


class Velocity(nn.Module):
    """Wraps a network whose first C outputs are velocity; what follows them, such as a variance, is handed on.

    Arguments:
        network: Called with noisy images (B, C, H, W), time steps (B,) and what else it is told.
        schedule: The schedule it is trained with, with all its steps.
    """

    def __init__(self, network: nn.Module, schedule: Schedule) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("signal", schedule.alphas_bar.sqrt().float(), persistent=False)
        self.register_buffer("noise", (1.0 - schedule.alphas_bar).sqrt().float(), persistent=False)

    @property
    def learned_variance(self) -> bool:
        """Whether the network tells the variance."""
        return self.network.learned_variance

    def lower(self, dtype: torch.dtype) -> "Velocity":
        """Casts the network's weights as it sees fit, in place."""
        self.network.lower(dtype)
        return self

    def forward(self, x_t: Tensor, t: Tensor, *condition: Tensor) -> Tensor:
        """Returns the noise, and what else the network says, in its channels."""
        output = self.network(x_t, t, *condition)
        channels = x_t.shape[1]
        shape = (-1, 1, 1, 1)
        eps = self.noise[t].reshape(shape) * x_t + self.signal[t].reshape(shape) * output[:, :channels]
        return (
            eps
            if output.shape[1] == channels
            else torch.cat([eps, output[:, channels:].to(eps.dtype)], dim=1)
        )
