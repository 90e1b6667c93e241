r"""Effectiveness by measurement: the error of the parents measured on the pixels of the answer, without a network.

The simulated world of the data set measures an image, :math:`m_k(x)`: on Morpho-MNIST the mean stroke thickness and the
median grey level of the stroke (Pawlowski et al., 2020, arXiv:2006.06485). There are two scores per quantity k, both in
its unit; lower is better:

.. math:: \mathrm{measured}_k = \left| m_k(\hat x) - \mathrm{pa}^*_k \right|, \qquad
   \mathrm{measured}_k\mathrm{\_truth} = \left| m_k(\hat x) - m_k(x^*) \right|

The first compares with the true parents. It is not 0 even for true images (on Morpho-MNIST 0.125 px and 0.5 grey
levels), because rendering is quantized and strokes merge. The second compares with the measurement of the true
counterfactual image, and is 0 for that image. If the answer does not show a quantity, its value is that of the dict
`BLANK` of the world: an answer without a stroke has thickness 0, which is a wrong answer and not a missing one. If
`BLANK` has no value, as for the angle of a pendulum that the image does not show, the score is missing. For a
categorical variable, such as a colour, the two scores are 1 if the classes agree and 0 if not; higher is better.
"""

import numpy as np

from ..data.worlds import world
from .inputs import Score, Scorer, SuiteAnswers, compare
from .resources import Resources

__all__ = ["load", "measured"]


NOT_SEEN = "the answer shows nothing of it, so it cannot be measured"
NOT_SEEN_TRUE = "the true counterfactual image shows nothing of it, so it cannot be measured"


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `measured_<quantity>` and `measured_<quantity>_truth`, in the unit of the quantity.

    Reads `scores.effectiveness`.
    """
    targets = resources.settings.effectiveness.targets
    return lambda answers: measured(answers, targets)


def measured(answers: SuiteAnswers, targets: str = "true") -> list[Score]:
    """Returns the scores of the answers to a suite; there are none without a simulated world.

    Arguments:
        answers: The answers.
        targets: What the first score compares with: the `true` parents, or the method's `own`.
    """
    simulation = world(answers.dataset.name) if answers.dataset.simulated else None
    if simulation is None:
        return []
    shown = simulation.measure(answers.images)
    names = [variable.name for variable in answers.dataset.variables if variable.name in shown]
    blank = getattr(simulation, "BLANK", {})
    true = {name: np.full(len(answers.images), np.nan) for name in names}
    if answers.truth is not None and answers.known.any():
        measurements = simulation.measure(answers.truth[answers.known])
        for name in names:
            true[name][answers.known] = measurements[name].fillna(blank.get(name, np.nan))
    scores = []
    for name in names:
        value = shown[name].fillna(blank.get(name, np.nan)).to_numpy(np.float64)
        target = answers.target(name, targets)
        reason = np.where(np.isnan(value), NOT_SEEN, "the true parent is not determined")
        scores.append(
            Score(f"measured_{name}", compare(answers.dataset.variable(name), value, target), reason)
        )
        reason = np.where(np.isnan(value) & answers.known, NOT_SEEN, answers.no_truth)
        reason = np.where(answers.known & ~np.isnan(value), NOT_SEEN_TRUE, reason)
        found = compare(answers.dataset.variable(name), value, true[name])
        scores.append(Score(f"measured_{name}_truth", found, reason))
    return scores
