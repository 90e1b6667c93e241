"""White level and peak of counterfactual images: a world with known levels, exactness, limits of the range."""

from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close

from counterfactory.core.errors import UserError
from counterfactory.core.noise import derive_seed
from counterfactory.data.dataset import Dataset, Variable, variable_columns
from counterfactory.methods.dscm import counterfactual_image
from counterfactory.models.image.exchange import exchange_parents
from counterfactory.models.image.exposure import fit_exposure, white_level
from counterfactory.models.image.levels import Levels, fit_levels
from counterfactory.models.image.model import build_image_mechanism
from counterfactory.models.image.prediction import predict_image
from counterfactory.models.image.sharpness import fit_sharpness, hardness
from counterfactory.nets.latents import draw_noise
from counterfactory.nets.sharpening import sharpened

WORLD = Dataset(
    "world",
    (
        Variable("size", "continuous", low=-1.0, high=1.0),
        Variable("light", "continuous", low=-1.0, high=1.0),
        Variable("kind", "categorical", classes=2),
    ),
    (("size", "light"),),
    (1, 16, 16),
    False,
)
NETWORK = {"channels": 4, "hidden": 8, "latent": 5, "levels": True, "exposure": ["light"]}
SLOPE = 0.4


def parents_of(count, seed=0):
    """Returns encoded parents: confounded size and light, and a class."""
    generator = torch.Generator().manual_seed(seed)
    size = 2 * torch.rand(count, generator=generator) - 1
    light = (0.6 * size + 0.4 * (2 * torch.rand(count, generator=generator) - 1)).clamp(-1, 1)
    kind = torch.randint(2, (count,), generator=generator)
    return torch.cat([size[:, None], light[:, None], torch.eye(2)[kind]], 1)


def log_ratio(parents):
    """The known h: log peak / white level."""
    return 0.15 - 0.08 * parents[:, 0] + 0.05 * parents[:, 0] ** 3 + 0.04 * parents[:, 2]


def render(parents, noises):
    """Renders images in [-1, 1]: a square at the white level with a brighter pixel and a darker rim.

    Arguments:
        parents: Encoded parents (N, 4).
        noises: The own factors of the white level and of the log of the ratio, (N, 2).
    """
    white = 120.0 * (1.0 + SLOPE * parents[:, 1]) * noises[:, 0]
    peak = white * torch.exp(log_ratio(parents) + noises[:, 1])
    images = torch.zeros(len(parents), 1, 16, 16)
    images[:, 0, 3:13, 3:13] = 0.3 * white[:, None, None]
    images[:, 0, 5:11, 5:11] = white[:, None, None]
    images[:, 0, 7, 7] = peak
    return images.clamp(max=255.0) / 127.5 - 1.0


def noises_of(count, seed=1):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.randn(count, 2, generator=generator)
    return torch.stack([1.0 + 0.05 * noise[:, 0].clamp(-2, 2), 0.02 * noise[:, 1]], 1)


def grey(x):
    return (x + 1.0) * 127.5


def as_bytes(x):
    return grey(x).round().to(torch.uint8)


@pytest.fixture(scope="module")
def levels():
    return fitted(noises_of(16000))


def fitted(noises):
    """Returns levels that are fitted to images with the given noises."""
    parents, found = parents_of(len(noises)), Levels(WORLD, [1])
    found.fit(as_bytes(render(parents, noises)), parents, torch.tensor([SLOPE]))
    return found


def test_the_white_level_of_a_graph_has_the_same_bits(monkeypatch):
    generator = torch.Generator().manual_seed(0)
    shape = (300, 1, 12, 12)
    images = [
        torch.randint(256, shape, generator=generator).to(torch.uint8),
        torch.randint(4, (300, 3, 4, 4), generator=generator).to(torch.uint8),  # many ties
        torch.zeros(2, 1, 4, 4, dtype=torch.uint8),
        255.0 * torch.rand(shape, generator=generator) ** 4,
        as_bytes(render(parents_of(300), noises_of(300))),
    ]
    usual = [white_level(part) for part in images]
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert all(torch.equal(white_level(part), one) for part, one in zip(images, usual, strict=True))


