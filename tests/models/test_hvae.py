"""Tests of the hierarchical VAE: published sizes and form, the ELBO in closed form, exogenous latents, mediators."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence

from counterfactory.models.image.hvae import Hvae
from counterfactory.nets.blocks import Block, spread
from counterfactory.nets.latents import gaussian_kl
from counterfactory.nets.likelihood import discretised_gaussian_nll

PARENTS, SIDE = 3, 8
SMALL = {
    "resolutions": [8, 4, 1],
    "widths": [8, 8, 12],
    "encoder_blocks": [2, 1, 1],
    "decoder_blocks": [1, 2, 1],
    "latents": [2, 2, 2],
}
PRIORS = ["exogenous", "conditional"]


def disturb(module: torch.nn.Module, size: float = 0.1) -> torch.nn.Module:
    """Sets all weights to non-zero values."""
    for parameter in module.parameters():
        parameter.data += size * torch.randn(parameter.shape)
    return module


def build(prior: str = "exogenous", seed: int = 0, **options) -> Hvae:
    torch.manual_seed(seed)
    return disturb(Hvae((1, SIDE, SIDE), PARENTS, **{**SMALL, "prior": prior, **options}))


def draw(model: Hvae, count: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (count, *model.shape), generator=generator) / 127.5 - 1
    parents = torch.randn(count, PARENTS, generator=generator)
    return x, parents, [torch.randn(count, *shape, generator=generator) for shape in model.noise_shapes]


def maps(vectors: torch.Tensor, side: int) -> torch.Tensor:
    return vectors[:, :, None, None].expand(-1, -1, side, side)


@pytest.mark.parametrize(("prior", "parameters"), [("exogenous", 2_041_122), ("conditional", 2_047_074)])
def test_published_size(prior, parameters):
    model = Hvae((1, 32, 32), 12, prior=prior)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert sum(p.numel() for p in model.encoder.parameters()) == 621_376
    assert len(model.noise_shapes) == 20
    assert sum(math.prod(shape) for shape in model.noise_shapes) == 87_104


@pytest.mark.parametrize("inputs", [1, 2])
@pytest.mark.parametrize("with_parents", [False, True])
@pytest.mark.parametrize("side", [1, 5])
def test_heavy_block_is_that_of_the_concatenation(inputs, with_parents, side):
    torch.manual_seed(0)
    width = 6 * inputs + PARENTS * with_parents
    block = disturb(Block(width, 4, 7, 3, "heavy", residual=False))
    inputs = list(torch.randn(inputs, 2, 6, side, side))
    parents = torch.randn(2, PARENTS) if with_parents else None
    h = torch.cat(inputs + ([maps(parents, side)] if with_parents else []), dim=1)
    for layer in block.layers:
        h = layer(F.gelu(h))
    assert [layer.kernel_size[0] for layer in block.layers] == [1, 3, 3, 1]
    torch.testing.assert_close(block(*inputs, parents=parents), h)


def test_a_light_block_equals_that_of_the_concatenation_inside_the_border():
    torch.manual_seed(0)
    block = disturb(Block(2 * 6 + PARENTS, 4, 7, 3, "light", residual=False))
    a, b, parents = torch.randn(2, 6, 9, 9), torch.randn(2, 6, 9, 9), torch.randn(2, PARENTS)
    h = torch.cat([a, b, maps(parents, 9)], dim=1)
    for layer in block.layers:
        h = layer(F.relu(h))
    torch.testing.assert_close(block(a, b, parents=parents)[..., 2:-2, 2:-2], h[..., 2:-2, 2:-2])


@pytest.mark.parametrize("kind", ["heavy", "light"])
def test_residual_blocks(kind):
    torch.manual_seed(0)
    x = torch.randn(2, 6, 8, 8)
    same = Block(6, 3, 6, 3, kind, scale=0.0)
    assert same.projection is None
    torch.testing.assert_close(same(x), x)
    pooled = Block(6, 3, 9, 3, kind, down=4, scale=0.0)
    torch.testing.assert_close(pooled(x), F.avg_pool2d(pooled.projection(x), 4))


def test_latents_and_parents_are_joined_as_published():
    torch.manual_seed(0)
    z, features, parents = torch.randn(2, 4, 5, 5), torch.randn(2, 6, 5, 5), torch.randn(2, PARENTS)
    layer = torch.nn.Conv2d(4 + PARENTS, 6, 1)
    torch.testing.assert_close(spread(layer, z, parents), layer(torch.cat([z, maps(parents, 5)], dim=1)))
    block = build().decoder[-2]
    h, z, features = (torch.randn(2, c, 4, 4) for c in (8, 2, 8))
    found = block.advance(h, z, features, parents)
    joined = block.from_latent(torch.cat([z, maps(parents, 4)], dim=1))
    torch.testing.assert_close(found[0], block.body(h + features + joined))
    torch.testing.assert_close(found[1], block.to_prior(torch.cat([z, features], dim=1)))


@pytest.mark.parametrize("prior", PRIORS)
def test_elbo_in_closed_form(prior):
    model = build(prior)
    x, parents, noise = draw(model, 4)
    nll, kl, z = model.elbo(x, parents, noise)
    latents = model.abduct(x, parents, noise)
    expected = 0.0
    for latent, drawn, eps in zip(latents, z, noise, strict=True):
        q, p = (Normal(g[0], g[1].exp()) for g in (latent.posterior, latent.prior))
        torch.testing.assert_close(drawn, q.mean + q.stddev * eps)
        expected += kl_divergence(q, p).sum((1, 2, 3)).mean()
    torch.testing.assert_close(kl, expected / SIDE**2)
    torch.testing.assert_close(nll, discretised_gaussian_nll(x, *model.predict(z, parents)).mean())


@pytest.mark.parametrize("prior", PRIORS)
def test_elbo_is_the_mean_of_the_images(prior):
    model = build(prior)
    x, parents, noise = draw(model, 5)
    whole = model.elbo(x, parents, noise)
    rows = [slice(i, i + 1) for i in range(5)]
    single = [model.elbo(x[row], parents[row], [eps[row] for eps in noise]) for row in rows]
    for part in range(2):
        torch.testing.assert_close(whole[part], torch.stack([image[part] for image in single]).mean())


def test_free_bits_bound_the_divergence_of_each_layer_and_channel():
    model = build()
    x, parents, noise = draw(model, 6)
    latents = model.abduct(x, parents, noise)
    nats = torch.cat([gaussian_kl(latent.posterior, latent.prior).sum((2, 3)).mean(0) for latent in latents])
    assert len(nats) == len(latents) * 2
    floor = nats.median().item()
    assert (nats < floor).any() and (nats > floor).any()
    expected = nats.clamp(min=floor).sum() / SIDE**2
    torch.testing.assert_close(model.elbo(x, parents, noise, free_bits=floor)[1], expected)
    everything = model.elbo(x, parents, noise, free_bits=1e4)[1].item()
    assert everything == pytest.approx(1e4 * len(nats) / SIDE**2)


def test_before_training_the_prior_is_standard_normal():
    torch.manual_seed(0)
    model = Hvae((1, SIDE, SIDE), PARENTS, **SMALL)
    for latent in model.abduct(*draw(model, 3)):
        assert not any(moment.any() for moment in latent.prior)


def test_the_scale_of_the_prior_is_limited_in_the_bound_and_in_samples():
    free, limited = build(), build(prior_log_scale=0.05)
    x, parents, noise = draw(free, 6)
    scales = [latent.prior[1] for latent in free.abduct(x, parents, noise)]
    assert any((scale > 0.05).any() for scale in scales) and any((scale < 0.05).any() for scale in scales)
    latents = limited.abduct(x, parents, noise)
    # The first layer receives no latents: its prior is that without a limit, limited.
    assert torch.equal(latents[0].prior[1], scales[0].clamp(max=0.05))
    assert all((latent.prior[1] <= 0.05).all() for latent in latents)
    _, divergence, _ = limited.elbo(x, parents, noise)
    total = sum(gaussian_kl(latent.posterior, latent.prior).sum() for latent in latents)
    torch.testing.assert_close(divergence, total / x.numel())
    assert torch.equal(
        build(prior_log_scale=50.0).generate(parents, noise)[0], free.generate(parents, noise)[0]
    )
    assert not torch.equal(limited.generate(parents, noise)[0], free.generate(parents, noise)[0])


def priors(model: Hvae, z: list[torch.Tensor], parents: torch.Tensor) -> torch.Tensor:
    """Returns the priors of all layers and the latents."""
    latents = model._decode(parents, lambda number, prior, posterior: z[number])[1]
    return torch.cat([moment.flatten(1) for latent in latents for moment in latent.prior], dim=1)


def test_exogenous_priors_do_not_depend_on_the_parents():
    model = build()
    _, parents, z = draw(model, 3)
    parents.requires_grad_()
    found = priors(model, z, parents)
    # There is no gradient at all, because there is no path.
    assert torch.autograd.grad(found.sum(), parents, allow_unused=True)[0] is None
    assert torch.equal(found, priors(model, z, parents + 5))
    assert found.std() > 0.01


def test_conditional_priors_depend_on_the_parents():
    model = build("conditional")
    _, parents, z = draw(model, 3)
    parents.requires_grad_()
    (gradient,) = torch.autograd.grad(priors(model, z, parents).sum(), parents)
    assert (gradient != 0).all()


def test_conditioning_dropout_hides_parents_from_the_prior_only():
    model = build("conditional")
    x, parents, noise = draw(model, 3)
    hidden = parents * torch.tensor([1.0, 1.0, 0.0])
    nll, kl, z = model.elbo(x, parents, noise, prior_parents=hidden)
    assert not torch.allclose(kl, model.elbo(x, parents, noise)[1])
    # The first posterior does not depend on any prior.
    assert torch.equal(z[0], model.elbo(x, parents, noise)[2][0])
    torch.testing.assert_close(
        model.elbo(x, parents, noise, prior_parents=parents)[1], model.elbo(x, parents, noise)[1]
    )


def test_exogenous_latents_are_kept():
    model = build()
    x, parents, noise = draw(model, 3)
    latents = model.abduct(x, parents, noise)
    for z, latent in zip(model.mediate(latents, parents + 1, 0.3), latents, strict=True):
        assert torch.equal(z, latent.z)


def test_mediators_with_weight_one_are_the_factual_latents():
    model = build("conditional")
    x, parents, noise = draw(model, 3)
    latents = model.abduct(x, parents, noise)
    for z, latent in zip(model.mediate(latents, parents + 1, 1.0), latents, strict=True):
        torch.testing.assert_close(z, latent.z, rtol=1e-4, atol=1e-5)


def test_mediators_with_weight_zero_are_generated_from_the_prior():
    model = build("conditional")
    x, parents, noise = draw(model, 3)
    changed = parents + 1
    z = model.mediate(model.abduct(x, parents, noise), changed, 0.0)
    for one, other in zip(model.predict(z, changed), model.generate(changed, noise), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)


def test_each_mediator_depends_on_those_above_it():
    model = build("conditional")
    x, parents, noise = draw(model, 3)
    changed, a = parents + 1, 0.4
    latents = model.abduct(x, parents, noise)
    mediated = model.mediate(latents, changed, a)
    after = model._decode(changed, lambda number, prior, posterior: mediated[number])[1]
    for z, latent, new, eps in zip(mediated, latents, after, noise, strict=True):
        (m_q, s_q), (m_p, s_p) = latent.posterior, new.prior
        spread = (a**2 * (2 * s_q).exp() + (1 - a) ** 2 * (2 * s_p).exp()).sqrt()
        torch.testing.assert_close(z, a * m_q + (1 - a) * m_p + spread * eps, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("prior", PRIORS)
def test_prediction_is_deterministic(prior):
    model = build(prior)
    x, parents, noise = draw(model, 3)
    z = [latent.z for latent in model.abduct(x, parents, noise)]
    for one, other in zip(model.predict(z, parents), model.predict(z, parents), strict=True):
        assert one.shape == x.shape
        assert torch.equal(one, other)
    again = model.abduct(x, parents, noise)
    assert all(torch.equal(latent.z, drawn) for latent, drawn in zip(again, z, strict=True))


def test_temperature_scales_every_layer():
    model = build()
    x, parents, noise = draw(model, 3)
    for latent in model.abduct(x, parents, noise, temperature=0.0):
        torch.testing.assert_close(latent.z, latent.posterior[0])
    first = [model.abduct(x, parents, noise, t)[0].z for t in (0.0, 0.5, 1.0)]
    torch.testing.assert_close(first[1], (first[0] + first[2]) / 2)


def test_blocks_without_latents():
    everywhere, coarse = build(), build(latents=[0, 2, 2])
    assert everywhere.noise_shapes == [(2, 1, 1), (2, 4, 4), (2, 4, 4), (2, 8, 8)]
    assert coarse.noise_shapes == everywhere.noise_shapes[:3]
    x, parents, noise = draw(coarse, 3)
    nll, kl, z = coarse.elbo(x, parents, noise)
    assert len(z) == 3 and nll.isfinite() and kl > 0
    # These blocks still condition on the parents and refine the features.
    assert not torch.allclose(coarse.predict(z, parents)[0], coarse.predict(z, parents + 1)[0])
    refining = coarse.decoder[-1]
    h = torch.randn(3, 8, 8, 8)
    joined = F.conv2d(maps(parents, 8), refining.from_latent.weight, refining.from_latent.bias)
    torch.testing.assert_close(refining.refine(h, parents), refining.body(h + joined))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prior": "conditional"},
        {"block": "light"},
        {"latents": [0, 2, 2]},
        {"patch": 2, "resolutions": [4, 2, 1]},
        {"exposure": [0]},
    ],
    ids=["exogenous", "conditional", "light", "coarse", "patch", "exposure"],
)
def test_gradients_reach_every_weight_with_an_effect(options):
    model = build(**options)
    x, parents, noise = draw(model, 6)
    nll, kl, _ = model.elbo(x, parents, noise)
    (nll + kl).backward()
    idle = {name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()}
    # After the last latent the prior state has no effect.
    last = max(number for number, block in enumerate(model.decoder) if block.latent)
    assert idle == {f"decoder.{last}.to_prior.weight", f"decoder.{last}.to_prior.bias"}


@pytest.mark.parametrize("prior", PRIORS)
def test_parents_that_act_as_exposure_change_only_the_brightness(prior):
    model = build(prior, exposure=[0], block="light")
    model.head.exposure.fill_(0.4)  # a buffer, fitted and not trained
    _, parents, z = draw(model, 4)
    with torch.no_grad():
        before, after = (model.predict(z, p)[0].flatten(1) for p in (parents, parents + torch.eye(3)[0]))
    assert not torch.allclose(before, after)
    pairs = torch.stack([before, after], dim=1)
    torch.testing.assert_close(torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs]), torch.ones(4))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"widths": [8, 8]}, "widths"),
        ({"patch": 2}, "resolutions"),
        ({"resolutions": [4, 2, 1]}, "resolutions"),
        ({"resolutions": [8, 8, 1]}, "resolutions"),
        ({"resolutions": [8, 5, 1]}, "resolutions"),
        ({"latents": [0, 0, 0]}, "latents"),
        ({"latents": [2, 2]}, "latents"),
    ],
)
def test_sizes_that_do_not_fit_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        Hvae((1, SIDE, SIDE), PARENTS, **{**SMALL, **options})
