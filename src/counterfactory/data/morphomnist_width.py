"""Morpho-MNIST where thickness causes width (Castro et al., 2019): the data set and its simulated world.

The variables are thickness (px), width (px) and digit. Images have full contrast. See
:mod:`counterfactory.data.processes` for the equations and :mod:`counterfactory.data.morpho_sets` for splits and files.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from .morpho_sets import generate_sampled, render_true
from .morphology import measure
from .processes import WIDTH, Columns

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

BLANK = {"thickness": 0.0, "width": 0.0}
"""The measurements of an image without strokes."""


def synthesise(
    settings: "DataSettings", confounded: bool, digits: Path | str, out: Path | str, threads: int = 1
) -> None:
    """Writes the data set; see :func:`counterfactory.data.morpho_sets.generate_sampled`."""
    generate_sampled("morphomnist_width", WIDTH, settings, confounded, digits, out, threads)


def counterfactual_parents(attributes: Columns, do: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the true parents after an intervention.

    See :meth:`counterfactory.data.processes.Process.counterfactual_parents`.
    """
    return WIDTH.counterfactual_parents(attributes, do)


def render_counterfactual(
    data: Path | str, attributes: pd.DataFrame, parents: dict[str, np.ndarray], threads: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """Renders the true counterfactual images; see :func:`counterfactory.data.morpho_sets.render_true`."""
    return render_true(WIDTH, data, attributes, parents, threads)


def log_density(thickness: np.ndarray, width: np.ndarray, digit: np.ndarray | None = None) -> pd.DataFrame:
    """Returns the log density of the true process; see :meth:`counterfactory.data.processes.Process.log_density`."""
    return WIDTH.log_density(thickness, width, digit)
