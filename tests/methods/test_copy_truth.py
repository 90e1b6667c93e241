"""The floor and the ceiling: `copy` returns the input, `truth` the true counterfactual."""

import json
from types import ModuleType, SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from numpy.lib.format import open_memmap

from counterfactory.answers.store import gather
from counterfactory.core.errors import UserError
from counterfactory.core.files import read_table
from counterfactory.data import morphomnist
from counterfactory.data.dataset import load_dataset, load_split
from counterfactory.data.morpho_sets import split_rows
from counterfactory.methods import Batch, load_method
from counterfactory.methods import truth as truth_module
from counterfactory.methods.run import Job, answer
from counterfactory.questions.interventions import write_questions

pytest_plugins = ["tests.squares"]

TEST = 12


def draw_digits(count: int) -> np.ndarray:
    """Bent strokes, about as thick as handwriting, (N, 28, 28)."""
    y, x = np.mgrid[:28, :28]
    bends = np.linspace(-6, 6, count)[:, None, None]
    offset = np.abs(x - 14 - bends * np.sin((y - 14) / 5))
    inside = (np.abs(y - 14) < 9) * np.clip(2.5 - offset, 0, 1)
    return (255 * inside).astype(np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> SimpleNamespace:
    """A small Morpho-MNIST whose digits are drawn here, with its questions."""
    folder = tmp_path_factory.mktemp("morphomnist")
    place = SimpleNamespace(data=folder / "data", questions=folder / "questions", answers=folder / "answers")
    digits = place.data / "digits"
    digits.mkdir(parents=True)
    # A hole in the file, except for the digits that are used.
    settings = SimpleNamespace(published=None, seed=0, train=40, valid=1, judges=1, test=TEST, image_size=32)
    used = np.concatenate(list(split_rows(settings).values()))
    images = open_memmap(digits / "images.npy", mode="w+", dtype=np.uint8, shape=(70_000, 28, 28))
    images[used] = draw_digits(len(used))
    images.flush()
    labels = np.zeros(70_000, np.uint8)
    labels[used] = np.arange(len(used)) % 10
    np.save(digits / "labels.npy", labels)
    morphomnist.synthesise(settings, confounded=True, digits=digits, out=place.data)
    names = ["thickness", "intensity", "digit"]
    asked = SimpleNamespace(
        seed=0,
        do=SimpleNamespace(
            images=TEST, interventions=[*names, "random"], protocols=["marginal", "other_bin"], values={}
        ),
        null=SimpleNamespace(images=TEST, cycles=[1, 3]),
        reverse=SimpleNamespace(images=TEST, interventions=names, cycles=[1, 3]),
    )
    for suite in ("do", "null", "reverse"):
        write_questions(suite, asked, place.data, place.questions / f"{suite}.parquet")
    return place


def answers_of(place, method: str, suite: str) -> tuple[np.ndarray, pd.DataFrame]:
    questions = place.questions / f"{suite}.parquet"
    count = len(read_table(questions))
    for start in range(0, count, 17):
        chunk = f"{start:06d}-{min(start + 17, count):06d}"
        out = place.answers / method / suite
        job = Job(method, suite, chunk, place.data, place.data, questions, out)
        answer(SimpleNamespace(batch_size=10), job)
    return gather(place.answers / method, suite, questions)


def factual(place, table: pd.DataFrame) -> tuple[np.ndarray, pd.DataFrame]:
    test = load_split(place.data, "test")
    return test.images[table["index"]], test.attributes.iloc[table["index"]].reset_index(drop=True)


@pytest.mark.parametrize("suite", ["do", "null", "reverse"])
def test_copy_copies(place, suite):
    images, table = answers_of(place, "copy", suite)
    began, attributes = factual(place, table)
    assert table["answered"].all()
    assert (images == began).all()
    for name in ("thickness", "intensity", "digit"):
        assert (table[name] == attributes[name]).all()


def test_truth_of_nothing_is_the_image_itself(place):
    images, table = answers_of(place, "truth", "null")
    began, attributes = factual(place, table)
    assert table["answered"].all()
    assert images.tobytes() == began.tobytes()
    assert len(np.unique(images.reshape(len(images), -1), axis=0)) == TEST
    for name in ("thickness", "intensity", "digit"):
        assert (table[name] == attributes[name]).all()


def test_truth_there_and_back_is_the_image_itself(place):
    images, table = answers_of(place, "truth", "reverse")
    began, attributes = factual(place, table)
    there = table["intervention"] != "digit"
    assert (table["answered"] == there).all()
    assert (images[there] == began[there]).all()
    for name in ("thickness", "intensity", "digit"):
        assert (table.loc[there, name] == attributes.loc[there, name]).all()
        assert (table.loc[there, name] == table.loc[there, f"true_{name}"]).all()


def test_truth_renders_the_true_parents(place):
    images, table = answers_of(place, "truth", "do")
    _, attributes = factual(place, table)
    untouched = np.array(["digit" not in json.loads(steps)[0] for steps in table["steps"]])
    assert (table["answered"] == untouched).all()
    assert not images[~untouched].any()
    known = table[untouched]
    for name in ("thickness", "intensity", "digit"):
        np.testing.assert_allclose(known[name], known[f"true_{name}"], rtol=1e-12)
    rendered, _ = morphomnist.render_counterfactual(
        place.data,
        attributes[untouched],
        {name: known[f"true_{name}"].to_numpy() for name in ("thickness", "intensity", "digit")},
    )
    assert (images[untouched] == rendered).all()
    shown = morphomnist.measure(images[untouched])
    # Thin strokes consist of edges only and are darker than their intensity; most strokes are not.
    assert np.median(np.abs(shown["intensity"].to_numpy() - known["true_intensity"])) <= 1.0


def test_do_thickness_moves_intensity_by_the_true_mechanism_and_nothing_else(place):
    _, table = answers_of(place, "truth", "do")
    _, attributes = factual(place, table)
    rows = (table["intervention"] == "thickness") & (table["protocol"] == "marginal")
    expected = 64 + 191 / (
        1 + np.exp(-(2 * (table["thickness"] - 2.5) + 0.5 * attributes["noise_intensity"]))
    )
    np.testing.assert_allclose(table.loc[rows, "intensity"], expected[rows], rtol=1e-9)
    rows = (table["intervention"] == "intensity") & (table["protocol"] == "marginal")
    assert (table.loc[rows, "thickness"] == attributes.loc[rows, "thickness"]).all()


def test_rounding_does_not_keep_a_walk_from_ending_where_it_began(squares, monkeypatch):
    world = ModuleType("world")
    world.counterfactual_parents = lambda attributes, do: {k: v * (1 + 1e-13) for k, v in attributes.items()}
    world.render_counterfactual = lambda data, attributes, parents: (
        np.zeros((len(attributes), 1, 6, 6), np.uint8),
        np.ones(len(attributes), bool),
    )
    monkeypatch.setattr(truth_module, "world", lambda name: world)
    dataset, test = load_dataset(squares), load_split(squares, "test")
    monkeypatch.setattr(
        truth_module, "load_dataset", lambda data: SimpleNamespace(**vars(dataset) | {"simulated": True})
    )
    rows = np.arange(5)
    parents = {name: test.attributes[name].to_numpy(np.float64)[rows] for name in dataset.names}
    nothing = {name: np.full(5, np.nan) for name in dataset.names}
    batch = Batch(test.images[rows], parents, nothing, rows, rows, rows, 5, 0)
    _, after = load_method("truth", 0, squares, squares, None)(batch)
    assert all((after[name] == parents[name]).all() for name in dataset.names)


def test_truth_needs_a_simulated_world(squares):
    with pytest.raises(UserError, match="truth: squares is not simulated"):
        load_method("truth", 0, squares, squares, None)