def test_the_ratio_of_peak_and_white_level_is_found(levels):
    parents = parents_of(500, seed=3)
    assert_close(levels.log_ratio(parents).float(), log_ratio(parents), atol=5e-3, rtol=0)


def test_the_exposure_has_no_effect_on_the_ratio_and_outside_of_train_it_is_constant(levels):
    parents = parents_of(50)
    brighter = parents + torch.tensor([0.0, 0.5, 0.0, 0.0])
    assert torch.equal(levels.log_ratio(parents), levels.log_ratio(brighter))
    far, edge = parents.clone(), parents.clone()
    far[:, 0], edge[:, 0] = 9.0, float(levels.high[0])
    assert torch.equal(levels.log_ratio(far), levels.log_ratio(edge))


def test_a_wrong_prediction_gets_the_levels_of_the_true_counterfactual(levels):
    parents, noises = parents_of(200, seed=4), noises_of(200, seed=5)
    after = parents_of(200, seed=6)
    x, truth = render(parents, noises), render(after, noises)
    wrong_white = 0.85 * (truth + 1.0) - 1.0
    wrong_white[:, 0, 7, 7] += 0.25
    found = levels(x, wrong_white, parents, after)
    assert_close(white_level(grey(found)), white_level(grey(truth)), atol=1.0, rtol=0)
    peaks = [grey(image).flatten(1).amax(1) for image in (found, truth, wrong_white)]
    assert (peaks[0] - peaks[1]).abs().mean() < 2.0 < (peaks[2] - peaks[1]).abs().mean()
    assert (found - truth).abs().mean() < 0.2 * (wrong_white - truth).abs().mean()


def deviations(parents):
    """Known standard deviations of both noises, which fall with the size and differ between classes."""
    both = torch.tensor([0.02, 0.04]) * torch.exp(torch.tensor([-0.6, -1.0]) * parents[:, :1])
    return both * torch.where(parents[:, 2:3] > 0.5, 1.5, 1.0)


def scaled_noises(parents, noise):
    """The factors and logarithms that `render` takes, from standard Gaussian noises (N, 2)."""
    white, peak = (deviations(parents) * noise).unbind(1)
    return torch.stack([torch.exp(white), peak], 1)


def standard_noise(count, seed):
    return torch.randn(count, 2, generator=torch.Generator().manual_seed(seed)).clamp(-3, 3)


def test_the_deviations_that_depend_on_parents_are_found_and_carried_over():
    parents = parents_of(16000)
    found = fitted(scaled_noises(parents, standard_noise(16000, seed=1)))
    asked, after, noise = parents_of(400, seed=4), parents_of(400, seed=6), standard_noise(400, seed=5)
    assert_close(found.deviation(asked).log().float(), deviations(asked).log(), atol=0.15, rtol=0)
    x, truth = render(asked, scaled_noises(asked, noise)), render(after, scaled_noises(after, noise))
    white, peak = found.levels(x, asked, after)
    errors = [
        (white - white_level(grey(truth))).abs().mean(),
        (peak - grey(truth).flatten(1).amax(1)).abs().mean(),
    ]
    found.deviation_range.zero_()
    white, peak = found.levels(x, asked, after)
    constant = [
        (white - white_level(grey(truth))).abs().mean(),
        (peak - grey(truth).flatten(1).amax(1)).abs().mean(),
    ]
    assert errors[0] < 0.3 < 0.5 * constant[0] and errors[1] < 0.6 < 0.5 * constant[1]


def test_the_marginal_deviation_of_answers_is_that_of_their_parents():
    parents = parents_of(16000)
    found = fitted(scaled_noises(parents, standard_noise(16000, seed=1)))
    small, large = parents_of(3000, seed=4), parents_of(3000, seed=4)
    small[:, 0], large[:, 0], large[:, 1] = -0.9, 0.9, small[:, 1]
    white, peak = found.levels(
        render(small, scaled_noises(small, standard_noise(3000, seed=5))), small, large
    )
    excess = torch.log(peak / white) - found.log_ratio(large)
    for kind in (2, 3):
        rows = large[:, kind] > 0.5
        assert_close(excess[rows].std().float(), deviations(large)[rows][0, 1], rtol=0.2, atol=0)


