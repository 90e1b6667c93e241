r"""Output layer of an image mechanism: maps features to the Gaussian distribution of every pixel.

The published layer (causal-gen, De Sousa Ribeiro et al., 2023, arXiv:2306.15764) consists of two 1x1 convolutions, for
the location m and the log scale :math:`\log s`. The options `exposure`, `log_scale` and
`sharpen` let a small network train in minutes; `channel_coeffs` is an option of causal-gen:

`exposure`
    The columns of parents that act as exposure scale the predicted image,
    :math:`m' = g(\mathrm{pa})(m + 1) - 1`, :math:`s' = g(\mathrm{pa})\, s`, and are hidden from the features
    (:mod:`counterfactory.nets.exposure`).

`log_scale`
    The initial log scale. With the published value 0 the initial standard deviation of a pixel is half the range of
    grey levels, and hundreds of updates are needed to reduce it.

`sharpen`
    The location is a mean over all images that are consistent with the latents and the parents, and is therefore
    blurred: strokes are too wide and too dim. In evaluation mode it is sharpened
    (:mod:`counterfactory.nets.sharpening`) by an amount that is fitted after training
    (:mod:`counterfactory.models.image.sharpness`). In training mode it is not, because the likelihood is maximised by
    the mean.

`channel_coeffs`
    For RGB images, causal-gen's location of green depends on red, and that of blue on both, after PixelCNN++
    (Salimans et al., 2017, arXiv:1701.05517). With :math:`c = \tanh(C h)`, a third convolution,

    .. math:: m'_G = m_G + c_1 R, \qquad m'_B = m_B + c_2 R + c_3 G,

    where R and G are the values of the image in its likelihood, and the predicted values, clipped to [-1, 1], in a
    prediction.

The buffer `scale_gate`, set by the training loss, interpolates between the initial log scale (0: all pixels have the
same fixed scale) and the predicted one (1). With a free scale, an untrained model assigns a large variance to strokes
it cannot predict yet. The gradient of the location is divided by that variance and vanishes there (Seitzer et al.,
2022, arXiv:2203.09168).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .blocks import unfold
from .exposure import exposure_gain, hide_columns
from .likelihood import LOG_SCALE_FLOOR
from .sharpening import sharpened

__all__ = ["Head"]


class Head(nn.Module):
    """Maps features (B, C', H / p, W / p) to the location and log scale of pixels (B, C, H, W).

    Arguments:
        features: The number C' of feature channels.
        channels: The number C of image channels.
        patch: The side p of the square of pixels that each feature vector predicts.
        exposure: Columns of the encoded parents that act as exposure.
        log_scale: The initial log scale.
        sharpen: Whether the layer has a buffer `sharpness`, which is fitted after training.
        channel_coeffs: Whether the locations of green and blue depend on the other channels.

    Raises:
        ValueError: If `channel_coeffs` is set for folded images, or for images that are not RGB.
    """

    scale_gate: Tensor
    exposure: Tensor
    sharpness: Tensor

    def __init__(
        self,
        features: int,
        channels: int,
        patch: int = 1,
        exposure: Sequence[int] = (),
        log_scale: float = 0.0,
        sharpen: bool = False,
        channel_coeffs: bool = False,
    ) -> None:
        super().__init__()
        self.patch = patch
        self.initial = log_scale
        self.register_buffer("scale_gate", torch.ones(()))
        self.location = nn.Conv2d(features, channels * patch**2, 1)
        self.log_scale = nn.Conv2d(features, channels * patch**2, 1)
        nn.init.zeros_(self.location.get_parameter("bias"))
        nn.init.constant_(self.log_scale.get_parameter("bias"), log_scale)
        self.columns = list(exposure)
        if self.columns:
            self.register_buffer("exposure", torch.zeros(len(self.columns)))
        self.sharpen = sharpen
        if sharpen:
            self.register_buffer("sharpness", torch.zeros(()))
        self.channel_coeffs = None
        if channel_coeffs:
            if channels != 3 or patch != 1:
                raise ValueError("channel_coeffs needs images of 3 channels and patch: 1")
            self.channel_coeffs = nn.Conv2d(features, 3, 1)

    def hide(self, parents: Tensor) -> Tensor:
        """Returns the parents (B, P) with the columns that act as exposure set to zero."""
        return hide_columns(parents, self.columns)

    def forward(self, h: Tensor, parents: Tensor, x: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Returns location and log scale, each (B, C, H, W); the log scale is at least `LOG_SCALE_FLOOR`.

        Arguments:
            h: Features with shape (B, C', H / p, W / p).
            parents: Encoded parents with shape (B, P).
            x: The images whose likelihood is computed, in [-1, 1], with shape (B, C, H, W); None in a prediction. Only
                `channel_coeffs` uses them.
        """
        # float32 also under autocast: a grey level is 1/128 of the range.
        with torch.autocast(h.device.type, enabled=False):
            h = h.float()
            location = self.location(h)
            if self.channel_coeffs is not None:
                location = _autoregressive(location, self.channel_coeffs(h).tanh(), x)
            return self.gaussian(location, self.log_scale(h), parents)

    def gaussian(self, location: Tensor, log_scale: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Returns location and log scale of the pixels, each (B, C, H, W).

        Arguments:
            location: Output of the location's convolution, with shape (B, C p p, H / p, W / p).
            log_scale: Output of the log scale's convolution, with the same shape.
            parents: Encoded parents with shape (B, P).
        """
        if self.patch > 1:
            location, log_scale = unfold(location, self.patch), unfold(log_scale, self.patch)
        log_scale = self.initial + self.scale_gate * (log_scale - self.initial)
        if self.sharpen and not self.training:
            location = sharpened(location + 1.0, self.sharpness) - 1.0
        if self.columns:
            gain = exposure_gain(parents, self.columns, self.exposure)
            location, log_scale = gain * location + (gain - 1.0), log_scale + gain.log()
        return location, log_scale.clamp(min=LOG_SCALE_FLOOR)


def _autoregressive(location: Tensor, coefficients: Tensor, x: Tensor | None) -> Tensor:
    """Returns the locations (B, 3, H, W) shifted by the other channels of `x`, or of the prediction if it is None."""
    red, green, blue = location.unbind(1)
    if x is None:
        seen_red = red = red.clamp(-1.0, 1.0)
        seen_green = green = (green + coefficients[:, 0] * red).clamp(-1.0, 1.0)
        blue = (blue + coefficients[:, 1] * seen_red + coefficients[:, 2] * seen_green).clamp(-1.0, 1.0)
    else:
        green = green + coefficients[:, 0] * x[:, 0]
        blue = blue + coefficients[:, 1] * x[:, 0] + coefficients[:, 2] * x[:, 1]
    return torch.stack([red, green, blue], 1)
