"""Stickiness: 1 keeps all noises, 0 redraws them, and in between it is the share that is kept."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.core.checkpoint import save_model
from counterfactory.core.errors import UserError
from counterfactory.core.run import Run
from counterfactory.methods import Batch, load_method
from counterfactory.methods.stickiness import sticky_copy
from counterfactory.models.image.model import build_image_mechanism
from counterfactory.scm.fit import fit_scm, load_scm
from tests.squares import SQUARES

pytest_plugins = ["tests.squares"]

NETWORK = {
    "resolutions": [6, 3, 1],
    "widths": [8, 8, 8],
    "encoder_blocks": [1, 1, 1],
    "decoder_blocks": [1, 1, 1],
    "latents": [3, 3, 3],
    "bottleneck": 2,
    "block": "light",
}
PEARL = {"latent_temperature": 1.0, "residual_temperature": 1.0, "effect": "direct", "mediator_weight": 0.5}


@pytest.fixture
def models(squares):
    folder = squares.parent / "models"
    for prior in ("exogenous", "conditional"):
        torch.manual_seed(3)
        network = {**NETWORK, "prior": prior}
        model = build_image_mechanism("hvae", SQUARES, network)
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape)
        home = folder if prior == "exogenous" else folder / "mediated"
        save_model(home / "hvae" / "seed0", model.state_dict(), {"model": "hvae", "network": network})
        fit_scm(
            SimpleNamespace(steps=10, bins=4, hidden=[4]),
            Run("scm", squares, home / "scm" / "seed0", home / "scm" / "seed0", seed=0),
        )
    return folder


def batch(count: int = 40, seed: int = 0, **do) -> Batch:
    """Questions about random images; the seeds of the questions do not depend on `seed`."""
    rng = np.random.default_rng(seed)
    parents = {
        "size": rng.uniform(1, 4, count),
        "shade": rng.uniform(60, 220, count),
        "kind": rng.integers(0, 3, count).astype(float),
    }
    actions = {name: np.full(count, do.get(name, np.nan)) for name in SQUARES.names}
    images = rng.integers(0, 256, (count, 1, 6, 6)).astype(np.uint8)
    rows = np.arange(count)
    return Batch(images, parents, actions, rows + 100, rows, rows, count, 0)


def method(squares, models, **settings):
    return load_method("hvae", 0, squares, models, SimpleNamespace(**{**PEARL, **settings}))


def test_at_one_every_byte_is_pearls(squares, models):
    questions = batch(size=2.0)
    images, parents = method(squares, models)(questions)
    same, own = method(squares, models, stickiness=1.0)(questions)
    assert images.tobytes() == same.tobytes()
    assert all((parents[name] == own[name]).all() for name in parents)


def test_at_zero_the_individual_is_forgotten(squares, models):
    answer = method(squares, models, stickiness=0.0)
    (one, parents), (other, own) = (answer(batch(seed=seed, shade=100.0)) for seed in (0, 1))
    assert one.tobytes() == other.tobytes()
    assert all((parents[name] == own[name]).all() for name in parents)
    assert (parents["shade"] == 100.0).all()
    assert len(np.unique(parents["size"])) == len(one)


def test_the_less_is_kept_the_further_the_null_answer(squares, models):
    questions = batch()
    distances = []
    for stickiness in (1.0, 0.9, 0.5, 0.0):
        images, _ = method(squares, models, stickiness=stickiness)(questions)
        distances.append(np.abs(images.astype(int) - questions.images).mean())
    assert distances[0] == 0
    assert (np.diff(distances) > 0).all()


def test_an_answer_does_not_depend_on_the_others(squares, models):
    answer = method(squares, models, stickiness=0.5)
    whole, _ = answer(batch())
    questions = batch()
    some = np.array([3, 17, 30])
    few = Batch(
        questions.images[some],
        {name: values[some] for name, values in questions.parents.items()},
        {name: values[some] for name, values in questions.do.items()},
        questions.seeds[some],
        questions.rows[some],
        questions.slots[some],
        questions.size,
        0,
    )
    assert answer(few)[0].tobytes() == whole[some].tobytes()


def test_parents_keep_their_values_where_their_noises_and_causes_do(squares, models):
    scm = load_scm(models / "scm" / "seed0", SQUARES)
    questions = batch(3_000)
    nothing = {}
    after = scm.counterfactual_table(questions.parents, nothing, questions.seeds, 0.7)
    kept = {name: (after[name] == questions.parents[name]) for name in SQUARES.names}
    assert kept["size"].mean() == pytest.approx(0.7, abs=0.03)
    # Its cause must be kept too.
    assert kept["shade"].mean() == pytest.approx(0.49, abs=0.03)
    assert not (kept["shade"] & ~kept["size"]).any()
    # The same class can be drawn again.
    assert 0.7 < kept["kind"].mean() < 1.0
    set_size = scm.counterfactual_table(
        questions.parents, {"size": np.full(3_000, 2.0)}, questions.seeds, 0.7
    )
    assert (set_size["size"] == 2.0).all()
    assert (set_size["kind"] == after["kind"]).all()


def test_at_one_copying_returns_the_very_noise():
    noise = torch.randn(4, 3)
    assert sticky_copy(1.0, range(4), 0)("u", noise) is noise
    half = sticky_copy(0.5, range(4), 0)
    assert torch.equal(half("u", noise), half("u", noise))
    assert not torch.equal(half("u", noise), half("v", noise))
    uniform = sticky_copy(0.0, range(200), 0, "uniform")("u", torch.full((200, 9), 5.0))
    assert uniform.abs().max() <= 1


def test_latents_that_mediate_are_refused(squares, models):
    with pytest.raises(UserError, match=r"answers\.stickiness: a value below 1 requires .*prior: exogenous"):
        method(squares, models / "mediated", stickiness=0.5)
