r"""Corrects the white level and the peak of a counterfactual image, where variables act as exposure.

A variable that is declared as exposure (`exposure`) acts on an image by a known monotone transformation of its grey
levels: it multiplies the brightness above black by :math:`g(\mathrm{pa})` (:mod:`counterfactory.nets.exposure`). Two
grey levels of a counterfactual then follow from the factual image without its latents. With :math:`w(x)` the white
level (:func:`counterfactory.models.image.exposure.white_level`) and :math:`p(x)` the brightest pixel, it is *assumed*
that

.. math::
    \log \frac{w(x)}{g(\mathrm{pa})} = c + s_w(\mathrm{pa})\, v, \qquad
    \log \frac{p(x)}{w(x)} = h(\mathrm{pa}) + s_p(\mathrm{pa})\, e,

where v and e are exogenous noises of the image, which no intervention changes. The mean h and the standard deviations
s do not depend on the variables that act as exposure. The noises are abducted from the factual image, and give the
levels of the counterfactual image

.. math::
    w^* = g(\mathrm{pa}^*) \exp(c + s_w(\mathrm{pa}^*)\, v), \qquad
    p^* = \min(255,\ w^* \exp(h(\mathrm{pa}^*) + s_p(\mathrm{pa}^*)\, e)).

The deviations matter: the ratio of peak to white level varies between images by 5 % for strokes of 1.5 px, and by 0.4 %
for strokes of 3.5 px. With one deviation for all, a thickened stroke keeps the deviation of a thin one.

The predicted image is limited to :math:`p^*` and scaled to the white level :math:`w^*`, alternately, because each step
changes the level that the other one sets. Without the correction, the white level of a prediction scatters by several
grey levels between images, and strokes that end flat have a peak in their middle.

The assumption is wrong for images whose white level other variables change too, such as the pose of a lamp. The option
therefore requires that `exposure` names a variable, and can be set to false.

A limited peak also moves the half of the peak, at which strokes are measured, so that blurred strokes become wider. The
sharpness is therefore fitted to the corrected images (:mod:`counterfactory.models.image.sharpness`), and parents that
can be measured may be calibrated (:mod:`counterfactory.models.image.calibration`).

Both abductions treat a limit as :func:`counterfactory.nets.likelihood.standardise` treats white pixels: an image whose
peak is 255 implies only that e is at least the computed value, and of the values consistent with it the most probable
one, the larger of that and 0, is taken. Pixels at the peak of the factual image imply only that :math:`m + s \epsilon`
is at least the peak, so that their pixel noise is at least 0.

g is that of the network. h is fitted to the train split by least squares, on images whose peak is below 255: a cubic
polynomial of each continuous parent plus a constant for each class of a categorical one. Outside of the range of the
train split the polynomials are constant. The logarithms of the deviations are linear in the continuous parents, plus a
constant for each class. They are fitted to the logarithms of the absolute errors, whose mean is lower by 0.635 for a
Gaussian (multiplicative heteroscedasticity; Harvey, 1976, doi:10.2307/1913974), and limited to the central 98 % of
their values on the train split. Where an intervention makes a deviation larger, v and e are limited to 4 in absolute
value, as far as that does not make the error itself smaller. Neither a predictor of attributes nor counterfactuals are
used. Where no parent changes, the predicted image is returned, so that null interventions stay exact.

Where noises are redrawn (`answers.stickiness` below 1, :mod:`counterfactory.methods.stickiness`), v and e are together
one noise, named `levels`. It is kept with the probability of the stickiness. A redrawn level is that of the predicted
image, so the image is not corrected, and pixels at the peak of the factual image are not censored.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ...data.dataset import Dataset, variable_columns
from ...nets.exposure import exposure_gain
from .exposure import white_level

__all__ = ["Levels", "fit_levels"]

POWERS = 3
"""The degree of the polynomials of h."""

LOG_ABSOLUTE = -0.6352
"""The mean of the logarithm of the absolute value of a standard Gaussian variable, -(Euler's constant + log 2) / 2."""

LEAST_ERROR = 1e-3
"""Added in quadrature to the errors of logarithms of grey levels, so that none is 0; rounding causes about as much."""

CENTRAL = (0.01, 0.99)
"""The quantiles on the train split to which the logarithms of the deviations are limited."""

MOST_NOISE = 4.0
"""The largest absolute value of v and e where the deviation grows."""

ROUNDS = 2
"""How often the peak is limited and the white level is set."""

MOST_GAIN = 2.0
"""The largest factor by which one step scales an image, and the inverse of the smallest."""

WHITE = 254.5
"""The grey level from which a peak counts as 255."""


class Levels(nn.Module):
    """Sets the white level and the peak of counterfactual images.

    Arguments:
        dataset: The data set, for its variables.
        exposed: The columns of the encoded parents that act as exposure.

    Raises:
        ValueError: If no column acts as exposure.
    """

    slopes: Tensor
    low: Tensor
    high: Tensor
    weights: Tensor
    offset: Tensor
    deviations: Tensor
    deviation_range: Tensor

    def __init__(self, dataset: Dataset, exposed: list[int]) -> None:
        super().__init__()
        if not exposed:
            raise ValueError(
                "levels: no variable acts as exposure; name one in exposure, or set levels: false"
            )
        self.exposed = list(exposed)
        self.variables = variable_columns(dataset)
        self.continuous: list[int] = []
        self.classes: list[int] = []
        for variable, columns in zip(dataset.variables, self.variables, strict=True):
            kept = [column for column in range(columns.start, columns.stop) if column not in exposed]
            (self.classes if variable.kind == "categorical" else self.continuous).extend(kept)
        size = 1 + POWERS * len(self.continuous) + len(self.classes)
        self.register_buffer("slopes", torch.zeros(len(exposed)))
        self.register_buffer("low", torch.zeros(len(self.continuous)))
        self.register_buffer("high", torch.zeros(len(self.continuous)))
        self.register_buffer("weights", torch.zeros(size, dtype=torch.float64))
        # The last dimension is that of white level and peak. Until they are fitted, both deviations are 1 everywhere.
        self.register_buffer("offset", torch.zeros((), dtype=torch.float64))
        terms = 1 + len(self.continuous) + len(self.classes)
        self.register_buffer("deviations", torch.zeros(terms, 2, dtype=torch.float64))
        self.register_buffer("deviation_range", torch.zeros(2, 2, dtype=torch.float64))

    def forward(self, x: Tensor, y: Tensor, parents: Tensor, parents_after: Tensor) -> Tensor:
        """Returns predicted images with the levels of the counterfactual ones; unchanged where no parent changes.

        Arguments:
            x: The factual images in [-1, 1], with shape (B, C, H, W).
            y: The predicted counterfactual images, with the same shape.
            parents: The encoded factual parents, with shape (B, P).
            parents_after: The encoded counterfactual parents, with shape (B, P).
        """
        changed = (parents != parents_after).any(1)[:, None, None, None]
        return torch.where(changed, self.correct(x, y, parents, parents_after), y)

    def correct(self, x: Tensor, y: Tensor, parents: Tensor, parents_after: Tensor) -> Tensor:
        """Returns what :meth:`forward` returns, with the correction also where no parent changes."""
        white, peak = self.levels(x, parents, parents_after)
        # A black image has no levels.
        seen = (white >= 1.0)[:, None, None, None]
        limit, light = peak.to(y.dtype)[:, None, None, None], _grey(y)
        for _ in range(ROUNDS):
            light = torch.minimum(light, limit)
            gain = white / white_level(light).clamp(min=1.0)
            light = light * gain.clamp(1.0 / MOST_GAIN, MOST_GAIN).to(y.dtype)[:, None, None, None]
        return torch.where(seen, torch.minimum(light, limit) / 127.5 - 1.0, y)

    def levels(self, x: Tensor, parents: Tensor, parents_after: Tensor) -> tuple[Tensor, Tensor]:
        """Returns white level and peak of the counterfactual images of `x`, in grey levels, each float64 (B,)."""
        white, peak = white_level(_grey(x)), _grey(x).flatten(1).amax(1).double()
        before, after = self._gain(parents), self._gain(parents_after)
        ratio = torch.log(white.clamp(min=1.0) / before) - self.offset
        excess = torch.log(peak.clamp(min=1.0) / white.clamp(min=1.0)) - self.log_ratio(parents)
        excess = torch.where(peak >= WHITE, excess.clamp(min=0.0), excess)
        moved = self._move(
            torch.stack([ratio, excess], 1), self.deviation(parents), self.deviation(parents_after)
        )
        white = torch.where(white >= 1.0, after * torch.exp(self.offset + moved[:, 0]), white)
        return white, (white * torch.exp(self.log_ratio(parents_after) + moved[:, 1])).clamp(max=255.0)

    def censor(self, x: Tensor, noise: Tensor, parents: Tensor, parents_after: Tensor) -> Tensor:
        """Returns the pixel noise (B, C, H, W) of images in [-1, 1], at least 0 at the peak of each image.

        It is unchanged where no parent changes. The other arguments are those of :meth:`forward`.
        """
        censored = x >= x.flatten(1).amax(1)[:, None, None, None]
        censored = censored & (parents != parents_after).any(1)[:, None, None, None]
        return torch.where(censored, noise.clamp(min=0.0), noise)

    def log_ratio(self, parents: Tensor) -> Tensor:
        """Returns h of encoded parents (B, P), float64 (B,)."""
        return self._design(parents, POWERS) @ self.weights

    def deviation(self, parents: Tensor) -> Tensor:
        """Returns the standard deviations of white level and peak, of encoded parents (B, P), float64 (B, 2)."""
        low, high = self.deviation_range
        return torch.exp(torch.maximum(torch.minimum(self._design(parents, 1) @ self.deviations, high), low))

    @staticmethod
    def _move(errors: Tensor, before: Tensor, after: Tensor) -> Tensor:
        """Returns errors with the same noise at another deviation; outliers are not amplified, each (B, 2)."""
        limit = torch.maximum(errors.abs(), MOST_NOISE * after)
        return torch.maximum(torch.minimum(errors * (after / before), limit), -limit)

    def _gain(self, parents: Tensor) -> Tensor:
        """Returns the gains of the exposure, float64 (B,)."""
        return exposure_gain(parents, self.exposed, self.slopes).flatten().double()

    def _design(self, parents: Tensor, degree: int) -> Tensor:
        """Returns regressors, float64 (B, K): a constant, continuous parents up to a power, and classes."""
        values = torch.maximum(torch.minimum(parents[:, self.continuous], self.high), self.low).double()
        powers = [values**power for power in range(1, degree + 1)]
        constant = torch.ones(len(parents), 1, dtype=torch.float64, device=parents.device)
        return torch.cat([constant, *powers, parents[:, self.classes].double()], dim=1)

    def fit(self, images: Tensor, parents: Tensor, slopes: Tensor) -> None:
        """Fits h and the deviations, and copies the slopes of the exposure.

        Arguments:
            images: Training images, uint8 with shape (N, C, H, W).
            parents: Their encoded parents, with shape (N, P).
            slopes: The slopes of the columns that act as exposure.
        """
        self.slopes.copy_(slopes)
        white = torch.cat([white_level(part) for part in images.split(4096)])
        peak = images.flatten(1).amax(1).double()
        used = (peak < WHITE) & (white >= 1.0)
        for fitted in (self.weights, self.offset, self.deviations, self.deviation_range):
            fitted.zero_()
        if not used.any():
            return
        white, peak, parents = white[used], peak[used], parents[used]
        if self.continuous:
            self.low.copy_(parents[:, self.continuous].amin(0))
            self.high.copy_(parents[:, self.continuous].amax(0))
        design = self._design(parents, POWERS)
        ratio, excess = torch.log(white / self._gain(parents)), torch.log(peak / white)
        self.weights.copy_(_least_squares(design, excess[:, None])[:, 0])
        self.offset.copy_(ratio.mean())
        errors = torch.stack([ratio - self.offset, excess - design @ self.weights], 1)
        sizes = 0.5 * torch.log(errors.square() + LEAST_ERROR**2) - LOG_ABSOLUTE
        design = self._design(parents, 1)
        self.deviations.copy_(_least_squares(design, sizes))
        quantiles = torch.tensor(CENTRAL, dtype=torch.float64, device=design.device)
        self.deviation_range.copy_(torch.quantile(design @ self.deviations, quantiles, dim=0))

    def _load_from_state_dict(self, state: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Loads the weights; those of earlier versions have no deviations, which are then 1 everywhere."""
        for name in ("offset", "deviations", "deviation_range"):
            state.setdefault(prefix + name, torch.zeros_like(getattr(self, name)))
        super()._load_from_state_dict(state, prefix, *rest)


def _least_squares(design: Tensor, values: Tensor) -> Tensor:
    """Returns weights (K, M) of regressors (N, K), such that their products are closest to the values (N, M).

    One-hot parents make the regressors linearly dependent; the minimum-norm solution gives the same predictions.
    """
    solution = torch.linalg.lstsq(design.cpu(), values.cpu(), driver="gelsd").solution
    return solution.to(design.device)


def _grey(x: Tensor) -> Tensor:
    """Returns images in [-1, 1] as grey levels in [0, 255]; values below black count as black."""
    return ((x + 1.0) * 127.5).clamp(min=0.0)


@torch.no_grad()
def fit_levels(mechanism: Any, images: Tensor, parents: Tensor) -> None:
    """Fits the levels of an image mechanism in place; does nothing if it has none.

    Arguments:
        mechanism: The image mechanism; the slopes of its exposure are fitted.
        images: Training images, uint8 with shape (N, C, H, W).
        parents: Their encoded parents, with shape (N, P).
    """
    if mechanism.grey_levels is not None:
        mechanism.grey_levels.fit(images, parents, mechanism.head.exposure)
