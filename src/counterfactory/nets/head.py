r"""Output layer of an image mechanism: maps features to the Gaussian distribution of every pixel.

The published layer (causal-gen, De Sousa Ribeiro et al., 2023, arXiv:2306.15764) consists of two 1x1 convolutions, for
the location m and the log scale :math:`\log s`. Three options let a small network train in minutes:

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

    def hide(self, parents: Tensor) -> Tensor:
        """Returns the parents (B, P) with the columns that act as exposure set to zero."""
        return hide_columns(parents, self.columns)

    def forward(self, h: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Returns location and log scale, each (B, C, H, W); the log scale is at least `LOG_SCALE_FLOOR`."""
        # float32 also under autocast: a grey level is 1/128 of the range.
        with torch.autocast(h.device.type, enabled=False):
            h = h.float()
            return self.gaussian(self.location(h), self.log_scale(h), parents)

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
