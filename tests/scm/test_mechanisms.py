import math

import pytest
import torch
from torch import Tensor

from counterfactory.data.dataset import Variable
from counterfactory.scm.mechanisms import (
    BOUND,
    AffineSigmoidMechanism,
    CategoricalMechanism,
    Conditioner,
    SplineMechanism,
    TailedSigmoid,
    build_mechanism,
)

LOG_NORMAL = -0.5 * math.log(2.0 * math.pi)


def perturbed(mechanism, scale: float = 0.3):
    """The mechanism in float64, with random instead of initial parameters."""
    generator = torch.Generator().manual_seed(0)
    for parameter in mechanism.double().parameters():
        parameter.data += scale * torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
    return mechanism


def flows() -> list:
    context = torch.linspace(-1.5, 1.5, 401, dtype=torch.float64).unsqueeze(-1)
    wide = torch.cat([context, context.sin(), context.square()], dim=-1)
    return [
        pytest.param(perturbed(SplineMechanism(4)), None, id="spline 4"),
        pytest.param(perturbed(SplineMechanism(8)), None, id="spline 8"),
        pytest.param(perturbed(AffineSigmoidMechanism(1, [8])), context, id="affine 1"),
        pytest.param(perturbed(AffineSigmoidMechanism(3, [8, 8])), wide, id="affine 3"),
    ]


def derivative(mechanism, noise: Tensor, context: Tensor | None) -> Tensor:
    noise = noise.clone().requires_grad_()
    return torch.autograd.grad(mechanism.predict(noise, context).sum(), noise)[0]


@pytest.mark.parametrize("tail", [4.0, 8.0])
def test_tailed_sigmoid_inverts_and_knows_its_slope(tail):
    transform = TailedSigmoid(tail)
    x = torch.linspace(-40, 40, 2001, dtype=torch.float64, requires_grad=True)
    y = transform(x)
    (slope,) = torch.autograd.grad(y.sum(), x, retain_graph=True)
    torch.testing.assert_close(transform.log_abs_det_jacobian(x, y), slope.log())
    torch.testing.assert_close(transform.inv(y), x, rtol=0, atol=1e-9)
    assert (y.diff() > 0).all()
    inside = x.abs() <= tail
    torch.testing.assert_close(y[inside], x[inside].sigmoid())


