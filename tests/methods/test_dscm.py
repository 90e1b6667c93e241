"""Deep structural causal models: null interventions return the image, and bytes depend on the question only."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.config.answers import AnswersSettings
from counterfactory.core.checkpoint import save_model
from counterfactory.core.errors import UserError
from counterfactory.core.files import read_table
from counterfactory.core.run import Run
from counterfactory.data.dataset import encode_parents, load_dataset, load_split, save_dataset
from counterfactory.methods import Batch, load_method
from counterfactory.methods.batches import answer_questions
from counterfactory.methods.dscm import Pearl, counterfactual_image
from counterfactory.models.image.model import build_image_mechanism
from counterfactory.models.image.vae import Vae
from counterfactory.nets.pixels import to_pixels
from counterfactory.questions.interventions import write_questions
from counterfactory.scm.fit import fit_scm, load_scm
from tests.squares import SQUARES

pytest_plugins = ["tests.squares"]

NETWORK = {
    "resolutions": [6, 3, 1],
    "widths": [8, 8, 12],
    "encoder_blocks": [2, 1, 1],
    "decoder_blocks": [1, 1, 2],
    "latents": [3, 3, 3],
    "bottleneck": 2,
    "block": "heavy",
}
PEARL = {"latent_temperature": 1.0, "residual_temperature": 1.0, "effect": "direct", "mediator_weight": 0.5}


def disturbed(network: dict) -> torch.nn.Module:
    """A network whose weights all differ from zero: its predictions are far from any image."""
    torch.manual_seed(3)
    model = build_image_mechanism("hvae", SQUARES, network)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    model.head.log_scale.bias.data -= 2.0
    return model


@pytest.fixture
def place(squares, questions_settings) -> SimpleNamespace:
    """Questions about squares, fitted parents, and a network of each kind of prior."""
    place = SimpleNamespace(data=squares, questions=squares.parent / "questions")
    for prior in ("exogenous", "conditional"):
        models = squares.parent / f"models_{prior}"
        network = {**NETWORK, "prior": prior}
        meta = {"model": "hvae", "network": network}
        save_model(models / "hvae" / "seed0", disturbed(network).state_dict(), meta)
        setattr(place, prior, models)
    fitting = SimpleNamespace(steps=20, bins=4, hidden=[8])
    fit_scm(
        fitting,
        Run("scm", squares, place.exogenous / "scm" / "seed0", place.exogenous / "scm" / "seed0", seed=0),
    )
    (place.conditional / "scm").symlink_to(place.exogenous / "scm")
    for suite in ("do", "null", "reverse"):
        write_questions(suite, questions_settings, squares, place.questions / f"{suite}.parquet")
    return place


def answers(place, suite, prior="exogenous", rows=slice(None), batch_size=16, **settings):
    method = load_method(
        "hvae", 0, place.data, getattr(place, prior), SimpleNamespace(**{**PEARL, **settings})
    )
    table = read_table(place.questions / f"{suite}.parquet").iloc[rows]
    test = load_split(place.data, "test")
    images, parents, _ = answer_questions(method, table, SQUARES, test, batch_size)
    factual = test.attributes.iloc[table["index"]].reset_index(drop=True)
    return images, parents, table.reset_index(drop=True), test.images[table["index"]], factual


@pytest.mark.parametrize("prior", ["exogenous", "conditional"])
def test_nothing_done_gives_the_image_back_byte_for_byte(place, prior):
    images, parents, table, before, factual = answers(place, "null", prior)
    assert table["cycles"].max() == 3
    assert images.tobytes() == before.tobytes()
    for name, values in parents.items():
        assert (values == factual[name]).all()


def test_nothing_done_gives_a_reconstruction_where_the_pixel_noise_is_damped(place):
    images, _, _, before, _ = answers(place, "null", residual_temperature=0.1)
    apart = np.abs(images.astype(int) - before)
    assert apart.mean() > 1


def test_hvae_reduced_is_hvae_with_a_tenth_of_the_pixel_noise(place):
    method = load_method(
        "hvae_reduced", 0, place.data, place.exogenous, AnswersSettings(latent_temperature=1.0)
    )
    table = read_table(place.questions / "null.parquet")
    images, _, _ = answer_questions(method, table, SQUARES, load_split(place.data, "test"), 16)
    damped, *_ = answers(place, "null", residual_temperature=0.1)
    assert images.tobytes() == damped.tobytes()


@pytest.mark.parametrize("cold", [False, True])
def test_the_noise_is_the_seeds_alone(place, cold):
    settings = {"latent_temperature": 0.0} if cold else {}
    method = load_method("hvae", 0, place.data, place.exogenous, SimpleNamespace(**{**PEARL, **settings}))
    table = read_table(place.questions / "do.parquet").iloc[[0, 0, 0]].reset_index(drop=True)
    table = table.assign(question=[0, 1, 2], seed=[5, 6, 5])
    images, *_ = answer_questions(method, table, SQUARES, load_split(place.data, "test"), 4)
    assert (images[0] == images[2]).all()
    # Without a temperature the latents are the posterior's mean, independent of the seed.
    assert (images[0] == images[1]).all() == cold
    # Each step of a question has new noise.
    do = {name: np.array([2.0 if name == "size" else np.nan]) for name in SQUARES.names}
    parents = {"size": np.array([3.0]), "shade": np.array([170.0]), "kind": np.array([1.0])}
    one = np.zeros(1, np.int64)
    steps = [method(Batch(images[:1], parents, do, one, one, one, 4, step))[0] for step in (0, 1)]
    assert (steps[0] == steps[1]).all() == cold


@pytest.mark.parametrize("suite", ["do", "reverse"])
def test_the_same_question_has_the_same_bytes_whatever_is_asked_with_it(place, suite):
    whole, parents, table, before, _ = answers(place, suite)
    assert (whole != before).any(axis=(1, 2, 3)).mean() > 0.8
    rng = np.random.default_rng(0)
    some = np.sort(rng.choice(len(table), len(table) // 3, replace=False))
    for rows in (slice(0, 7), slice(7, 40), [21], some):
        images, own, *_ = answers(place, suite, rows=rows)
        assert images.tobytes() == whole[rows].tobytes()
        assert all((own[name] == values[rows]).all() for name, values in parents.items())


def test_another_batch_size_changes_hardly_a_grey_level(place):
    few, few_parents, *_ = answers(place, "do", batch_size=3)
    many, many_parents, *_ = answers(place, "do", batch_size=64)
    apart = np.abs(few.astype(int) - many)
    assert few.size > 5000
    assert apart.max() <= 1
    assert (apart > 0).mean() <= 1e-3
    for name, values in few_parents.items():
        np.testing.assert_allclose(values, many_parents[name], rtol=1e-9)


def test_an_intervention_reaches_the_effects_of_its_variable(place):
    images, parents, table, before, factual = answers(place, "do")
    scm = load_scm(place.exogenous / "scm" / "seed0", SQUARES)
    steps = [json.loads(text)[0] for text in table["steps"]]
    do = {name: np.array([step.get(name, np.nan) for step in steps], float) for name in SQUARES.names}
    factual = {name: factual[name].to_numpy(float) for name in SQUARES.names}
    expected = scm.counterfactual_table(factual, do, table["seed"].to_numpy())
    for name in SQUARES.names:
        np.testing.assert_allclose(parents[name], expected[name], rtol=1e-12)
    size = (table["intervention"] == "size").to_numpy()
    # Size causes shade, and shade has no effect except the image.
    taller, brighter = (parents[name][size] - factual[name][size] for name in ("size", "shade"))
    assert (parents["size"][size] == do["size"][size]).all()
    assert (np.sign(taller) == np.sign(brighter)).all() and np.abs(brighter).mean() > 10
    assert (parents["kind"][size] == factual["kind"][size]).all()
    shade = (table["intervention"] == "shade").to_numpy()
    assert (parents["size"][shade] == factual["size"][shade]).all()
    for rows in (size, shade):
        assert (images[rows] != before[rows]).any(axis=(1, 2, 3)).mean() > 0.8


def test_the_total_effect_is_the_direct_one_where_latents_are_noise(place):
    direct, total = (answers(place, "do", effect=effect)[0] for effect in ("direct", "total"))
    assert direct.tobytes() == total.tobytes()
    # Nothing is mediated by the latents.
    indirect, _, _, before, _ = answers(place, "do", effect="indirect")
    assert indirect.tobytes() == before.tobytes()


def test_effects_differ_where_latents_mediate(place):
    direct, total, indirect = (
        answers(place, "do", "conditional", effect=effect)[0] for effect in ("direct", "total", "indirect")
    )
    for one, other in ((direct, total), (direct, indirect), (total, indirect)):
        assert (one != other).any(axis=(1, 2, 3)).mean() > 0.9
    # With the whole weight on the abducted posterior there is no mediated effect.
    kept = answers(place, "do", "conditional", effect="total", mediator_weight=1.0)[0]
    apart = np.abs(kept.astype(int) - direct)
    assert apart.max() <= 1 and (apart > 0).mean() < 0.01


def test_mediators_drawn_anew_belong_to_the_question(place):
    fresh = {"effect": "total", "mediator_draws": "fresh"}
    kept, drawn = (
        answers(place, "do", "conditional", **{**fresh, **one})[0] for one in ({"mediator_draws": "kept"}, {})
    )
    assert (kept != drawn).any(axis=(1, 2, 3)).mean() > 0.9
    few = answers(place, "do", "conditional", slice(1, None, 3), 2, **fresh)[0]
    assert few.tobytes() == drawn[1::3].tobytes()
    # The direct effect has no mediator.
    direct, same = (answers(place, "do", "conditional", mediator_draws=one)[0] for one in ("kept", "fresh"))
    assert direct.tobytes() == same.tobytes()


def test_calls_of_the_network_are_counted(place):
    for prior, effect, draws, calls in (
        ("exogenous", "direct", "kept", 3),
        ("exogenous", "total", "fresh", 3),
        ("conditional", "direct", "fresh", 3),
        ("conditional", "total", "kept", 4),
        ("conditional", "total", "fresh", 6),
    ):
        settings = SimpleNamespace(**{**PEARL, "effect": effect, "mediator_draws": draws})
        method = load_method("hvae", 0, place.data, getattr(place, prior), settings)
        assert method.network_calls == calls


def test_a_missing_or_foreign_model_is_refused(place, tmp_path):
    settings = SimpleNamespace(**PEARL)
    with pytest.raises(UserError, match="seed1.*train|seed1.*no such file"):
        load_method("hvae", 1, place.data, place.exogenous, settings)
    with pytest.raises(UserError, match="vae.seed0.*no such file"):
        load_method("vae", 0, place.data, place.exogenous, settings)
    wider = replace(SQUARES, shape=(3, 6, 6))
    save_dataset(tmp_path / "data", wider)
    with pytest.raises(UserError, match="of another network or data set") as error:
        load_method("hvae", 0, tmp_path / "data", place.exogenous, settings)
    assert "\n" not in str(error.value)


# --- the three steps, on the simple VAE


@pytest.fixture
def vae() -> Vae:
    torch.manual_seed(0)
    model = Vae((1, 8, 8), 5, channels=8, hidden=16, latent=4, exposure=[1])
    for parameter in model.parameters():
        parameter.data += 0.15 * torch.randn(parameter.shape)
    return model.eval()


@pytest.fixture
def asked(vae) -> tuple:
    generator = torch.Generator().manual_seed(0)
    x = to_pixels(torch.randint(0, 256, (6, 1, 8, 8), generator=generator, dtype=torch.uint8))
    parents = {"size": np.linspace(1, 4, 6), "shade": np.linspace(60, 200, 6), "kind": np.arange(6) % 3}
    before = torch.from_numpy(encode_parents(SQUARES, parents))
    after = torch.from_numpy(encode_parents(SQUARES, {**parents, "size": parents["size"][::-1].copy()}))
    return x, before, after, [torch.randn(6, 4, generator=generator)]


def test_nothing_done_gives_every_pixel_back(vae, asked):
    x, before, _, noise = asked
    torch.testing.assert_close(counterfactual_image(vae, x, before, before, noise), x, rtol=0, atol=1e-5)


def test_prediction_in_closed_form(vae, asked):
    x, before, after, noise = asked
    with torch.no_grad():
        z = [vae.abduct(x, before, noise, 0.7)[0].z]
        (m, s), (m_after, s_after) = vae.predict(z, before), vae.predict(z, after)
        epsilon = (x - m) / s.exp()
        inside = x.abs() < 1
        expected = (m_after + 0.4 * s_after.exp() * epsilon).clamp(-1, 1)
    found = counterfactual_image(vae, x, before, after, noise, Pearl(0.7, 0.4))
    assert found.abs().max() <= 1
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-4, atol=1e-5)
    without = counterfactual_image(vae, x, before, after, noise, Pearl(0.7, 0.0))
    torch.testing.assert_close(without, m_after.clamp(-1, 1))


def test_there_and_back_gives_the_image_back_where_nothing_is_clipped(vae, asked):
    x, before, after, noise = asked
    x = 0.2 * x  # far from either end of the range
    with torch.no_grad():
        z = [vae.abduct(x, before, noise)[0].z]
    there = counterfactual_image(vae, x, before, after, noise)
    assert there.abs().max() < 1 and not torch.allclose(there, x, atol=1e-2)

    class SameLatents:
        transport = grey_levels = calibration = None
        debias = 0.0

        def abduct(self, *_):
            return [SimpleNamespace(z=z[0])]

        predict = staticmethod(vae.predict)

    back = counterfactual_image(SameLatents(), there, after, before, noise)
    torch.testing.assert_close(back, x, rtol=1e-4, atol=1e-4)


def test_nothing_is_left_to_learn_from(vae, asked):
    assert not counterfactual_image(vae, *asked).requires_grad


def test_the_dataset_of_squares_is_the_one_on_disk(squares):
    assert load_dataset(squares) == SQUARES
