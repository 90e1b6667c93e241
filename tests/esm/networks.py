r"""Exact answers of the extended structural model on small discrete networks, by enumeration.

With noises :math:`u` of finitely many values, evidence e about the actual world and premise
:math:`e'` about its copy,

.. math:: P(V'_k \mid e, e') \propto \sum_{u'} [V_k(u')]\, [e'(u')] \sum_u \prod_i P(u'_i \mid u_i)\, P(u \mid e)

for a counterfactual observation; under an intervention :math:`[e'(u')]` is dropped and :math:`V_k` is
computed with the premise set. The inner sum is one small matrix product per axis.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from counterfactory.core.errors import UserError

__all__ = ["FunctionalModel", "counterfactual", "evaluate", "kernel_matrix", "posterior"]

Mechanism = Callable[[Mapping[str, np.ndarray]], np.ndarray]


@dataclass(frozen=True)
class FunctionalModel:
    """A functional causal model over discrete variables.

    Arguments:
        noises: For each exogenous noise the probabilities of its values 0, 1, ....
        mechanisms: For each variable, causes before effects, a function from noises and earlier variables
            (integer arrays by name, of one shape) to its values.
    """

    noises: Mapping[str, Sequence[float]]
    mechanisms: Mapping[str, Mechanism]


def evaluate(
    model: FunctionalModel, noises: Mapping[str, np.ndarray], do: Mapping[str, int] | None = None
) -> dict[str, np.ndarray]:
    """Returns the values of all variables that follow from `noises` when those in `do` are set.

    Raises:
        UserError: If `do` names no variable of the model.
    """
    _check(model, do or {})
    values = {name: np.asarray(noise) for name, noise in noises.items()}
    shape = np.broadcast_shapes(*(value.shape for value in values.values()))
    for name, mechanism in model.mechanisms.items():
        value = do[name] if do and name in do else mechanism(values)
        values[name] = np.broadcast_to(np.asarray(value, dtype=np.int64), shape)
    return {name: values[name] for name in model.mechanisms}


def posterior(model: FunctionalModel, evidence: Mapping[str, int]) -> np.ndarray:
    """Returns P(u | evidence) over the grid of all noises, one axis per noise.

    Raises:
        UserError: If the evidence names no variable of the model or has probability 0.
    """
    _check(model, evidence)
    joint = np.ones(())
    for probabilities in model.noises.values():
        joint = np.multiply.outer(joint, np.asarray(probabilities, dtype=np.float64))
    return _condition(joint, evaluate(model, _grid(model)), evidence, "evidence")


def kernel_matrix(probabilities: Sequence[float], stickiness: float) -> np.ndarray:
    """Returns P(u' | u) of one noise, with shape (values of u, values of u')."""
    prior = np.asarray(probabilities, dtype=np.float64)
    return stickiness * np.eye(len(prior)) + (1.0 - stickiness) * prior


def counterfactual(
    model: FunctionalModel,
    evidence: Mapping[str, int],
    premise: Mapping[str, int],
    query: str,
    stickiness: float,
    intervene: bool = False,
) -> np.ndarray:
    """Returns the distribution of a variable of the counterfactual copy.

    Arguments:
        model: The model.
        evidence: What was observed in the actual world.
        premise: What is observed, or set, in the copy.
        query: The variable whose distribution is returned.
        stickiness: The probability that a noise is kept, in [0, 1].
        intervene: Whether the premise is set instead of observed.

    Returns:
        The probabilities of the values 0, 1, ... of `query`, float64.

    Raises:
        UserError: If a name is no variable of the model, or evidence or premise have probability 0. A premise
            contrary to the evidence has, when observed at stickiness 1.
    """
    _check(model, {**premise, query: 0})
    belief = posterior(model, evidence)
    for axis, probabilities in enumerate(model.noises.values()):
        moved = np.tensordot(belief, kernel_matrix(probabilities, stickiness), axes=(axis, 0))
        belief = np.moveaxis(moved, -1, axis)
    values = evaluate(model, _grid(model), premise if intervene else None)
    if not intervene:
        belief = _condition(belief, values, premise, "premise")
    return np.bincount(values[query].ravel(), weights=belief.ravel())


def _grid(model: FunctionalModel) -> dict[str, np.ndarray]:
    shape = [len(probabilities) for probabilities in model.noises.values()]
    return dict(zip(model.noises, np.indices(shape), strict=True))


def _condition(
    joint: np.ndarray, values: Mapping[str, np.ndarray], wanted: Mapping[str, int], what: str
) -> np.ndarray:
    for name, value in wanted.items():
        joint = joint * (values[name] == value)
    total = joint.sum()
    if not total > 0.0 or math.isnan(total):
        mend = "; intervene, or lower the stickiness" if what == "premise" else ""
        raise UserError(f"{what}: {dict(wanted)} has probability 0 in this model{mend}")
    return joint / total


def _check(model: FunctionalModel, named: Mapping[str, int]) -> None:
    for name in named:
        if name not in model.mechanisms:
            raise UserError(f"{name}: not a variable of this model; it has {', '.join(model.mechanisms)}")
