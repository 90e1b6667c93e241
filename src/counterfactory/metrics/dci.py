r"""DCI: whether each dimension of a code speaks of one variable, each variable in few dimensions, and both well.

A regressor of each variable of the graph on all d dimensions of a method's codes gives the importances
:math:`R_{ik} \ge 0` of dimension i for variable k. With the shares
:math:`P_{ik} = R_{ik} / \sum_{k'} R_{ik'}` and :math:`\tilde P_{ik} = R_{ik} / \sum_{i'} R_{i'k}`,

.. math:: D = \sum_i \rho_i \Big(1 + \sum_k P_{ik} \log_K P_{ik}\Big), \qquad
          C = \sum_k \varphi_k \Big(1 + \sum_i \tilde P_{ik} \log_d \tilde P_{ik}\Big)

weighted by the share of all importance that a dimension (:math:`\rho_i`) or a variable (:math:`\varphi_k`) has, and I,
the mean over variables of how well the regressors do on codes that they were not fitted to: the share of the variance
explained, or of classes told right (Eastwood and Williams, "A framework for the quantitative evaluation of disentangled
representations", ICLR 2018, section 2; D and C as CausalDiffAE's published code weights them, Komanduri et al., 2024,
arXiv:2404.17735, with its regressors, gradient boosting with scikit-learn's defaults; a variable of classes has a
classifier).

Where a prior pulls all dimensions of a block to one label, as CausalDiffAE's does, D is easy and C is low by design.

The codes are columns `code_<...>` of the answers: what a method read off the factual image, one row an image, of the
questions that ask to do nothing once; a third of them, at random, is held out.
"""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from ..core.noise import derive_seed, generator
from .inputs import Answered, Scorer, SetScore
from .resources import Resources

__all__ = ["completeness", "dci", "disentanglement", "load"]

_NAMES = ("dci_disentanglement", "dci_completeness", "dci_informativeness")
_LEAST = 30  # codes; with fewer, importances are those of chance


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `dci_disentanglement`, `dci_completeness` and `dci_informativeness`."""
    return lambda answered: dci(answered, resources.settings.dci.codes)


def dci(answered: Answered, most: int) -> list[SetScore]:
    """Returns the three scores of a suite's codes.

    Arguments:
        answered: The suite `null`.
        most: At most so many codes are looked at, the first ones.
    """
    questions = answered.questions
    names = [name for name in questions.columns if name.startswith("code_")]
    once = questions[questions["answered"].astype(bool) & (questions["cycles"] == 1)].iloc[:most]
    codes = once[names].to_numpy(np.float64)
    rows = np.isfinite(codes).all(1)
    group = ("none", "", 1)
    reason = ""
    if not names:
        reason = "the method has no codes"
    elif rows.sum() < _LEAST:
        reason = f"fewer than {_LEAST} codes of questions that ask to do nothing once"
    if reason:
        return [SetScore(name, group, np.nan, 0, reason=reason) for name in _NAMES]
    # After doing nothing the true parents are the factual image's.
    labels = {name: once[f"true_{name}"].to_numpy(np.float64)[rows] for name in answered.dataset.names}
    importances, informativeness = _importances(codes[rows], labels, answered)
    values = (disentanglement(importances), completeness(importances), informativeness)
    count = int(rows.sum())
    return [SetScore(name, group, value, count) for name, value in zip(_NAMES, values, strict=True)]


def disentanglement(importances: np.ndarray) -> float:
    """Returns D in [0, 1] of importances (d, K); 1: no dimension speaks of two variables."""
    return _order(importances)


def completeness(importances: np.ndarray) -> float:
    """Returns C in [0, 1] of importances (d, K); 1: no variable is spoken of in two dimensions."""
    return _order(importances.T)


def _order(importances: np.ndarray) -> float:
    """Returns the mean over rows, weighted by their sums, of one minus the entropy of a row's shares."""
    total = importances.sum(1, keepdims=True)
    shares = np.divide(importances, total, out=np.zeros_like(importances, dtype=np.float64), where=total > 0)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy = -(shares * logs).sum(1) / np.log(importances.shape[1])
    return float(np.average(1.0 - entropy, weights=total[:, 0]))


def _importances(
    codes: np.ndarray, labels: dict[str, np.ndarray], answered: Answered
) -> tuple[np.ndarray, float]:
    """Returns the importances (d, K), and how well the labels are told of codes held out."""
    order = generator(0, "dci", "held out").permutation(len(codes))
    held_out, fitted = np.split(order, [len(codes) // 3])
    columns, scores = [], []
    for name, values in labels.items():
        classes = answered.dataset.variable(name).classes
        seed = derive_seed(0, "dci", name) % 2**32
        model: BaseEstimator = (GradientBoostingClassifier if classes else GradientBoostingRegressor)(
            random_state=seed
        )
        model.fit(codes[fitted], values[fitted])
        columns.append(model.feature_importances_)
        scores.append(model.score(codes[held_out], values[held_out]))
    return np.stack(columns, axis=1), float(np.mean(scores))
