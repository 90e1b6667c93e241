r"""Maximum likelihood of one mechanism, on the whole training split at once.

The likelihood of a structural causal model factorises over its mechanisms, so that each is fitted and
selected by itself:

.. math:: \min_\theta \; -\frac{1}{N} \sum_n \log p_\theta(x_n \mid \mathrm{pa}_n) + \lambda \lVert W \rVert^2

by L-BFGS with a strong Wolfe line search (Nocedal & Wright, 2006, *Numerical Optimization*, algorithms 3.5 and
7.5); W are the weights of the hidden layers. There are at most a few thousand parameters and there is no noise,
and the ends of a support are stiff: a hundred iterations with curvature end where thousands of steps of a
stochastic gradient do not.

The validation split selects. What is kept is the *latest* iterate whose validation log-likelihood, summed over
the rows, is within two nats of the best seen: support of two units (Edwards, 1972, *Likelihood*) does not tell
hypotheses apart, and the later iterate has converged further.
"""

import math
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from .mechanisms import Conditioner

__all__ = ["ROUND", "fit_mechanism"]

ROUND = 10
"""L-BFGS iterations between two looks at the validation split."""

PENALTY = 1e-3
"""The weight of the squared weights, lambda."""

SUPPORT = 2.0
"""Nats, summed over the validation rows, by which what is kept may fall short of the best."""

CONVERGED = 3e-5
"""Nats by which the objective must fall over `PATIENCE` rounds, or the fit has converged."""

PATIENCE = 3
"""Rounds without progress, of the objective or on the validation split, that end the fit."""


def fit_mechanism(
    mechanism: nn.Module,
    train: tuple[Tensor, Tensor | None],
    valid: tuple[Tensor, Tensor | None],
    steps: int,
) -> Iterator[tuple[float, float]]:
    """Fits `mechanism` in place, and yields after every round of :data:`ROUND` iterations.

    Once the iterator is exhausted the mechanism holds the parameters selected.

    Arguments:
        mechanism: A mechanism with `log_prob(value, context)`.
        train: The values (N,) and the context (N, P) of the training rows; the context of a root is None.
        valid: The same of the validation rows.
        steps: L-BFGS iterations at most.

    Yields:
        The mean NLL of the training and of the validation rows, in nats.
    """
    conditioners = [module for module in mechanism.modules() if isinstance(module, Conditioner)]
    optimizer = torch.optim.LBFGS(
        mechanism.parameters(),
        history_size=2 * ROUND,
        line_search_fn="strong_wolfe",
        tolerance_grad=1e-8,
        tolerance_change=1e-12,
    )

    def objective() -> tuple[Tensor, Tensor]:
        nll = -mechanism.log_prob(*train).mean()
        return nll + PENALTY * sum(conditioner.penalty() for conditioner in conditioners), nll

    def closure() -> Tensor:
        optimizer.zero_grad()
        value, _ = objective()
        value.backward()
        return value

    tolerance = SUPPORT / len(valid[0])
    best, kept, bad, values = math.inf, _state(mechanism), 0, [math.inf] * PATIENCE
    for done in range(0, steps, ROUND):
        optimizer.param_groups[0]["max_iter"] = min(ROUND, steps - done)
        optimizer.step(closure)
        with torch.no_grad():
            value, train_nll = (float(tensor) for tensor in objective())
            valid_nll = -float(mechanism.log_prob(*valid).mean())
        if not math.isfinite(value + valid_nll):
            break
        yield train_nll, valid_nll
        best, bad = min(best, valid_nll), bad + 1
        if valid_nll <= best + tolerance:
            kept, bad = _state(mechanism), 0
        if bad >= PATIENCE or values[-PATIENCE] - value < CONVERGED:
            break
        values.append(value)
    mechanism.load_state_dict(kept)
    mechanism.zero_grad()


def _state(mechanism: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in mechanism.state_dict().items()}
