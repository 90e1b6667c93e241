r"""DCI: disentanglement, completeness and informativeness of a method's codes.

One regressor per variable of the graph, on all d dimensions of the codes, has the importances
:math:`R_{ik} \ge 0` of dimension i for variable k (K variables). With the shares
:math:`P_{ik} = R_{ik} / \sum_{k'} R_{ik'}` and :math:`\tilde P_{ik} = R_{ik} / \sum_{i'} R_{i'k}`,

.. math:: D = \sum_i \rho_i \Big(1 + \sum_k P_{ik} \log_K P_{ik}\Big), \qquad
          C = \sum_k \varphi_k \Big(1 + \sum_i \tilde P_{ik} \log_d \tilde P_{ik}\Big)

weighted by the shares :math:`\rho_i` of a dimension and :math:`\varphi_k` of a variable in all importance. D is 1 if
each dimension depends on one variable, C is 1 if each variable is encoded in one dimension. The informativeness I is
the mean over variables of the regressors' score on held-out codes: the share of the variance explained, or the
accuracy for a categorical variable, which has a classifier (Eastwood & Williams, ICLR 2018, section 2). Weights and
regressors (gradient boosting with the defaults of scikit-learn) are those of the published code of CausalDiffAE
(Komanduri et al., 2024, arXiv:2404.17735). Higher is better for all three.

A prior that ties all dimensions of a block to one label, as that of CausalDiffAE does, raises D and lowers C by
design.

The codes are the columns `code_<...>` of the answers to null interventions with one cycle, one row per factual image.
A random third of them is held out.
"""

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor

from ..core.noise import derive_seed, generator
from ..data.dataset import Dataset
from .inputs import Scorer, SetScore, SuiteAnswers
from .resources import Resources

__all__ = ["completeness", "dci", "disentanglement", "load"]

_NAMES = ("dci_disentanglement", "dci_completeness", "dci_informativeness")
_LEAST = 30
"""The minimum number of codes; with fewer, importances are mostly noise."""


def load(resources: Resources) -> Scorer:
    """Returns the scorer of the three scores `dci_...`; reads `scores.dci`."""
    return lambda answers: dci(answers, resources.settings.dci.codes)


def dci(answers: SuiteAnswers, most: int) -> list[SetScore]:
    """Returns `dci_disentanglement`, `dci_completeness` and `dci_informativeness`.

    Arguments:
        answers: The answers to the suite `null`.
        most: The maximum number of codes; the first ones are used.
    """
    questions = answers.questions
    names = [name for name in questions.columns if name.startswith("code_")]
    once = questions[questions["answered"].astype(bool) & (questions["cycles"] == 1)].iloc[:most]
    codes = once[names].to_numpy(np.float64)
    rows = np.isfinite(codes).all(1)
    group = ("none", "", 1)
    reason = ""
    if not names:
        reason = "the method has no codes"
    elif rows.sum() < _LEAST:
        reason = f"fewer than {_LEAST} codes of null interventions with one cycle"
    if reason:
        return [SetScore(name, group, np.nan, 0, reason=reason) for name in _NAMES]
    # After a null intervention the true parents are those of the factual image.
    labels = {name: once[f"true_{name}"].to_numpy(np.float64)[rows] for name in answers.dataset.names}
    importances, informativeness = _importances(codes[rows], labels, answers.dataset)
    values = (disentanglement(importances), completeness(importances), informativeness)
    count = int(rows.sum())
    return [SetScore(name, group, value, count) for name, value in zip(_NAMES, values, strict=True)]


def disentanglement(importances: np.ndarray) -> float:
    """Returns D in [0, 1] of importances (d, K); 1: every dimension depends on one variable only."""
    return _concentration(importances)


def completeness(importances: np.ndarray) -> float:
    """Returns C in [0, 1] of importances (d, K); 1: every variable is encoded in one dimension only."""
    return _concentration(importances.T)


def _concentration(importances: np.ndarray) -> float:
    """Returns the mean over rows, weighted by their sums, of one minus the entropy of a row's shares."""
    total = importances.sum(1, keepdims=True)
    shares = np.divide(importances, total, out=np.zeros_like(importances, dtype=np.float64), where=total > 0)
    logs = np.log(shares, out=np.zeros_like(shares), where=shares > 0)
    entropy = -(shares * logs).sum(1) / np.log(importances.shape[1])
    return float(np.average(1.0 - entropy, weights=total[:, 0]))


def _importances(
    codes: np.ndarray, labels: dict[str, np.ndarray], dataset: Dataset
) -> tuple[np.ndarray, float]:
    """Returns the importances (d, K) and the mean score of the regressors on held-out codes."""
    order = generator(0, "dci", "held out").permutation(len(codes))
    held_out, fitted = np.split(order, [len(codes) // 3])
    columns, scores = [], []
    for name, values in labels.items():
        classes = dataset.variable(name).classes
        seed = derive_seed(0, "dci", name) % 2**32
        model: BaseEstimator = (GradientBoostingClassifier if classes else GradientBoostingRegressor)(
            random_state=seed
        )
        model.fit(codes[fitted], values[fitted])
        columns.append(model.feature_importances_)
        scores.append(model.score(codes[held_out], values[held_out]))
    return np.stack(columns, axis=1), float(np.mean(scores))