@pytest.mark.parametrize(("mechanism", "context"), flows())
def test_log_density_is_the_change_of_variables(mechanism, context):
    noise = torch.linspace(-5.0, 5.0, 401, dtype=torch.float64)
    value = mechanism.predict(noise, context)
    expected = LOG_NORMAL - 0.5 * noise.square() - derivative(mechanism, noise, context).log()
    torch.testing.assert_close(mechanism.log_prob(value, context), expected, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize(("mechanism", "context"), flows())
def test_density_integrates_to_one(mechanism, context):
    for row in (0, 200, 400):
        row_context = None if context is None else context[row].expand(40_001, -1)
        ends = mechanism.predict(
            torch.tensor([-9.0, 9.0]).double(), None if context is None else context[row].expand(2, -1)
        )
        grid = torch.linspace(*ends.tolist(), 40_001, dtype=torch.float64)
        mass = torch.trapezoid(mechanism.log_prob(grid, row_context).exp(), grid)
        assert abs(mass.item() - 1.0) < 1e-4


@pytest.mark.parametrize(("mechanism", "context"), flows())
def test_values_return_from_their_noise_however_extreme(mechanism, context):
    # Ten times beyond the range of the data at either end, where the inverse of a sigmoid alone does not exist.
    value = torch.linspace(-10.0, 10.0, 401, dtype=torch.float64)
    noise = mechanism.abduct(value, context)
    assert noise.isfinite().all()
    torch.testing.assert_close(mechanism.predict(noise, context), value, rtol=0, atol=1e-9)
    assert mechanism.log_prob(value, context).isfinite().all()


@pytest.mark.parametrize(("mechanism", "context"), flows())
def test_noise_returns_from_its_values_however_extreme(mechanism, context):
    noise = torch.linspace(-12.0, 12.0, 401, dtype=torch.float64)
    value = mechanism.predict(noise, context)
    torch.testing.assert_close(mechanism.abduct(value, context), noise, rtol=0, atol=1e-6)
    if context is None:
        assert (value.diff() > 0).all()


@pytest.mark.parametrize(("mechanism", "context"), flows())
def test_pyro_distribution_is_the_mechanism(mechanism, context):
    value = torch.linspace(-0.9, 0.9, 401, dtype=torch.float64)
    log_prob = mechanism.distribution(context).log_prob(value.unsqueeze(-1))
    torch.testing.assert_close(log_prob, mechanism.log_prob(value, context))


def test_fresh_spline_is_a_normal_distribution():
    value = torch.linspace(-3.0, 3.0, 101, dtype=torch.float64)
    expected = torch.distributions.Normal(0.0, 1.0 / BOUND).log_prob(value)
    # Pyro gives the spline's ends a slope of 0.999.
    torch.testing.assert_close(SplineMechanism(8).double().log_prob(value), expected, rtol=0, atol=2e-3)


def test_spline_is_affine_outside_of_its_box():
    mechanism = perturbed(SplineMechanism(8))
    noise = torch.tensor([-9.0, -4.1, 4.1, 9.0], dtype=torch.float64)
    expected = mechanism.location + mechanism.log_scale.exp() * noise
    torch.testing.assert_close(mechanism.predict(noise), expected)


def test_affine_sigmoid_contains_the_true_intensity():
    # i = 64 + 191 sigmoid(2 (t - 2.5) + u / 2), with both variables scaled to [-1, 1] by the published ranges.
    low, high = torch.tensor([0.87598526, 66.601204]).double(), torch.tensor([6.255515, 254.90317]).double()
    mechanism = AffineSigmoidMechanism(1, [4]).double()
    linear = mechanism.affine.conditioner.linear
    half = float(high[0] - low[0]) / 2
    linear.weight.data[0, 0] = 2.0 * half
    linear.bias.data[0] = 2.0 * (float(low[0]) + half - 2.5)
    linear.bias.data[1] = math.log(0.5)
    ends = 2.0 * (torch.tensor([64.0, 255.0]).double() - low[1]) / (high[1] - low[1]) - 1.0
    mechanism.lower.data[0], mechanism.upper.data[0] = ends

    generator = torch.Generator().manual_seed(1)
    t = torch.empty(1000, dtype=torch.float64).uniform_(0.9, 5.0, generator=generator)
    u = torch.randn(1000, dtype=torch.float64, generator=generator)
    s = torch.sigmoid(2.0 * (t - 2.5) + 0.5 * u)
    context = (2.0 * (t - low[0]) / (high[0] - low[0]) - 1.0).unsqueeze(-1)
    value = 2.0 * (64.0 + 191.0 * s - low[1]) / (high[1] - low[1]) - 1.0
    torch.testing.assert_close(mechanism.predict(u, context), value)
    torch.testing.assert_close(mechanism.abduct(value, context), u, rtol=0, atol=1e-8)
    density = LOG_NORMAL - 0.5 * u**2 - (0.5 * 191.0 * s * (1 - s) * 2.0 / (high[1] - low[1])).log()
    torch.testing.assert_close(mechanism.log_prob(value, context), density)


@pytest.mark.parametrize("width", [0, 2])
def test_categorical_probabilities_sum_to_one(width):
    mechanism = perturbed(CategoricalMechanism(5, width, [4]))
    context = torch.randn(7, width, dtype=torch.float64) if width else None
    log_prob = torch.stack([mechanism.log_prob(torch.full((7,), k), context) for k in range(5)])
    torch.testing.assert_close(log_prob.exp().sum(0), torch.ones(7, dtype=torch.float64))
    drawn = mechanism.distribution(context).log_prob(torch.full((7,), 3))
    torch.testing.assert_close(drawn, log_prob[3])


def test_conditioner_starts_at_zero_and_penalises_its_network_only():
    conditioner = Conditioner(2, [4, 4], 3)
    assert not conditioner(torch.randn(6, 2)).any()
    before = conditioner.penalty()
    assert before > 0
    conditioner.linear.weight.data += 1.0
    assert conditioner.penalty() == before
    conditioner.network.layers[0].weight.data *= 2.0
    assert conditioner.penalty() > before


def test_kind_and_causes_choose_the_mechanism():
    number, kind = Variable("x", "continuous"), Variable("k", "categorical", classes=3)
    assert isinstance(build_mechanism(number, 0, 8, [4]), SplineMechanism)
    assert isinstance(build_mechanism(number, 2, 8, [4]), AffineSigmoidMechanism)
    assert build_mechanism(kind, 0, 8, [4]).conditioner is None
    assert build_mechanism(kind, 2, 8, [4]).conditioner is not None
