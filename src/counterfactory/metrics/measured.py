r"""Effectiveness by measurement: the parents as the pixels themselves show them, with no network between.

The world of the data set measures an image, :math:`m_k(x)`: on Morpho-MNIST the mean stroke thickness and the
median grey level of the stroke (Pawlowski et al., 2020, arXiv:2006.06485). Two marks a quantity:

.. math:: \mathrm{measured}_k = \left| m_k(\hat x) - \mathrm{pa}^*_k \right|, \qquad
   \mathrm{measured}_k\mathrm{\_truth} = \left| m_k(\hat x) - m_k(x^*) \right|

The first is against the true parents. Even perfect images do not reach 0 there (on Morpho-MNIST 0.125 px and
0.5 grey levels), because rendering is quantised and strokes merge. The second is against the measured true
counterfactual image, and 0 for it. An answer without a stroke, of one grey level, counts as thickness 0: it
is a wrong answer, not a missing one.
"""

import numpy as np

from ..data.worlds import world
from .answered import Answered, Mark, Marker
from .resources import Resources

__all__ = ["load", "measured"]


def load(resources: Resources) -> Marker:
    """Returns the marker of `measured_<quantity>` and `measured_<quantity>_truth`, in the quantity's unit."""
    return measured


def measured(answered: Answered) -> list[Mark]:
    """Returns the marks of a suite; there are none where no simulated world can measure an image."""
    if not answered.dataset.simulated:
        return []
    measure = world(answered.dataset.name).measure
    shown = measure(answered.images)
    names = [variable.name for variable in answered.dataset.variables if variable.name in shown]
    true = {name: np.full(len(answered.images), np.nan) for name in names}
    if answered.known.any():
        there = measure(answered.truth[answered.known])
        for name in names:
            true[name][answered.known] = np.nan_to_num(there[name])
    marks = []
    for name in names:
        seen = np.nan_to_num(np.asarray(shown[name], dtype=np.float64))
        error = np.abs(seen - answered.true(name))
        marks.append(Mark(f"measured_{name}", error, "the true parent is not determined"))
        marks.append(Mark(f"measured_{name}_truth", np.abs(seen - true[name]), answered.no_truth))
    return marks
