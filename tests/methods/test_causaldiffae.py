"""CausalDiffAE's answers: inversion and decoding where the denoiser is known exactly, and a whole method on squares."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.core.checkpoint import save_model
from counterfactory.data.dataset import load_dataset, load_split
from counterfactory.diffusion.schedule import linear, respace
from counterfactory.methods import Batch
from counterfactory.methods.batches import answer_questions
from counterfactory.methods.causaldiffae import Decoding, counterfactual_codes, counterfactual_image, load
from counterfactory.models.causaldiffae.network import CausalDiffAE
from tests.squares import SQUARES

pytest_plugins = ["tests.squares"]

T = 200
SCHEDULE = linear(T)
SPREAD = 0.3  # standard deviation of the pixels of the images in the closed form


def gaussian(x_t, t, condition):
    """The exact noise where images are white noise of `SPREAD` around a grey level that is the condition."""
    left = SCHEDULE.alphas_bar[t].float()[:, None, None, None]
    mean = condition[:, :1, None, None]
    return (x_t - left.sqrt() * mean) * (1 - left).sqrt() / (left * SPREAD**2 + 1 - left)


def images(count=6):
    torch.manual_seed(0)
    return SPREAD * torch.randn(count, 1, 8, 8) + 0.2, torch.full((count, 1), 0.2)


def round_trip(steps: int, **options) -> float:
    x, condition = images()
    back = counterfactual_image(
        gaussian, respace(SCHEDULE, steps), x, (condition, condition), Decoding(**options)
    )
    return float((back - x).abs().mean())


def test_inversion_then_decoding_returns_the_image_and_better_with_more_steps():
    errors = [round_trip(steps) for steps in (10, 25, 50, 100, 200)]
    assert all(more < 0.7 * fewer for fewer, more in zip(errors, errors[1:], strict=False))
    assert errors[0] < 0.2 and errors[-1] < 0.01


def test_corrections_return_it_at_few_steps():
    assert round_trip(10, corrections=8) < 0.05 * round_trip(10)


def test_the_counterfactual_is_the_image_moved_to_the_other_mean():
    """The probability flow of N(m, s^2) maps to N(m*, s^2) through the same noise: x* = x + m* - m."""
    x, condition = images()
    other = torch.full_like(condition, -0.5)
    found = counterfactual_image(gaussian, SCHEDULE, x, (condition, other), Decoding(corrections=3))
    torch.testing.assert_close(found, x - 0.7, atol=0.02, rtol=0)


def test_guidance_from_the_factual_codes_exaggerates_the_change_and_nothing_else():
    x, condition = images()
    other = torch.full_like(condition, 0.3)
    options = {"corrections": 3, "guide_from": "factual"}
    moved = [
        float(
            (
                counterfactual_image(
                    gaussian, SCHEDULE, x, (condition, other), Decoding(guidance=w, **options)
                )
                - x
            ).mean()
        )
        for w in (0.5, 1.0, 2.0)
    ]
    # Noise is linear in the mean here, so that w shifts the mean that is used for decoding.
    np.testing.assert_allclose(moved, [0.05, 0.1, 0.2], atol=0.01)
    same = counterfactual_image(
        gaussian, SCHEDULE, x, (condition, condition), Decoding(guidance=3.0, **options)
    )
    torch.testing.assert_close(same, x, atol=0.01, rtol=0)


def test_random_noise_keeps_the_codes_alone():
    x, condition = images(64)
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    found = counterfactual_image(gaussian, SCHEDULE, x, (condition, condition), Decoding(), noise)
    correlation = torch.corrcoef(torch.stack([found.flatten(), x.flatten()]))[0, 1]
    assert abs(float(correlation)) < 0.15 and abs(float(found.mean()) - 0.2) < 0.03


# --- the method


@pytest.fixture
def models(tmp_path, squares):
    """Untrained networks of squares, whose last layers are not all zero."""
    torch.manual_seed(0)
    sizes = {"width": 8, "multipliers": [1, 2], "blocks": 1, "groups": 1, "skips": "level"}
    network = {**sizes, "exposure": ["shade"]}
    codes = {"width": 4, "hidden": 8, "encoder": [8], "prior_scale": 0.5}
    model = CausalDiffAE(SQUARES, network, **codes)
    for parameter in model.parameters():
        parameter.data += 0.05 * torch.randn_like(parameter)
    meta = {
        "model": "causaldiffae",
        "network": network,
        "codes": codes,
        "diffusion": {"schedule": "linear", "steps": 50, "prediction": "noise"},
    }
    save_model(tmp_path / "models" / "causaldiffae" / "seed0", model.state_dict(), meta)
    return tmp_path / "models"


def settings(**changed):
    plain = {
        "steps": 10,
        "abduction": "invert",
        "corrections": 2,
        "guidance": 1.0,
        "guide_from": "factual",
        "labels": "given",
        "action": "move",
        "precision": "float32",
    }
    return SimpleNamespace(causaldiffae=SimpleNamespace(**{**plain, **changed}))


def batch(data, slots, among, **do):
    test = load_split(data, "test")
    rows = np.asarray(slots)
    nothing = {name: np.full(len(rows), np.nan) for name in SQUARES.names}
    return Batch(
        images=np.array(test.images[rows]),
        parents={name: test.attributes[name].to_numpy(np.float64)[rows] for name in SQUARES.names},
        do={**nothing, **{name: np.full(len(rows), value, float) for name, value in do.items()}},
        seeds=rows * 7,
        rows=rows,
        slots=rows % among,
        size=among,
        step=0,
    )


def test_own_parents_follow_the_graph(squares, models):
    answer = load("causaldiffae", 0, squares, models, settings(), "cpu")
    given = batch(squares, [0, 1, 2, 3], 4, size=2.0)
    images, parents, _ = answer(given)
    assert images.dtype == np.uint8 and images.shape == given.images.shape
    assert (parents["size"] == 2.0).all()
    assert (parents["shade"] != given.parents["shade"]).all()  # its effect
    np.testing.assert_array_equal(parents["kind"], given.parents["kind"])
    _, parents, _ = answer(batch(squares, [0, 1, 2, 3], 4, kind=1))
    assert (parents["kind"] == 1).all()
    for name in ("size", "shade"):
        np.testing.assert_array_equal(parents[name], given.parents[name])


def test_null_intervention_keeps_parents_and_nearly_the_image(squares, models):
    errors = []
    for steps in (5, 20, 50):
        answer = load("causaldiffae", 0, squares, models, settings(steps=steps, corrections=4), "cpu")
        given = batch(squares, [0, 1, 2, 3], 4)
        images, parents, _ = answer(given)
        for name in SQUARES.names:
            np.testing.assert_array_equal(parents[name], given.parents[name])
        errors.append(np.abs(images.astype(float) - given.images).mean())
    assert errors[-1] < 2.0


@pytest.mark.parametrize("changed", [{}, {"abduction": "noise", "guidance": 2.0, "guide_from": "null"}])
def test_an_answer_hangs_on_its_question_alone(squares, models, changed):
    answer = load("causaldiffae", 0, squares, models, settings(**changed), "cpu")
    together, *_ = answer(batch(squares, [0, 1, 2, 3], 4, shade=200.0))
    alone, *_ = answer(batch(squares, [2], 4, shade=200.0))
    np.testing.assert_array_equal(together[2:3], alone)


@pytest.mark.parametrize(
    ("changed", "calls"),
    [({}, 1 + 30 + 10), ({"abduction": "noise"}, 11), ({"corrections": 0, "guidance": 1.5}, 1 + 10 + 20)],
)
def test_the_number_of_network_calls(squares, models, changed, calls):
    assert load("causaldiffae", 0, squares, models, settings(**changed), "cpu").network_calls == calls


def test_it_answers_questions(squares, models):
    import pandas as pd

    answer = load("causaldiffae", 0, squares, models, settings(steps=3, corrections=0), "cpu")
    table = pd.DataFrame(
        {
            "question": [0, 1],
            "index": [4, 5],
            "seed": [1, 2],
            "steps": [json.dumps([{"size": 3.0}]), json.dumps([{}, {}])],
        }
    )
    images, parents, *_ = answer_questions(
        answer, table, load_dataset(squares), load_split(squares, "test"), 4
    )
    assert images.shape == (2, 1, 6, 6) and parents["size"][0] == 3.0


@pytest.mark.parametrize(("labels", "action"), [("given", "move"), ("read", "replace")])
def test_codes_show_what_is_known_and_what_is_set(squares, models, labels, action):
    from counterfactory.models.causaldiffae.model import load_causaldiffae

    model, _ = load_causaldiffae(models / "causaldiffae" / "seed0", SQUARES, precision="float32")
    acted = torch.tensor([[True, False, False]])
    x = torch.zeros(1, 1, 6, 6)
    parents, values = torch.tensor([[0.1, -0.2, 0.0, 1.0, 0.0]]), torch.tensor([[0.5, -0.2, 0.0, 1.0, 0.0]])
    read = model.layer(model.encoder(x)[0])
    before, after = counterfactual_codes(model, read, parents, values, acted, labels, action)
    shown = model.prior.read(before)[0]
    if labels == "given":
        torch.testing.assert_close(shown, torch.tensor([0.1, -0.2, 1.0]))
        torch.testing.assert_close(
            after[0, 0] - before[0, 0], torch.full((4,), 0.4)
        )  # its other information is kept
    else:
        torch.testing.assert_close(before, read)
        assert (after[0, 0] == 0.5).all()
    assert after[0, 2].equal(before[0, 2]) and not after[0, 1].equal(before[0, 1])
    torch.testing.assert_close(model.layer.noises(after)[0, 1], model.layer.noises(before)[0, 1])


def test_exposure_follows_the_counterfactual_parent(squares, models):
    """Brightness above black is multiplied by the gain of the parent, and nothing else changes."""
    from counterfactory.core.checkpoint import load_model

    state, meta = load_model(models / "causaldiffae" / "seed0")
    state["exposure"] = torch.tensor([0.5])
    save_model(models / "causaldiffae" / "seed0", state, meta)
    given = batch(squares, [0, 1, 2, 3], 4)
    given.parents["shade"][:] = 145.0  # the middle of its range, where the gain is 1
    answer = load("causaldiffae", 0, squares, models, settings(steps=50, corrections=6), "cpu")
    same, *_ = answer(given)
    given.do["shade"][:] = 92.5  # half way to its minimum
    darker, *_ = answer(given)
    inside = (same > 0) & (same < 255)
    np.testing.assert_allclose(darker[inside], 0.75 * same[inside], atol=1.0)


def test_codes_go_with_the_answers(squares, models):
    """Codes as the encoder computes them, independent of known labels and of the intervention."""
    answer = load("causaldiffae", 0, squares, models, settings(steps=2, corrections=0), "cpu")
    assert list(answer.columns) == [f"code_{name}_{i}" for name in SQUARES.names for i in range(4)]
    given = batch(squares, [0, 1, 2, 3], 4, size=2.0)
    _, _, codes = answer(given)
    given.parents["size"][:] = 3.0
    given.do["size"][:] = np.nan
    _, _, others = answer(given)
    assert set(codes) == set(answer.columns)
    for name, values in codes.items():
        assert values.shape == (4,) and values.std() > 0
        np.testing.assert_array_equal(values, others[name])
