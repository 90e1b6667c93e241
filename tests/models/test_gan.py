"""Tests of adversarial networks: shapes, the effect of parents and exposure, spectral normalisation."""

import pytest
import torch

from counterfactory.models.gan.network import Discriminator, Gan, draw_latents

SHAPE, PARENTS, LATENT = (1, 16, 16), 5, 6


def networks(**changed) -> Gan:
    torch.manual_seed(0)
    return Gan(
        SHAPE, **{"parents": PARENTS, "latent": LATENT, "widths": (4, 8), "hidden": 8, **changed}
    ).eval()


def inputs(count: int = 3) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    x = 2 * torch.rand(count, *SHAPE, generator=generator) - 1
    return (
        x,
        torch.randn(count, LATENT, generator=generator),
        torch.randn(count, PARENTS, generator=generator),
    )


@pytest.mark.parametrize("size", [16, 32, 64])
@pytest.mark.parametrize("widths", [(4,), (4, 6), (4, 6, 8, 8)])
def test_shapes(size, widths):
    gan = Gan((3, size, size), 2, 7, widths=widths, hidden=5).eval()
    x, parents = torch.zeros(2, 3, size, size), torch.zeros(2, 2)
    z = gan.encode(x, parents)
    assert z.shape == (2, 7)
    image = gan.generate(z, parents)
    assert image.shape == x.shape
    assert image.abs().max() <= 1
    assert gan.discriminator(x, z, parents).shape == (2,)


def test_without_parents_and_encoder_it_is_unconditional():
    gan = networks(parents=0, encoder=False, prior="uniform")
    assert gan.encoder is None
    z, none = gan.draw(3, torch.Generator().manual_seed(0)), torch.zeros(3, 0)
    x = gan.generate(z, none)
    # The discriminator receives images only.
    one, other = gan.discriminator(x, z, none), gan.discriminator(x, -z, none)
    assert torch.equal(one, other)


def test_priors():
    generator = torch.Generator().manual_seed(0)
    uniform = draw_latents("uniform", 500, 8, generator)
    assert -1 <= uniform.min() < -0.99 < 0.99 < uniform.max() <= 1
    assert uniform.var() == pytest.approx(1 / 3, rel=0.05)
    assert draw_latents("normal", 500, 8, generator).var() == pytest.approx(1, rel=0.05)


def test_parents_reach_every_network():
    gan = networks()
    x, z, parents = inputs()
    for network in (
        lambda p: gan.generate(z, p),
        lambda p: gan.encode(x, p),
        lambda p: gan.discriminator(x, z, p),
    ):
        assert not torch.allclose(network(parents), network(parents + 1))


def test_exposure_multiplies_the_brightness_above_black_only():
    gan = networks(exposure=[2])
    gan.exposure.fill_(0.3)
    x, z, parents = inputs()
    brighter = parents.clone()
    brighter[:, 2] += 0.5
    gain = ((1 + 0.3 * brighter[:, 2]) / (1 + 0.3 * parents[:, 2]))[:, None, None, None]
    one, other = gan.generate(z, parents), gan.generate(z, brighter)
    torch.testing.assert_close(other + 1, gain * (one + 1))
    # The code does not depend on the exposure of the image.
    torch.testing.assert_close(gan.encode(one, parents), gan.encode(other, brighter))
    torch.testing.assert_close(gan.develop(gan.expose(x, parents), parents), x)


def test_spectral_normalisation_bounds_the_discriminators_slope():
    torch.manual_seed(0)
    bounded = Discriminator(SHAPE, 0, 0, (4, 8), 8)
    with torch.no_grad():
        for weight in bounded.parameters():
            weight.mul_(50.0)
    bounded.train()
    x, z, none = torch.randn(64, *SHAPE), torch.zeros(64, 0), torch.zeros(64, 0)
    for _ in range(30):  # the power iteration takes a few passes
        bounded(x, z, none)
    weights = [bounded.joint.weight.detach(), bounded.logit.weight.detach()]
    assert all(float(torch.linalg.matrix_norm(w, 2)) == pytest.approx(1, abs=0.05) for w in weights)


def test_a_row_does_not_depend_on_the_others():
    gan = networks()
    x, z, parents = inputs(4)
    for network in (gan.encode, gan.generate):
        first = x if network == gan.encode else z
        torch.testing.assert_close(network(first[1:2], parents[1:2]), network(first, parents)[1:2])


@pytest.mark.parametrize("shape", [(1, 16, 12), (1, 18, 18)])
def test_sizes_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match="2 widths need equal sides, a multiple of 4"):
        Gan(shape, 0, 4, widths=(4, 8))
