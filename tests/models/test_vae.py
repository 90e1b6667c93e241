"""Tests of the simple VAE: published sizes, the ELBO in closed form, exogenous latents and mediators."""

import math

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from counterfactory.models.image.vae import Vae
from counterfactory.nets.latents import Latent, gaussian_kl, mix
from counterfactory.nets.likelihood import discretised_gaussian_nll

PARENTS, PIXELS = 3, 64
PRIORS = ["exogenous", "conditional"]


def build(prior: str = "exogenous", seed: int = 0, **options) -> Vae:
    """Returns a small VAE whose weights are all non-zero."""
    torch.manual_seed(seed)
    model = Vae((1, 8, 8), PARENTS, channels=16, hidden=32, latent=5, prior=prior, **options)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn(parameter.shape)
    return model


def draw(count: int, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, list[torch.Tensor]]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 256, (count, 1, 8, 8), generator=generator) / 127.5 - 1
    return x, torch.randn(count, PARENTS, generator=generator), [torch.randn(count, 5, generator=generator)]


@pytest.mark.parametrize(("prior", "parameters"), [("exogenous", 208_274), ("conditional", 234_690)])
def test_published_size(prior, parameters):
    model = Vae((1, 32, 32), 12, prior=prior)
    assert sum(p.numel() for p in model.parameters()) == parameters
    assert model.noise_shapes == [(16,)]


@pytest.mark.parametrize("prior", PRIORS)
def test_elbo_in_closed_form(prior):
    model = build(prior)
    x, parents, noise = draw(6)
    nll, kl, z = model.elbo(x, parents, noise)
    (latent,) = model.abduct(x, parents, noise)
    q, p = (Normal(g[0], g[1].exp()) for g in (latent.posterior, latent.prior))
    torch.testing.assert_close(z[0], q.mean + q.stddev * noise[0])
    torch.testing.assert_close(kl, kl_divergence(q, p).sum(1).mean() / PIXELS)
    torch.testing.assert_close(nll, discretised_gaussian_nll(x, *model.predict(z, parents)).mean())
    if prior == "exogenous":
        assert (p.mean == 0).all() and (p.stddev == 1).all()


@pytest.mark.parametrize("prior", PRIORS)
def test_elbo_is_the_mean_of_the_images(prior):
    model = build(prior)
    x, parents, noise = draw(5)
    whole = model.elbo(x, parents, noise)
    single = [model.elbo(x[i : i + 1], parents[i : i + 1], [noise[0][i : i + 1]]) for i in range(5)]
    for part in range(2):
        torch.testing.assert_close(whole[part], torch.stack([image[part] for image in single]).mean())


def test_free_bits_bound_the_divergence_of_each_channel():
    model = build()
    x, parents, noise = draw(6)
    (latent,) = model.abduct(x, parents, noise)
    by_channel = gaussian_kl(latent.posterior, latent.prior).mean(0)
    floor = by_channel.median().item()
    assert (by_channel < floor).any() and (by_channel > floor).any()
    expected = sum(max(floor, nats) for nats in by_channel.tolist()) / PIXELS
    assert model.elbo(x, parents, noise, free_bits=floor)[1].item() == pytest.approx(expected, rel=1e-5)
    assert model.elbo(x, parents, noise, free_bits=50.0)[1].item() == pytest.approx(50 * 5 / PIXELS)


def test_temperature_scales_the_posterior():
    model = build()
    x, parents, noise = draw(4)
    mean, half, whole = (model.abduct(x, parents, noise, t)[0] for t in (0.0, 0.5, 1.0))
    torch.testing.assert_close(mean.z, mean.posterior[0])
    torch.testing.assert_close(half.z, (mean.z + whole.z) / 2)


def test_exogenous_latents_are_kept():
    model = build()
    x, parents, noise = draw(4)
    latents = model.abduct(x, parents, noise)
    assert torch.equal(model.mediate(latents, parents + 1, 0.3)[0], latents[0].z)


