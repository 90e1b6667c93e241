import json
from types import SimpleNamespace

import numpy as np
import pytest

from counterfactory.core.errors import UserError
from counterfactory.core.files import read_table
from counterfactory.data.dataset import load_dataset, load_split
from counterfactory.questions.interventions import write_questions as write_interventions
from counterfactory.questions.sweep import values_of, write_questions

pytest_plugins = ["tests.squares"]


def settings(images=5, values=4):
    return SimpleNamespace(seed=0, sweep=SimpleNamespace(images=images, values=values))


@pytest.fixture
def table(squares, tmp_path):
    write_questions("sweep", settings(), squares, tmp_path / "sweep.parquet")
    return read_table(tmp_path / "sweep.parquet")


def test_every_image_is_set_to_every_value_of_every_variable(squares, table):
    dataset, train = load_dataset(squares), load_split(squares, "train").attributes
    assert table["question"].tolist() == list(range(5 * (4 + 4 + 3)))
    for variable in dataset.variables:
        for _, row in table[table["intervention"] == variable.name].groupby("index"):
            set_to = [json.loads(steps)[0][variable.name] for steps in row["steps"]]
            assert set_to == values_of(variable, train, 4)
            assert row[f"true_{variable.name}"].tolist() == pytest.approx(set_to)


def test_values_rise_evenly_inside_the_training_range(squares):
    train = load_split(squares, "train").attributes
    size, _, kind = load_dataset(squares).variables
    values = values_of(size, train, 6)
    assert train["size"].min() < values[0] < values[-1] < train["size"].max()
    assert np.diff(values) == pytest.approx(np.diff(values)[0])
    assert values_of(kind, train, 6) == [0, 1, 2]


def test_all_questions_about_an_image_share_a_seed(table):
    assert (table.groupby("index")["seed"].nunique() == 1).all()
    assert table["seed"].nunique() == 5


def test_images_are_of_different_classes_first(squares, table):
    kinds = load_split(squares, "test").attributes["kind"].to_numpy()
    rows = table["index"].drop_duplicates().to_numpy()
    assert set(kinds[rows[:3]]) == {0, 1, 2}


def test_more_images_change_no_question(squares, table, tmp_path):
    write_questions("sweep", settings(images=7), squares, tmp_path / "more.parquet")
    more = read_table(tmp_path / "more.parquet")
    key = ["index", "seed", "steps"]
    assert more["index"].drop_duplicates()[:5].tolist() == table["index"].drop_duplicates().tolist()
    assert set(map(tuple, table[key].to_numpy())) <= set(map(tuple, more[key].to_numpy()))


def test_columns_are_those_of_the_other_suites(squares, table, questions_settings, tmp_path):
    write_interventions("null", questions_settings, squares, tmp_path / "null.parquet")
    assert table.columns.tolist() == read_table(tmp_path / "null.parquet").columns.tolist()


def test_more_images_than_there_are_is_refused(squares, tmp_path):
    with pytest.raises(UserError, match=r"questions\.sweep\.images is 61"):
        write_questions("sweep", settings(images=61), squares, tmp_path / "sweep.parquet")
