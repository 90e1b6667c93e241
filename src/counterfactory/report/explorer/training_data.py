"""Packs the description of the training data, by which the page warns about values and images outside of them.

The page computes the distance of :class:`counterfactory.data.typical.Typical`, with 16-bit components, and shows the
same words as :meth:`counterfactory.api.world.World.imagine`.
"""

from pathlib import Path
from typing import Any

from ...data.dataset import Dataset, load_split
from ...data.typical import CARRIED, INVERTED, fit_typical, ranges
from .blobs import quantised

__all__ = ["training_data"]

VALUES = 2_000_000
"""The largest number of values of all components; larger images are not checked, and the page says so."""


def training_data(data: Path, dataset: Dataset) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Returns the ranges of the variables and the distribution of the images, and its binary data by name.

    Arguments:
        data: The folder of the data set.
        dataset: Its description.
    """
    found: dict[str, Any] = {"variables": ranges(data, dataset), "typical": None}
    typical = fit_typical(load_split(data, "train").images)
    if typical.components.size > VALUES:
        return found, {}
    whole, low, step = quantised(typical.components)
    found["typical"] = {
        "count": len(typical.components),
        "low": low,
        "step": step,
        "variances": typical.variances.tolist(),
        "rest": typical.rest,
        "limit": typical.limit,
        "carried": CARRIED,
        "inverted": INVERTED,
    }
    binary = {"typical-components": whole.tobytes(), "typical-mean": typical.mean.astype("<f4").tobytes()}
    return found, binary
