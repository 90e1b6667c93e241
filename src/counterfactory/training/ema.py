r"""Exponential moving average of weights.

.. math:: \bar\theta_{n} = d_n \bar\theta_{n-1} + (1 - d_n) \theta_n, \qquad d_n = \min\Big(d, \frac{1 + n}{10 + n}\Big)

The ramp limits the window to a tenth of the steps so far: otherwise the average of a short run would be dominated by
its initial weights (the exponential average of Polyak and Juditsky, 1992, with the ramp of TensorFlow).
"""

import torch
from torch import Tensor, nn

__all__ = ["average_weights"]


@torch.no_grad()
def average_weights(average: dict[str, Tensor], model: nn.Module, step: int, decay: float) -> None:
    """Updates `average` with the weights of `model`, in place.

    Arguments:
        average: The running average, with the keys of `model.state_dict()`.
        model: The model in training.
        step: The number of updates so far, from 0.
        decay: The largest decay :math:`d`, in [0, 1); 0 copies the weights.
    """
    weight = 1.0 - min(decay, (1.0 + step) / (10.0 + step))
    state, parameters = model.state_dict(), dict(model.named_parameters())
    averaged = [name for name in average if name in parameters]
    torch._foreach_lerp_([average[name] for name in averaged], [state[name] for name in averaged], weight)
    # Buffers (running statistics, schedules) are copied: averaging applies to parameters only.
    for name in average.keys() - set(averaged):
        average[name].copy_(state[name])
