r"""Calibrates interventions on continuous parents that can be measured in the pixels of an image.

A counterfactual image does not have exactly the parents that it was predicted from: the pixel noise of the factual
image is carried over, and the correction of grey levels moves the half of the peak at which strokes are measured. With
:math:`m_k` the measurement of parent k, by the function `measure` of the simulated world
(:mod:`counterfactory.data.worlds`), the error of an answer :math:`x^*` to an intervention is

.. math:: \delta_k = \big(m_k(x^*) - m_k(x)\big) - (\mathrm{pa}^*_k - \mathrm{pa}_k).

A difference of two measurements, because a measurement itself may be biased. It is assumed that the mean error is a
smooth function of the parents before and after,

.. math:: \mathbb{E}\,[\delta_k \mid \mathrm{pa}, \mathrm{pa}^*] = w_k^\top \phi_k(\mathrm{pa}, \mathrm{pa}^*),

with regressors :math:`\phi_k` that are 0 where no parent changes: with :math:`\Delta = \mathrm{pa}^* - \mathrm{pa}` and
:math:`a = \mathrm{pa}^*_k`, the terms :math:`\Delta_j`, :math:`\Delta_j a` of each continuous parent j,
:math:`\Delta_k a^2`, :math:`\Delta_k^3`, and for each categorical parent whose class changes 1, a, :math:`a^2` and
:math:`\Delta_k`. The decoder then receives the parents

.. math:: \mathrm{pa}^*_k - w_k^\top \phi_k(\mathrm{pa}, \mathrm{pa}^*)

instead of :math:`\mathrm{pa}^*`. The weights are fitted by least squares to answers about images of the train split.
Because an answer does not follow its parents exactly, the errors that remain are measured and regressed a second time,
and the weights are added. Of the weights after 0, 1 and 2 rounds those with the smallest mean absolute error on images
that were held out are used.

The measured error of the parents is therefore small by construction, and only other predictors, such as the judges,
test it. Parents that act as exposure are not calibrated, because they are exact (:mod:`counterfactory.nets.exposure`).
Where no parent changes, the parents are unchanged, and null interventions stay exact. No true counterfactual and no
trained predictor is used.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...core.noise import derive_seed
from ...core.progress import progress
from ...data.dataset import Dataset, variable_columns
from ...data.worlds import world
from ...nets.pixels import to_bytes, to_pixels
from .debias import abduct_latents
from .exchange import exchange_parents
from .prediction import predict_image

__all__ = ["Calibration", "fit_calibration"]

IMAGES, ROUNDS, HELD_OUT = 1_200, 2, 4
"""The number of training images, of rounds, and one in how many images is held out."""

MOST = 0.5
"""The largest change of a parent on the scale of network inputs, where its range is [-1, 1]."""

_BATCH = 400
_RIDGE = 1e-3


class Calibration(nn.Module):
    """Changes the parents that the decoder receives, so that the answer has the parents that were asked for.

    Arguments:
        dataset: The data set, for its variables.
        exposed: The columns of the encoded parents that act as exposure.
    """

    weights: Tensor

    def __init__(self, dataset: Dataset, exposed: list[int]) -> None:
        super().__init__()
        self.continuous: list[int] = []
        self.classes: list[slice] = []
        self.targets: list[int] = []
        self.names: list[str] = []
        for variable, columns in zip(dataset.variables, variable_columns(dataset), strict=True):
            if variable.kind == "categorical":
                self.classes.append(columns)
                continue
            self.continuous.append(columns.start)
            if columns.start not in exposed:
                self.targets.append(columns.start)
                self.names.append(variable.name)
        terms = 2 * len(self.continuous) + 2 + 4 * len(self.classes)
        self.register_buffer("weights", torch.zeros(len(self.targets), terms, dtype=torch.float64))

    def forward(self, parents: Tensor, parents_after: Tensor) -> Tensor:
        """Returns the parents that the decoder receives, (B, P).

        Arguments:
            parents: The encoded factual parents, with shape (B, P).
            parents_after: The encoded counterfactual parents, with shape (B, P).
        """
        columns = list(parents_after.unbind(1))
        for number, column in enumerate(self.targets):
            error = self.terms(parents, parents_after, column) @ self.weights[number]
            columns[column] = columns[column] - error.clamp(-MOST, MOST).to(parents_after.dtype)
        return torch.stack(columns, 1)

    def terms(self, parents: Tensor, parents_after: Tensor, column: int) -> Tensor:
        """Returns the regressors of the error of the parent in a column, float64 (B, R)."""
        before, after = parents.double(), parents_after.double()
        value, change = after[:, column], after[:, column] - before[:, column]
        found = []
        for other in self.continuous:
            moved = after[:, other] - before[:, other]
            found += [moved, moved * value]
        found += [change * value**2, change**3]
        for columns in self.classes:
            changed = (before[:, columns] != after[:, columns]).any(1).double()
            found += [changed, changed * value, changed * value**2, changed * change]
        return torch.stack(found, 1)

    def fit(self, parents: Tensor, parents_after: Tensor, errors: Callable[[], Tensor]) -> float:
        """Sets the weights.

        Arguments:
            parents: The encoded factual parents of N questions, with shape (N, P).
            parents_after: Their encoded counterfactual parents, with shape (N, P).
            errors: Returns the errors with the weights at present, (N, K), NaN where one is not measured; K is the
                number of calibrated parents.

        Returns:
            The mean absolute error on held-out questions, on the scale of network inputs; NaN if there is none.
        """
        held = torch.arange(len(parents), device=parents.device) % HELD_OUT == 0
        self.weights.zero_()
        best, least = self.weights.clone(), self.weights.new_full((len(self.targets),), torch.inf)
        for rounds in range(ROUNDS + 1):
            found = errors().double()
            seen = torch.isfinite(found)
            for number, column in enumerate(self.targets):
                judged = held & seen[:, number]
                error = found[judged, number].abs().mean()
                if error < least[number]:
                    best[number], least[number] = self.weights[number], error
                used = ~held & seen[:, number]
                if rounds == ROUNDS or not used.any():
                    continue
                terms = self.terms(parents[used], parents_after[used], column)
                gram = terms.T @ terms
                gram.diagonal().add_(_RIDGE * len(terms))
                self.weights[number] += torch.linalg.solve(gram, terms.T @ found[used, number])
        self.weights.copy_(best)
        finite = least[torch.isfinite(least)]
        return float(finite.mean()) if len(finite) else float("nan")


@torch.no_grad()
def fit_calibration(mechanism: Any, dataset: Dataset, images: Tensor, parents: Tensor, seed: int) -> None:
    """Fits the calibration of a trained image mechanism in place; does nothing if it has none.

    Without a simulated world, which measures images, the weights stay 0.

    :data:`IMAGES` images are asked what they would look like with some parents of another image
    (:func:`counterfactory.models.image.exchange.exchange_parents`).

    Arguments:
        mechanism: The image mechanism, in evaluation mode, with all other corrections fitted.
        dataset: The data set, whose world measures images.
        images: Training images, uint8 with shape (N, C, H, W).
        parents: Their encoded parents, with shape (N, P).
        seed: The seed of images, questions and latents.
    """
    calibration = mechanism.calibration
    if calibration is None or not calibration.targets:
        return
    simulated: Any = world(dataset.name)
    if simulated is None:
        return
    generator = torch.Generator().manual_seed(derive_seed(seed, "calibration"))
    rows = torch.randperm(len(images), generator=generator)[:IMAGES].to(images.device)
    shown, before = images[rows], parents[rows]
    after = exchange_parents(before, variable_columns(dataset), generator)
    noise = [
        torch.randn(len(rows), *shape, generator=generator).to(images.device)
        for shape in mechanism.noise_shapes
    ]
    spans = np.array([variable.high - variable.low for variable in map(dataset.variable, calibration.names)])

    def measured(values: Tensor) -> Tensor:
        found = simulated.measure(values.cpu().numpy()).reindex(columns=calibration.names)
        return torch.from_numpy(found.to_numpy(np.float64) * 2.0 / spans).to(images.device)

    wanted = measured(shown) + (after - before)[:, calibration.targets]

    def errors() -> Tensor:
        answers = []
        for start in progress(range(0, len(rows), _BATCH), label="calibration", unit="batches"):
            part = slice(start, start + _BATCH)
            x = to_pixels(shown[part])
            latents = abduct_latents(mechanism, x, before[part], [layer[part] for layer in noise])
            answers.append(to_bytes(predict_image(mechanism, x, before[part], after[part], latents)))
        return measured(torch.cat(answers)) - wanted

    calibration.fit(before, after, errors)
