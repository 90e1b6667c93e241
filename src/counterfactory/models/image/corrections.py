"""Fits what corrects the answers of a trained image mechanism, in the order in which the parts depend on each other.

The transport depends on the latents only; the sharpness on the correction of grey levels, which is fitted before the
training because it needs the train split only; and the calibration on all of them.
"""

from typing import Any

from torch import Tensor

from ...data.dataset import Dataset
from .calibration import fit_calibration
from .sharpness import fit_sharpness
from .transport import fit_transport

__all__ = ["fit_corrections"]


def fit_corrections(mechanism: Any, dataset: Dataset, images: Tensor, parents: Tensor, seed: int) -> None:
    """Fits transport, sharpness and calibration in place, as far as the mechanism has them.

    Arguments:
        mechanism: The trained image mechanism, in evaluation mode.
        dataset: The data set.
        images: Training images, uint8 with shape (N, C, H, W).
        parents: Their encoded parents, with shape (N, P).
        seed: The seed of the abducted latents and of the questions.
    """
    fit_transport(mechanism, images, parents, seed)
    fit_sharpness(mechanism, images, parents, seed)
    fit_calibration(mechanism, dataset, images, parents, seed)
