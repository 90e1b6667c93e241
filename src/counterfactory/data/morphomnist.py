"""Morpho-MNIST where thickness causes intensity (Pawlowski et al., 2020): the data set and its simulated world.

The variables are thickness (px), intensity (grey levels) and digit. See :mod:`counterfactory.data.processes` for the
equations and :mod:`counterfactory.data.morpho_sets` for splits and files. From the published tables (`data.published`),
with as many images as there are, the files in `idx/` equal the published ones.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .dataset import declared
from .morpho_sets import TEST, TRAIN, generate, render_true
from .morphology import measure
from .processes import INTENSITY, Columns
from .published import read_published

if TYPE_CHECKING:
    from ..config.data import DataSettings

__all__ = [
    "BLANK",
    "DATASET",
    "counterfactual_parents",
    "log_density",
    "measure",
    "render_counterfactual",
    "synthesise",
]

DATASET = declared("morphomnist")

BLANK = {"thickness": 0.0, "intensity": 0.0}
"""The measurements of an image without strokes."""


def synthesise(
    settings: "DataSettings", confounded: bool, digits: Path | str, out: Path | str, threads: int = 1
) -> None:
    """Writes the data set; see :func:`counterfactory.data.morpho_sets.generate`."""
    if settings.published is None:
        parents = INTENSITY.sample(TRAIN + TEST, settings.seed)
    else:
        parents = read_published(settings.published, TRAIN, TEST)
    generate("morphomnist", INTENSITY, parents, settings, confounded, digits, out, threads)


def counterfactual_parents(attributes: Columns, do: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the true parents after an intervention.

    See :meth:`counterfactory.data.processes.Process.counterfactual_parents`.
    """
    return INTENSITY.counterfactual_parents(attributes, do)


def render_counterfactual(
    data: Path | str, attributes: pd.DataFrame, parents: dict[str, np.ndarray], threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the true counterfactual images; see :func:`counterfactory.data.morpho_sets.render_true`."""
    return render_true(INTENSITY, data, attributes, parents, threads)


def log_density(
    thickness: np.ndarray, intensity: np.ndarray, digit: np.ndarray | None = None
) -> pd.DataFrame:
    """Returns the log density of the true process; see :meth:`counterfactory.data.processes.Process.log_density`."""
    return INTENSITY.log_density(thickness, intensity, digit)
