r"""Causal mechanisms: a variable as an invertible function of its exogenous noise, given its causes.

Continuous variables are flows of standard normal noise u, on the scale of network inputs (`low` is -1, `high` is +1):

.. math::
    \text{root:} \quad x = a + b \, \mathrm{spline}(u), \qquad
    \text{effect:} \quad x = c + d \, \sigma\big(\mu(\mathrm{pa}) + e^{s(\mathrm{pa})} u\big).

The spline is linear rational (Dolatabadi et al., 2020, arXiv:2001.05168) and the identity outside its interval; a and b
are learned. c and d of an effect are learned too, so that the support can exceed the data. In the tails the sigmoid
continues as a straight line, so that a value outside the support has finite noise and is reproduced from it.
Categorical variables are Gumbel-max mechanisms (:mod:`counterfactory.scm.gumbel`) with learned logits or with a network
of the causes. (Pawlowski et al., 2020, arXiv:2006.06485; De Sousa Ribeiro et al., 2023, arXiv:2306.15764.)

Every mechanism has `log_prob(value, context)` in nats, `abduct(value, context, ...)` from value to noise,
`predict(noise, context)` from noise to value, and `distribution(context)` for Pyro. `context` is the encoded causes
with shape (N, P), or None for a root.
"""

import math
from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import pyro.distributions.transforms as transforms
import torch
import torch.nn.functional as F
from pyro.distributions import constraints
from pyro.distributions.conditional import ConditionalTransformModule
from pyro.nn import DenseNN
from torch import Tensor, nn
from torch.distributions import Transform

from ..data.dataset import Variable
from .gumbel import gumbel_max, gumbel_posterior

__all__ = [
    "AffineSigmoidMechanism",
    "CategoricalMechanism",
    "ConditionalAffine",
    "Conditioner",
    "FlowMechanism",
    "Mechanism",
    "SplineMechanism",
    "TailedSigmoid",
    "build_mechanism",
]

BOUND = 4.0
"""Half the width of the spline's interval. 6 in 100,000 draws of the noise are outside of it."""


