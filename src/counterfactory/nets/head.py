r"""The last layer of an image mechanism: from features to the Gaussian of every pixel.

As published (causal-gen, arXiv:2306.15764) it is two 1x1 convolutions, for the location and the log scale.
Three options make a small network learn in minutes what takes the published one days:

`exposure`
    Some parents act on the image only as exposure acts on a photograph: brightness above black is
    multiplied by a gain linear in them, :math:`m' = (1 + g(\mathrm{pa}))(m + 1) - 1`, :math:`s' = (1 +
    g(\mathrm{pa}))\, s`, and the features never see them. What such a parent does is then the same whatever
    the other parents are, also in combinations that the training data, being confounded, do not hold. The
    slopes of g are not trained but fitted in closed form (:mod:`counterfactory.models.image.exposure`).

`log_scale`
    Where the log scale starts. At 0 a pixel's standard deviation begins at half the range of grey levels, and
    hundreds of updates are spent on bringing it down.

`sharpen`
    The location is a mean over all images that latents and parents leave possible, and so is blurred: strokes too
    wide and too dim. It is sharpened (:mod:`counterfactory.nets.sharpening`) until its edges are as steep as those
    of the training images (:mod:`counterfactory.models.image.sharpness`), after training and in evaluation mode only:
    while it learns, the likelihood wants the mean.

`freedom`, a state set by the training loss, blends the predicted log scale with that start: at 0 every pixel
has the same fixed scale. A free scale lets a young model explain strokes it has not learned by calling them
uncertain, and the gradient of the location, divided by that scale, dies there (Seitzer et al., 2022,
arXiv:2203.09168).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .blocks import unfold
from .likelihood import LOG_SCALE_FLOOR
from .sharpening import sharpened

__all__ = ["Head"]


class Head(nn.Module):
    """Maps features (B, C', H / p, W / p) to the location and log scale of pixels (B, C, H, W).

    Arguments:
        features: The number C' of features.
        channels: The number C of the image's channels.
        patch: Each feature vector becomes p x p pixels.
        exposure: The columns of the encoded parents that act as exposure.
        log_scale: The log scale before training.
        sharpen: Whether there is a `sharpness`, to be fitted after training.
    """

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
        self.register_buffer("freedom", torch.ones(()))
        self.location = nn.Conv2d(features, channels * patch**2, 1)
        self.log_scale = nn.Conv2d(features, channels * patch**2, 1)
        nn.init.zeros_(self.location.bias)
        nn.init.constant_(self.log_scale.bias, log_scale)
        self.columns = list(exposure)
        if self.columns:
            self.register_buffer("exposure", torch.zeros(len(self.columns)))
        self.sharpen = sharpen
        if sharpen:
            self.register_buffer("sharpness", torch.zeros(()))

    def hide(self, parents: Tensor) -> Tensor:
        """Returns the parents as the features may see them: without those that act as exposure."""
        if not self.columns:
            return parents
        hidden = parents.clone()
        hidden[:, self.columns] = 0.0
        return hidden

    def forward(self, h: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Returns location and log scale; the log scale is at least `LOG_SCALE_FLOOR`."""
        # Full precision from here on, also under autocast: a grey level is 1/128 of the range.
        with torch.autocast(h.device.type, enabled=False):
            h = h.float()
            return self.gaussian(self.location(h), self.log_scale(h), parents)

    def gaussian(self, location: Tensor, log_scale: Tensor, parents: Tensor) -> tuple[Tensor, Tensor]:
        """Returns location and log scale of the pixels, from the convolutions' (B, C p p, H / p, W / p)."""
        if self.patch > 1:
            location, log_scale = unfold(location, self.patch), unfold(log_scale, self.patch)
        log_scale = self.initial + self.freedom * (log_scale - self.initial)
        if self.sharpen and not self.training:
            location = sharpened(location + 1.0, self.sharpness) - 1.0
        if self.columns:
            gain = (1.0 + parents[:, self.columns].float() @ self.exposure).clamp(min=0.05)[
                :, None, None, None
            ]
            location, log_scale = gain * location + (gain - 1.0), log_scale + gain.log()
        return location, log_scale.clamp(min=LOG_SCALE_FLOOR)
