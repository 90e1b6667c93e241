r"""Graph consistency: whether a flip changes the other parents as the causal graph implies.

Measured on the pixels, a flipped answer has changed the quantity k by :math:`m_k(\hat x) - m_k(x)`. The true change is
that of the simulated world if the flipped quantity q takes the value that the answer shows,

.. math:: \Delta^*_k = \mathrm{pa}_k\big(\mathrm{do}(q := \mathrm{pa}_q + m_q(\hat x) - m_q(x))\big) - \mathrm{pa}_k

with the exogenous noise of the factual image. On Morpho-MNIST a thicker stroke must become brighter, and a brighter
stroke must keep its thickness. An explainer chooses the size of its change itself, so it is compared with the
consequences of a change of exactly that size.

- `inconsistency_<quantity>` is :math:`|m_k(\hat x) - m_k(x) - \Delta^*_k|`: 0 if the answer agrees with the graph;
  lower is better.
- `moved_<quantity>` is the measured change and `due_<quantity>` the true change, both in the direction of the flip:
  with opposite sign if the attribute was to be removed. They should be equal.

For a categorical parent that the world measures, such as a colour, a change is 1 if the class differs and 0 if not, and
the inconsistency is 1 if the measured class is not the true one.

An attribute can be a threshold on the classes of a variable with more than two classes. The flipped class is then the
one that the answer shows. If the world cannot measure it, its effects have no score.

All are in the unit of the quantity, over the flipped answers. Compare with the method `truth`: the measured thickness
has an error of about 0.1 px, and 1 px corresponds to up to 95 grey levels. If a class is flipped, no other parent
should change. An answer without a stroke counts as thickness 0.
"""

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd

from ..data.dataset import Dataset, load_split
from ..data.graph import ancestors
from ..data.worlds import world
from ..models.classifier.model import AttributeClassifier, load_classifier
from .inputs import Score, Scorer, SuiteAnswers, first_answers
from .predictions import predict
from .resources import Resources

__all__ = ["FLIPPED", "consistency_scores", "load", "true_changes"]