class TailedSigmoid(Transform):
    r"""The sigmoid, continued as its tangent where :math:`|x|` is above `tail`: a bijection of the real line.

    .. math:: y = \sigma(\bar{x}) + \sigma'(\mathrm{tail}) \, (x - \bar{x}), \qquad
        \bar{x} = \min(\max(x, -\mathrm{tail}), \mathrm{tail}).

    With `tail` = 8 the tangent begins 0.0003 before the ends, and in float64 the error of the inverse is at most 1e-12
    in x everywhere.
    """

    domain = constraints.real
    codomain = constraints.real
    bijective = True
    sign = +1

    def __init__(self, tail: float = 8.0) -> None:
        super().__init__()
        self.tail = tail
        self.end = 1.0 / (1.0 + math.exp(-tail))
        self.slope = self.end * (1.0 - self.end)

    def _call(self, x: Tensor) -> Tensor:
        inner = x.clamp(-self.tail, self.tail)
        return inner.sigmoid() + self.slope * (x - inner)

    def _inverse(self, y: Tensor) -> Tensor:
        inner = y.clamp(1.0 - self.end, self.end)
        return inner.logit() + (y - inner) / self.slope

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Returns `log |dy/dx|`, elementwise."""
        inner = x.clamp(-self.tail, self.tail)
        return -F.softplus(inner) - F.softplus(-inner)


class Conditioner(nn.Module):
    """A linear map plus a dense network, both initialized to zero.

    The linear part represents a linear mechanism exactly, and makes the extrapolation linear.

    Arguments:
        width: The number of inputs.
        hidden: The widths of the hidden layers.
        outputs: The number of outputs.
    """

    def __init__(self, width: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, outputs)
        self.network = DenseNN(width, list(hidden), param_dims=[outputs], nonlinearity=nn.SiLU())
        for parameter in (*self.linear.parameters(), *self.network.layers[-1].parameters()):
            nn.init.zeros_(parameter)

    def forward(self, context: Tensor) -> Tensor:
        """Maps (N, width) to (N, outputs)."""
        return self.linear(context) + self.network(context)

    def penalty(self) -> Tensor:
        """Returns the sum of the squared weights of the network, without biases and without the linear part."""
        layers: Any = self.network.layers
        total: Any = sum(layer.weight.square().sum() for layer in layers)
        return total


class ConditionalAffine(ConditionalTransformModule):
    """The transform x -> location + exp(log scale) x, with both from a :class:`Conditioner` of the causes."""

    domain = constraints.real
    codomain = constraints.real
    bijective = True

    def __init__(self, width: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.conditioner = Conditioner(width, hidden, 2)

    def condition(self, context: Tensor) -> transforms.AffineTransform:
        """Returns the transform for each row of `context`; it maps values with shape (N, 1)."""
        location, log_scale = self.conditioner(context).split(1, dim=-1)
        return transforms.AffineTransform(location, log_scale.exp())


class FlowMechanism(nn.Module):
    """A continuous variable as an invertible flow of standard normal noise; subclasses define :meth:`flow`."""

    def flow(self, context: Tensor | None) -> list[Transform]:
        """Returns the transforms from noise to value, for tensors with shape (N, 1)."""
        raise NotImplementedError

    def distribution(self, context: Tensor | None = None) -> dist.TransformedDistribution:
        """Returns the distribution of the value, with event shape (1,)."""
        like = next(self.parameters())
        base = dist.Normal(like.new_zeros(1), like.new_ones(1)).to_event(1)
        return dist.TransformedDistribution(base, self.flow(context))

    def log_prob(self, value: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns the log-density of values (N,), in nats, with shape (N,)."""
        return self.distribution(context).log_prob(value.unsqueeze(-1))

    def abduct(self, value: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns the noise (N,) of values (N,)."""
        noise = value.unsqueeze(-1)
        for transform in reversed(self.flow(context)):
            noise = transform.inv(noise)
        return noise.squeeze(-1)

    def predict(self, noise: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns the values (N,) of noise (N,)."""
        value = noise.unsqueeze(-1)
        for transform in self.flow(context):
            value = transform(value)
        return value.squeeze(-1)


class SplineMechanism(FlowMechanism):
    """A continuous root: a spline flow, unconditional.

    It is initialized to a normal distribution with a standard deviation of 1/4.

    Arguments:
        bins: The number of bins of the spline.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.spline = transforms.Spline(1, count_bins=bins, bound=BOUND, order="linear")
        # Pyro's initialization is random. Equal bins of slope 1 are the identity; slopes are 0.001 +
        # softplus(parameter).
        for parameter in self.spline.parameters():
            nn.init.zeros_(parameter)
        nn.init.constant_(self.spline.unnormalized_derivatives, math.log(math.expm1(0.999)))
        self.location = nn.Parameter(torch.zeros(1))
        self.log_scale = nn.Parameter(torch.full((1,), -math.log(BOUND)))

    def flow(self, context: Tensor | None = None) -> list[Transform]:
        """Returns the spline and the affine map that follows it."""
        return [self.spline, transforms.AffineTransform(self.location, self.log_scale.exp())]


class AffineSigmoidMechanism(FlowMechanism):
    """A continuous effect: conditional affine flow, sigmoid, learned support.

    The initial support exceeds [-1, 1] by 2 % of its width at either end.

    Arguments:
        width: The number of columns of the causes.
        hidden: The widths of the hidden layers of the conditioner.
    """

    def __init__(self, width: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.affine = ConditionalAffine(width, hidden)
        self.sigmoid = TailedSigmoid()
        self.lower = nn.Parameter(torch.full((1,), -1.04))
        self.upper = nn.Parameter(torch.full((1,), 1.04))

    def flow(self, context: Tensor | None) -> list[Transform]:
        """Returns the conditional affine map, the sigmoid, and the affine map onto the support."""
        assert context is not None  # an effect has causes
        support = transforms.AffineTransform(self.lower, (self.upper - self.lower).clamp(min=1e-3))
        return [self.affine.condition(context), self.sigmoid, support]


class CategoricalMechanism(nn.Module):
    """A categorical variable: Gumbel-max, with learned logits (root) or logits of the causes (effect).

    Arguments:
        classes: The number of classes K.
        width: The number of columns of the causes; 0 for a root.
        hidden: The widths of the hidden layers of the conditioner.
    """

    def __init__(self, classes: int, width: int = 0, hidden: Sequence[int] = ()) -> None:
        super().__init__()
        self.conditioner = Conditioner(width, hidden, classes) if width else None
        self.bias = None if width else nn.Parameter(torch.zeros(classes))

    def logits(self, context: Tensor | None = None) -> Tensor:
        """Returns the log-probabilities of the classes, with shape (N, K), or (K,) for a root."""
        raw: Any = self.bias if self.conditioner is None else self.conditioner(context)
        return raw.log_softmax(dim=-1)

    def distribution(self, context: Tensor | None = None) -> dist.Categorical:
        """Returns the distribution of the class."""
        return dist.Categorical(logits=self.logits(context))

    def log_prob(self, value: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns the log-probability of classes (N,), in nats, with shape (N,)."""
        logits = self.logits(context).expand(*value.shape, -1)
        return logits.gather(-1, value.unsqueeze(-1)).squeeze(-1)

    def abduct(self, value: Tensor, context: Tensor | None, gumbels: Tensor) -> Tensor:
        """Draws the noise (N, K) given classes (N,), from standard Gumbels (N, K)."""
        return gumbel_posterior(self.logits(context), value, gumbels)

    def predict(self, noise: Tensor, context: Tensor | None = None) -> Tensor:
        """Returns the classes (N,) of noise (N, K)."""
        return gumbel_max(self.logits(context), noise)


Mechanism = FlowMechanism | CategoricalMechanism
"""The function of one variable."""


def build_mechanism(variable: Variable, width: int, bins: int, hidden: Sequence[int]) -> Mechanism:
    """Returns a new mechanism for `variable`.

    Arguments:
        variable: The variable.
        width: The number of columns of its causes; 0 for a root.
        bins: The number of bins of a spline flow.
        hidden: The widths of the hidden layers of conditioners.
    """
    if variable.kind == "categorical":
        return CategoricalMechanism(variable.classes, width, hidden)
    return AffineSigmoidMechanism(width, hidden) if width else SplineMechanism(bins)
