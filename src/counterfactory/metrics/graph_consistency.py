r"""Whether an explanation respects the causal graph: what a flip does to the attributes that were not to be flipped.

Measured on the pixels, a flipped answer has changed the quantity k by :math:`m_k(\hat x) - m_k(x)`. The true change is
that of the simulated world when the quantity q that was to be flipped takes the value which the answer shows,

.. math:: \Delta^*_k = \mathrm{pa}_k\big(\mathrm{do}(q := \mathrm{pa}_q + m_q(\hat x) - m_q(x))\big) - \mathrm{pa}_k

with the exogenous noise of the factual image: on Morpho-MNIST a thicker stroke is to be brighter, and a brighter one no
thicker. So an explainer, which chooses itself how far to go, is held against what that very step brings about.

- `side_<quantity>` is :math:`|m_k(\hat x) - m_k(x) - \Delta^*_k|`, 0 for an answer that is true to the graph;
- `moved_<quantity>` is the measured change and `due_<quantity>` the true one, both along the flip: with the other sign
  where the attribute was to be lost. They should be equal.

All in the quantity's own unit, over the flipped answers, and to be read beside the method `truth`: a measured
thickness is off by a tenth of a px, and a px is worth up to 95 grey levels. For a class that was to change, no other
parent is to move. An answer without a stroke counts as thickness 0.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ..data.dataset import load_split
from ..data.worlds import world
from ..models.classifier.model import load_classifier
from .inputs import Answered, Score, Scorer, first_answers
from .predictions import Classifier, predict
from .resources import Resources

__all__ = ["load", "side_scores", "true_changes"]

OWN = "this is what was to be flipped"


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `side_<quantity>`, `moved_<quantity>` and `due_<quantity>`."""
    classifier = load_classifier(resources.classifier, resources.device)
    test = load_split(resources.data, "test").attributes
    return lambda answered: side_scores(answered, classifier, classifier.attributes, test)


def side_scores(
    answered: Answered,
    classifier: Classifier,
    attributes: Mapping[str, Mapping[str, Any]],
    test: pd.DataFrame,
) -> list[Score]:
    """Returns the scores of the flipped answers of a suite, repeats left out; none where no world measures.

    Arguments:
        answered: The suite `flip`.
        classifier: The classifier under observation.
        attributes: For each binary attribute what it is `of`; a categorical variable is of itself.
        test: The attributes of the test split, with the exogenous noises.
    """
    if not answered.dataset.simulated:
        return []
    rows = first_answers(answered)
    said = predict(answered, classifier)
    flipped = said.flipped[rows]
    kept = rows[flipped]
    questions = answered.questions.iloc[kept]
    names = [variable.name for variable in answered.dataset.variables if variable.kind == "continuous"]
    of = {name: one["of"] for name, one in attributes.items()}
    asked = answered.questions["attribute"].iloc[rows].map(lambda name: of.get(name, name)).to_numpy()
    measured = {name: np.full(len(kept), np.nan) for name in names}
    due = dict(measured)
    if len(kept):
        measure = world(answered.dataset.name).measure
        before, after = measure(answered.factual[kept]), measure(answered.images[kept])
        measured = {name: np.nan_to_num(after[name]) - np.nan_to_num(before[name]) for name in names}
        factual = test.iloc[questions["index"]].reset_index(drop=True)
        due = true_changes(answered, factual, questions, asked[flipped], measured)
    # Along the flip; a class has no direction.
    binary = np.array([name in of for name in questions["attribute"]], dtype=bool)
    sign = np.where(binary & (said.goal[kept] == 0), -1.0, 1.0)
    scores = []
    for name in names:
        own = asked == name
        reasons = np.where(own, OWN, said.reasons[rows])
        for kind, values in (
            ("side", np.abs(measured[name] - due[name])),
            ("moved", sign * measured[name]),
            ("due", sign * due[name] + 0.0),  # no negative zero
        ):
            full = np.full(len(rows), np.nan)
            full[flipped] = values
            full[own] = np.nan
            scores.append(Score(f"{kind}_{name}", full, reasons, rows))
    return scores


def true_changes(
    answered: Answered,
    factual: pd.DataFrame,
    questions: pd.DataFrame,
    asked: np.ndarray,
    measured: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Returns how far each continuous parent moves in the world when what was asked moves as far as was measured.

    Arguments:
        answered: The suite, for its data set.
        factual: The factual attributes of each row, N rows.
        questions: The questions, N rows.
        asked: The variable that was to be flipped, with shape (N,).
        measured: The measured change of each continuous parent, with shape (N,).
    """
    do = {}
    for variable in answered.dataset.variables:
        own = asked == variable.name
        if variable.kind == "categorical":
            value = questions["target"].to_numpy(np.float64)
        else:
            # A blank answer has moved further than the world goes.
            before = factual[variable.name].to_numpy(np.float64)
            low, high = np.minimum(before, variable.low), np.maximum(before, variable.high)
            value = np.clip(before + measured[variable.name], low, high)
        do[variable.name] = np.where(own, value, np.nan)
    true = world(answered.dataset.name).counterfactual_parents(factual, do)
    return {name: true[name] - factual[name].to_numpy(np.float64) for name in measured}