def test_outliers_keep_their_error_where_no_deviation_changes_and_are_not_amplified_where_it_grows():
    parents = parents_of(16000)
    found = fitted(scaled_noises(parents, standard_noise(16000, seed=1)))
    asked = torch.tensor([[0.5, 0.0, 1.0, 0.0]])
    brighter, smaller = asked + torch.tensor([0.0, 0.3, 0.0, 0.0]), asked - torch.tensor([1.4, 0.0, 0.0, 0.0])
    outlier = torch.tensor([[0.0, 9.0]])
    x = render(asked, scaled_noises(asked, outlier))

    def excess(after):
        white, peak = found.levels(x, asked, after)
        return float(torch.log(peak / white) - found.log_ratio(after))

    assert excess(brighter) == pytest.approx(float(9.0 * deviations(asked)[0, 1]), rel=0.05)
    grown = 9.0 * deviations(smaller)[0, 1]
    assert excess(smaller) == pytest.approx(float(4.0 / 9.0 * grown), rel=0.15)


def test_weights_of_earlier_versions_carry_the_noises_over_unchanged(levels):
    state = {
        name: value
        for name, value in levels.state_dict().items()
        if name in ("slopes", "low", "high", "weights")
    }
    old = Levels(WORLD, [1])
    old.load_state_dict(state)
    parents, after = parents_of(50, seed=4), parents_of(50, seed=6)
    x = render(parents, noises_of(50, seed=5))
    white, _ = old.levels(x, parents, after)
    gain = [1.0 + SLOPE * encoded[:, 1].double() for encoded in (parents, after)]
    assert_close(white, white_level(grey(x)) * gain[1] / gain[0], atol=1e-3, rtol=0)


def test_unchanged_parents_keep_every_bit_and_the_correction_is_continuous_there(levels):
    parents, noises = parents_of(100, seed=4), noises_of(100, seed=5)
    x = render(parents, noises)
    assert torch.equal(levels(x, x - 0.1, parents, parents), x - 0.1)
    assert_close(levels(x, x, parents, parents + 1e-6), x, atol=1e-4, rtol=0)


def test_there_and_back_returns_the_levels(levels):
    parents, noises = parents_of(100, seed=4), noises_of(100, seed=5)
    after, x = parents_of(100, seed=6), render(parents, noises)
    there = levels(x, 0.9 * (render(after, noises) + 1.0) - 1.0, parents, after)
    back = levels(there, 0.9 * (x + 1.0) - 1.0, after, parents)
    assert_close(white_level(grey(back)), white_level(grey(x)), atol=0.5, rtol=0)


def test_levels_stay_in_the_range_and_black_images_are_kept(levels):
    parents, after = parents_of(20, seed=4), parents_of(20, seed=6)
    after[:, 1] = 1.0
    bright = torch.ones(20, 1, 16, 16)
    found = levels(bright, bright, parents, after)
    assert found.max() <= 1.0 and found.min() >= -1.0
    black = -torch.ones(20, 1, 16, 16)
    assert torch.equal(levels(black, black, parents, after), black)
    assert torch.isfinite(levels(black, bright, parents, after)).all()
    assert torch.isfinite(levels(bright, black, parents, after)).all()


def test_only_saturated_images_leave_the_ratio_at_zero():
    parents, found = parents_of(50), Levels(WORLD, [1])
    found.fit(torch.full((50, 1, 16, 16), 255, dtype=torch.uint8), parents, torch.tensor([SLOPE]))
    assert not found.weights.any()


@pytest.fixture(scope="module")
def mechanism():
    torch.manual_seed(0)
    model = build_image_mechanism("vae", WORLD, NETWORK).eval()
    parents = parents_of(600)
    images = as_bytes(render(parents, noises_of(600)))
    fit_exposure(model.head, images, parents)
    fit_levels(model, images, parents)
    return model