FLIPPED = "this quantity is the flipped one"
UNMEASURED = "the value of the flipped quantity in the answer cannot be measured"


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `inconsistency_<quantity>`, `moved_<quantity>` and `due_<quantity>`."""
    classifier = load_classifier(resources.classifier, resources.device, "classifier")
    test = load_split(resources.data, "test").attributes
    return lambda answers: consistency_scores(answers, classifier, classifier.attributes, test)


def consistency_scores(
    answers: SuiteAnswers,
    classifier: AttributeClassifier,
    attributes: Mapping[str, Mapping[str, Any]],
    test: pd.DataFrame,
) -> list[Score]:
    """Returns the scores of the flipped answers; repeats are left out. There are none without a simulated world.

    Arguments:
        answers: The answers to the suite `flip`.
        classifier: The classifier whose decisions are flipped.
        attributes: The key `of` of each binary attribute: its quantity. A categorical variable is its own quantity.
        test: The attributes of the test split, with the exogenous noise.
    """
    simulation = world(answers.dataset.name) if answers.dataset.simulated else None
    if simulation is None:
        return []
    rows = first_answers(answers.questions)
    predictions = predict(answers, classifier)
    flipped = predictions.flipped[rows]
    kept = rows[flipped]
    questions = answers.questions.iloc[kept]
    shown = simulation.measure(answers.images[:1])
    measurable = [variable for variable in answers.dataset.variables if variable.name in shown]
    names = [variable.name for variable in measurable]
    classes = [variable.name for variable in measurable if variable.kind == "categorical"]
    of = {name: one["of"] for name, one in attributes.items()}
    quantity = answers.questions["attribute"].iloc[rows].map(lambda name: of.get(name, name)).to_numpy()
    measured = {name: np.full(len(kept), np.nan) for name in names}
    due = dict(measured)
    if len(kept):
        before, after = (simulation.measure(images[kept]) for images in (answers.factual, answers.images))
        measured = {name: np.nan_to_num(after[name]) - np.nan_to_num(before[name]) for name in names}
        factual = test.iloc[questions["index"]].reset_index(drop=True)
        # The classes that answers show; a flipped class with a goal is the goal.
        changed = {name: after[name].to_numpy() - factual[name].to_numpy() for name in classes}
        sides = np.array([one in of and of[one] != one for one in questions["attribute"]], dtype=bool)
        due = true_changes(
            simulation,
            answers.dataset,
            factual,
            questions.assign(target=np.where(sides, np.nan, predictions.goal[kept])),
            quantity[flipped],
            {**measured, **changed},
        )
        wrong = {name: after[name].to_numpy() != factual[name].to_numpy() + due[name] for name in classes}
        for name in classes:
            measured[name] = (after[name].to_numpy() != before[name].to_numpy()).astype(np.float64)
    # In the direction of the flip; a class has no direction.
    binary = np.array([name in of for name in questions["attribute"]], dtype=bool)
    sign = np.where(binary & (predictions.goal[kept] == 0), -1.0, 1.0)
    scores = []
    for name in names:
        own = quantity == name
        reasons = np.where(own, FLIPPED, predictions.reasons[rows])
        if name in classes:
            off = np.where(np.isnan(due[name]), np.nan, wrong[name]) if len(kept) else measured[name]
            found = (("inconsistency", off), ("moved", measured[name]), ("due", np.abs(np.sign(due[name]))))
        else:
            found = (
                ("inconsistency", np.abs(measured[name] - due[name])),
                ("moved", sign * measured[name]),
                ("due", sign * due[name] + 0.0),  # no negative zero
            )
        for kind, values in found:
            full = np.full(len(rows), np.nan)
            full[flipped] = values
            full[own] = np.nan
            why = np.where(flipped & ~own & np.isnan(full), UNMEASURED, reasons)
            scores.append(Score(f"{kind}_{name}", full, why, rows))
    return scores


def true_changes(
    simulation: ModuleType,
    dataset: Dataset,
    factual: pd.DataFrame,
    questions: pd.DataFrame,
    quantity: np.ndarray,
    measured: Mapping[str, np.ndarray],
) -> dict[str, np.ndarray]:
    """Returns the true change of each measured parent, if the flipped quantity changes as measured.

    Arguments:
        simulation: The simulated world of the data set; see :mod:`counterfactory.data.worlds`.
        dataset: The data set.
        factual: The factual attributes of each row, N rows.
        questions: The questions, N rows; `target` is the class that a flipped categorical variable has afterwards, or
            NaN if it is the one that the answer shows.
        quantity: The flipped quantity, with shape (N,).
        measured: The measured change of each parent that the world measures, with shape (N,); of a categorical one the
            difference between the class that is shown and the factual one, NaN if no class is shown.

    Returns:
        The true change of each parent in `measured`, (N,); of a categorical one, the difference of the class numbers.
        It is NaN for the effects of a flipped quantity whose value in the answer cannot be measured.
    """
    do = {}
    for variable in dataset.variables:
        own = quantity == variable.name
        change = measured.get(variable.name, np.full(len(questions), np.nan))
        if variable.kind == "categorical":
            value = questions["target"].to_numpy(np.float64)
            value = np.where(np.isnan(value), factual[variable.name].to_numpy(np.float64) + change, value)
        else:
            # The change of a blank answer leaves the range of the world.
            before = factual[variable.name].to_numpy(np.float64)
            low, high = np.minimum(before, variable.low), np.maximum(before, variable.high)
            value = np.clip(before + change, low, high)
        do[variable.name] = np.where(own, value, np.nan)
    true = simulation.counterfactual_parents(factual, do)
    changes = {name: true[name] - factual[name].to_numpy(np.float64) for name in measured}
    for name in changes:
        for cause in ancestors(dataset, name):
            changes[name] = np.where((quantity == cause) & np.isnan(do[cause]), np.nan, changes[name])
    return changes
