r"""Maximum-likelihood fit of one mechanism, with the whole training split as one batch.

The likelihood of a structural causal model factorizes over its mechanisms, so each mechanism is fitted and selected
separately:

.. math:: \min_\theta \; -\frac{1}{N} \sum_n \log p_\theta(x_n \mid \mathrm{pa}_n) + \lambda \lVert W \rVert^2

by L-BFGS with a strong Wolfe line search (Nocedal & Wright, 2006, *Numerical Optimization*, algorithms 3.5 and 7.5),
where W are the weights of the hidden layers. There are at most a few thousand parameters, the objective is not
stochastic, and it is stiff at the ends of a support. A hundred iterations with curvature converge where thousands of
steps of a stochastic gradient do not.

The validation split selects the parameters: the *latest* iterate whose validation log-likelihood, summed over the rows,
is within two nats of the best one. A support of two units (Edwards, 1972, *Likelihood*) does not distinguish
hypotheses, and the later iterate has converged further.
"""

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from .mechanisms import Conditioner, Mechanism

__all__ = ["ROUND", "fit_mechanism"]

ROUND = 10
"""L-BFGS iterations between two evaluations on the validation split."""

PENALTY = 1e-3
"""The weight lambda of the penalty."""

SUPPORT = 2.0
"""The largest difference, in nats summed over the validation rows, of the selected iterate from the best one."""

CONVERGED = 3e-5
"""The fit has converged if the objective decreases by less than this over `PATIENCE` rounds, in nats per row."""

PATIENCE = 3
"""The number of rounds without improvement, of the objective or on the validation split, after which the fit ends."""


def fit_mechanism(
    mechanism: Mechanism,
    train: tuple[Tensor, Tensor | None],
    valid: tuple[Tensor, Tensor | None],
    steps: int,
) -> Iterator[tuple[float, float]]:
    """Fits `mechanism` in place and yields after every round of :data:`ROUND` iterations.

    The mechanism has the selected parameters when the iterator is exhausted.

    Arguments:
        mechanism: A mechanism with `log_prob(value, context)`.
        train: The values (N,) and the context (N, P) of the training rows; the context of a root is None.
        valid: The values and the context of the validation rows.
        steps: The maximum number of L-BFGS iterations.

    Yields:
        The mean NLL of the training rows and of the validation rows, in nats.
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
        penalty: Any = sum(conditioner.penalty() for conditioner in conditioners)
        return nll + PENALTY * penalty, nll

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