def test_a_mechanism_answers_with_the_levels_and_null_questions_stay_exact(mechanism):
    parents, noises = parents_of(60, seed=4), noises_of(60, seed=5)
    after, x = parents_of(60, seed=6), as_bytes(render(parents, noises)).float() / 127.5 - 1.0
    noise = draw_noise(mechanism.noise_shapes, x, torch.Generator().manual_seed(1))
    null = counterfactual_image(mechanism, x, parents, parents, noise)
    assert_close(null, x, atol=1e-5, rtol=0)
    found = counterfactual_image(mechanism, x, parents, after, noise)
    mechanism.grey_levels, levels = None, mechanism.grey_levels
    plain = counterfactual_image(mechanism, x, parents, after, noise)
    assert torch.equal(counterfactual_image(mechanism, x, parents, parents, noise), null)
    mechanism.grey_levels = levels
    wanted = white_level(grey(render(after, noises)))
    errors = [(white_level(grey(image)) - wanted).abs().mean() for image in (found, plain)]
    assert errors[0] < 1.0 and not torch.equal(found, plain)


class NoLevels:
    """Corrects nothing."""

    variables = variable_columns(WORLD)

    def censor(self, x, noise, parents, parents_after):
        return noise

    def correct(self, x, y, parents, parents_after):
        return y

    __call__ = correct


def test_reconstructions_and_counterfactual_images_together_have_the_hard_pixels_of_the_images():
    parents = parents_of(300, seed=4)
    square = torch.zeros(1, 1, 16, 16)
    square[..., 4:12, 4:12] = 1.5
    kernel = torch.outer(*[torch.tensor([1.0, 4.0, 6.0, 4.0, 1.0]) / 16] * 2)[None, None]
    soft = torch.nn.functional.conv2d(square, kernel, padding=2)
    # The class moves the square by 2 px. Pixel noise of its edge then remains where no edge is.
    places = torch.cat([soft, soft.roll(2, -1)])

    class Moving(SimpleNamespace):
        def predict(self, _, own):
            return sharpened(places[own[:, 3].long()], self.head.sharpness) - 1.0, torch.zeros(())

    generator = torch.Generator().manual_seed(0)
    x = sharpened(places, 2.0)[parents[:, 3].long()] - 1.0
    edge = (x > -0.95) & (x < 0.45)
    x = x + edge * 0.05 * torch.randn(x.shape, generator=generator)
    mechanism = Moving(
        head=SimpleNamespace(sharpen=True, sharpness=torch.tensor(0.0)),
        noise_shapes=[],
        abduct=lambda *_: [],
        grey_levels=NoLevels(),
        transport=None,
        calibration=None,
    )
    images = as_bytes(x.clamp(-1, 1))
    fit_sharpness(mechanism, images, parents, seed=0)
    shown, fitted = images.float() / 127.5 - 1.0, float(mechanism.head.sharpness)
    generator = torch.Generator().manual_seed(derive_seed(0, "sharpness"))
    after = exchange_parents(parents, variable_columns(WORLD), generator)

    def share(amount):
        mechanism.head.sharpness.fill_(amount)
        predicted = predict_image(mechanism, shown, parents, after, [])
        return float(hardness(predicted) + hardness(mechanism.predict(None, parents)[0])) / 2

    wanted = float(hardness(shown))
    assert share(fitted - 0.02) < wanted < share(fitted + 0.02)


def test_hard_pixels_are_counted():
    image = torch.tensor([0.0, 0.2, 0.3, 0.7, 0.8, 1.0, 0.5, 0.1]).view(1, 1, 2, 4) * 1.6 - 1.0
    assert hardness(image) == 5 / 8
    assert hardness(-torch.ones(2, 1, 4, 4)) == 1.0


def test_the_levels_are_part_of_the_weights(mechanism):
    again = build_image_mechanism("vae", WORLD, NETWORK)
    again.load_state_dict(mechanism.state_dict())
    assert torch.equal(again.grey_levels.weights, mechanism.grey_levels.weights)
    assert build_image_mechanism("vae", WORLD, {**NETWORK, "levels": False}).grey_levels is None


def test_levels_without_exposure_are_refused():
    with pytest.raises(UserError, match=r"models\.vae\.network: levels: no variable acts as exposure"):
        build_image_mechanism("vae", WORLD, {**NETWORK, "exposure": []})
