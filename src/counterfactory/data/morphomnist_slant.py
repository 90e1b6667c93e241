"""Morpho-MNIST where thickness causes slant (Castro et al., 2019): the data set and its simulated world.

The variables are thickness (px), slant (degrees, positive to the right) and digit. Images have full contrast. See
:mod:`counterfactory.data.processes` for the equations and :mod:`counterfactory.data.morpho_sets` for splits and files.
The published generator with slant was used with digits of one class.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .morpho_sets import generate_sampled, render_true
from .morphology import measure as measure_strokes
from .processes import SLANT, Columns

if TYPE_CHECKING:
    from ..config.data import DataSettings

__all__ = [
    "BLANK",
    "counterfactual_parents",
    "log_density",
    "measure",
    "render_counterfactual",
    "synthesise",
]

BLANK = {"thickness": 0.0}
"""The measurements of an image without strokes, which has no slant."""


def synthesise(
    settings: "DataSettings", confounded: bool, digits: Path | str, out: Path | str, threads: int = 1
) -> None:
    """Writes the data set; see :func:`counterfactory.data.morpho_sets.generate_sampled`."""
    generate_sampled("morphomnist_slant", SLANT, settings, confounded, digits, out, threads)


def counterfactual_parents(attributes: Columns, do: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the true parents after an intervention.

    See :meth:`counterfactory.data.processes.Process.counterfactual_parents`.
    """
    return SLANT.counterfactual_parents(attributes, do)


def render_counterfactual(
    data: Path | str, attributes: pd.DataFrame, parents: dict[str, np.ndarray], threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the true counterfactual images; see :func:`counterfactory.data.morpho_sets.render_true`."""
    return render_true(SLANT, data, attributes, parents, threads)


def measure(images: np.ndarray, threads: int = 1) -> pd.DataFrame:
    """Measures images as :func:`counterfactory.data.morphology.measure` does, but with `slant` in degrees."""
    shown = measure_strokes(images, threads)
    return shown.assign(slant=np.rad2deg(shown["slant"]))


def log_density(thickness: np.ndarray, slant: np.ndarray, digit: np.ndarray | None = None) -> pd.DataFrame:
    """Returns the log density of the true process; see :meth:`counterfactory.data.processes.Process.log_density`."""
    return SLANT.log_density(thickness, slant, digit)
