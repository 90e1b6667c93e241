"""The method gan: encoder and generator, independence of questions, no answers after a failed training."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.core.checkpoint import save_model
from counterfactory.core.files import read_table
from counterfactory.core.run import Run
from counterfactory.data.dataset import encode_parents, load_split
from counterfactory.methods import load_method
from counterfactory.methods.batches import answer_questions
from counterfactory.models.gan.model import build_gan
from counterfactory.nets.pixels import to_bytes, to_pixels
from counterfactory.questions.interventions import write_questions
from counterfactory.scm.fit import fit_scm, load_scm
from tests.squares import SQUARES

pytest_plugins = ["tests.squares"]

NETWORK = {"latent": 5, "widths": [8], "hidden": 8, "exposure": ["shade"]}


@pytest.fixture
def place(squares, questions_settings) -> SimpleNamespace:
    place = SimpleNamespace(
        data=squares, models=squares.parent / "models", questions=squares.parent / "questions"
    )
    fit_scm(
        SimpleNamespace(steps=20, bins=4, hidden=[8]),
        Run("scm", squares, place.models / "scm" / "seed0", place.models / "scm" / "seed0", seed=0),
    )
    for suite in ("do", "null", "reverse"):
        write_questions(suite, questions_settings, squares, place.questions / f"{suite}.parquet")
    write(place, [])
    return place


def write(place, failures) -> None:
    torch.manual_seed(0)
    place.networks = build_gan("gan", SQUARES, NETWORK).eval()
    place.networks.exposure.fill_(0.4)
    meta = {"model": "gan", "network": NETWORK, "failures": failures}
    save_model(place.models / "gan" / "seed0", place.networks.state_dict(), meta)


def answers(place, suite, rows=slice(None), batch_size=16, **settings):
    method = load_method("gan", 0, place.data, place.models, SimpleNamespace(**settings))
    table = read_table(place.questions / f"{suite}.parquet").iloc[rows]
    test = load_split(place.data, "test")
    images, parents, *_ = answer_questions(method, table, SQUARES, test, batch_size)
    factual = test.attributes.iloc[table["index"]].reset_index(drop=True)
    return images, parents, table.reset_index(drop=True), test.images[table["index"]], factual


@torch.no_grad()
def test_nothing_done_gives_the_reconstruction(place):
    images, parents, table, before, factual = answers(place, "null")
    once = (table["cycles"] == 1).to_numpy()
    encoded = torch.from_numpy(encode_parents(SQUARES, factual))
    networks = place.networks
    expected = to_bytes(networks.generate(networks.encode(to_pixels(before), encoded), encoded)).numpy()
    assert np.abs(images[once].astype(int) - expected[once]).max() <= 1
    assert all((parents[name] == factual[name]).all() for name in SQUARES.names)


def test_parents_follow_the_causal_model(place):
    _, parents, table, _, factual = answers(place, "do")
    scm = load_scm(place.models / "scm" / "seed0", SQUARES)
    sized = (table["intervention"] == "size").to_numpy()
    target = table["steps"].str.extract(r'"size": ([\d.]+)')[0].astype(float).to_numpy()
    factual = {name: factual[name].to_numpy(float) for name in SQUARES.names}
    do = {"size": np.where(sized, target, np.nan)}
    expected = scm.counterfactual_table(factual, do, table["seed"].to_numpy())
    for name in SQUARES.names:
        np.testing.assert_allclose(parents[name][sized], expected[name][sized], rtol=1e-9)


def test_the_same_question_has_the_same_bytes_whatever_is_asked_with_it(place):
    for settings in ({}, {"stickiness": 0.5}):
        whole, *_ = answers(place, "reverse", **settings)
        for rows in (slice(0, 5), slice(5, 23), [11]):
            images, *_ = answers(place, "reverse", rows=rows, **settings)
            assert images.tobytes() == whole[rows].tobytes()


def test_without_stickiness_the_image_is_forgotten(place):
    method = load_method("gan", 0, place.data, place.models, SimpleNamespace(stickiness=0.0))
    table = read_table(place.questions / "null.parquet")
    table = table[table["cycles"] == 1].iloc[:6].assign(seed=7, question=range(6))
    images, *_ = answer_questions(method, table, SQUARES, load_split(place.data, "test"), 6)
    assert (images == images[:1]).all()


def test_a_failed_training_answers_nothing(place):
    write(place, ["collapse"])
    _, parents, *_ = answers(place, "do")
    assert all(np.isnan(values).all() for values in parents.values())
