r"""Effectiveness by measurement: the parents as the pixels themselves show them, with no network between.

The world of the data set measures an image, :math:`m_k(x)`: on Morpho-MNIST the mean stroke thickness and the
median grey level of the stroke (Pawlowski et al., 2020, arXiv:2006.06485). Two scores a quantity:

.. math:: \mathrm{measured}_k = \left| m_k(\hat x) - \mathrm{pa}^*_k \right|, \qquad
   \mathrm{measured}_k\mathrm{\_truth} = \left| m_k(\hat x) - m_k(x^*) \right|

The first is against the true parents. Even perfect images do not reach 0 there (on Morpho-MNIST 0.125 px and
0.5 grey levels), because rendering is quantised and strokes merge. The second is against the measured true
counterfactual image, and 0 for it. What cannot be measured, because nothing of it is in the image, counts as what the
world says that nothing is (`BLANK`): an answer without a stroke has thickness 0, and is a wrong answer, not a missing
one. Where the world says nothing, as of the angle of a pendulum that is not there, the score is absent.
"""

import numpy as np

from ..data.worlds import world
from .inputs import Answered, Score, Scorer
from .resources import Resources

__all__ = ["load", "measured"]


NOT_SEEN = "nothing of it is in the answer, so it cannot be measured"
NOT_SEEN_TRUE = "nothing of it is in the true counterfactual image, so it cannot be measured there"


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `measured_<quantity>` and `measured_<quantity>_truth`, in the quantity's unit."""
    return measured


def measured(answered: Answered) -> list[Score]:
    """Returns the scores of a suite; there are none where no simulated world can measure an image."""
    if not answered.dataset.simulated:
        return []
    simulation = world(answered.dataset.name)
    shown = simulation.measure(answered.images)
    names = [variable.name for variable in answered.dataset.variables if variable.name in shown]
    blank = getattr(simulation, "BLANK", {})
    true = {name: np.full(len(answered.images), np.nan) for name in names}
    if answered.known.any():
        there = simulation.measure(answered.truth[answered.known])
        for name in names:
            true[name][answered.known] = there[name].fillna(blank.get(name, np.nan))
    scores = []
    for name in names:
        seen = shown[name].fillna(blank.get(name, np.nan)).to_numpy(np.float64)
        asked = answered.true(name)
        why = np.where(np.isnan(seen), NOT_SEEN, "the true parent is not determined")
        scores.append(Score(f"measured_{name}", np.abs(seen - asked), why))
        why = np.where(np.isnan(seen) & answered.known, NOT_SEEN, answered.no_truth)
        why = np.where(answered.known & ~np.isnan(seen), NOT_SEEN_TRUE, why)
        scores.append(Score(f"measured_{name}_truth", np.abs(seen - true[name]), why))
    return scores