def test_mediators_move_from_posterior_to_prior():
    model = build("conditional")
    x, parents, noise = draw(4)
    latents = model.abduct(x, parents, noise)
    torch.testing.assert_close(
        model.mediate(latents, parents + 1, 1.0)[0], latents[0].z, rtol=1e-4, atol=1e-5
    )
    location, log_scale = model._prior(parents + 1)[0]
    torch.testing.assert_close(
        model.mediate(latents, parents + 1, 0.0)[0],
        location + log_scale.exp() * noise[0],
        rtol=1e-4,
        atol=1e-4,
    )
    assert not torch.allclose(model.mediate(latents, parents + 1, 0.5)[0], latents[0].z, atol=1e-2)


def test_generation_is_prediction_from_the_prior():
    model = build("conditional")
    _, parents, noise = draw(4)
    location, log_scale = model._prior(parents)[0]
    z = [location + 0.7 * log_scale.exp() * noise[0]]
    for one, other in zip(model.generate(parents, noise, 0.7), model.predict(z, parents), strict=True):
        assert one.shape == (4, 1, 8, 8)
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("prior", PRIORS)
def test_gradients_reach_every_weight(prior):
    model = build(prior, exposure=[0])
    model.head.exposure.fill_(0.4)  # a buffer, fitted and not trained
    x, parents, noise = draw(6)
    nll, kl, _ = model.elbo(x, parents, noise)
    (nll + kl).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("prior", PRIORS)
def test_parents_that_act_as_exposure_change_only_the_brightness(prior):
    model = build(prior, exposure=[0])
    model.head.exposure.fill_(0.4)  # a buffer, fitted and not trained
    _, parents, z = draw(4)
    with torch.no_grad():
        before, after = (model.predict(z, p)[0].flatten(1) for p in (parents, parents + torch.eye(3)[0]))
    assert not torch.allclose(before, after)
    # The new image is an affine function of the old one.
    pairs = torch.stack([before, after], dim=1)
    torch.testing.assert_close(torch.stack([torch.corrcoef(pair)[0, 1] for pair in pairs]), torch.ones(4))


def test_gaussian_divergence_is_that_of_torch():
    generator = torch.Generator().manual_seed(0)
    q, p = ((torch.randn(50, generator=generator), torch.randn(50, generator=generator)) for _ in range(2))
    expected = kl_divergence(Normal(q[0], q[1].exp()), Normal(p[0], p[1].exp()))
    torch.testing.assert_close(gaussian_kl(q, p), expected, rtol=1e-4, atol=1e-5)
    assert (gaussian_kl(q, q) == 0).all()


def test_mixture_has_the_published_moments():
    generator = torch.Generator().manual_seed(0)
    u = torch.randn(200_000, generator=generator)
    posterior, prior, a = (
        (torch.tensor(0.7), torch.tensor(-1.0)),
        (torch.tensor(-2.0), torch.tensor(0.3)),
        0.65,
    )
    z = posterior[0] + posterior[1].exp() * u
    mixed = mix(Latent(z, prior, posterior), prior, a)
    assert mixed.mean().item() == pytest.approx(a * 0.7 - (1 - a) * 2.0, abs=0.01)
    assert mixed.var().item() == pytest.approx(a**2 * math.exp(-2.0) + (1 - a) ** 2 * math.exp(0.6), rel=0.01)


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 32, 16)])
def test_sizes_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match="a multiple of 8"):
        Vae(shape, PARENTS)


def test_patches_fold_pixels_into_channels_at_both_ends():
    model = Vae((3, 32, 32), PARENTS, channels=16, hidden=32, latent=5, patch=2).eval()
    x, parents = torch.rand(4, 3, 32, 32) * 2 - 1, torch.randn(4, PARENTS)
    latents, location, log_scale = model.reconstruct(x, parents, [torch.randn(4, 5)])
    assert location.shape == log_scale.shape == x.shape and latents[0].z.shape == (4, 5)
    # The dense layers have the size of an image with half the side.
    half = Vae((3, 16, 16), PARENTS, channels=16, hidden=32, latent=5)
    assert model.dense[2].weight.shape == half.dense[2].weight.shape
    with pytest.raises(ValueError, match="a multiple of 16"):
        Vae((3, 24, 24), PARENTS, patch=2)
