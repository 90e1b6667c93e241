"""The suites do, null and reverse: their order, the distributions of values, and stability of the questions."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from counterfactory.core.errors import UserError
from counterfactory.core.files import read_table
from counterfactory.data.dataset import load_dataset, load_split, save_dataset
from counterfactory.questions import table as questions
from counterfactory.questions.bins import BINS, bin_of
from counterfactory.questions.interventions import write_questions
from counterfactory.questions.registry import PROTOCOLS

pytest_plugins = ["tests.squares"]


@pytest.fixture
def questions_of(squares, questions_settings, tmp_path):
    """Writes the questions of one suite and reads the table."""

    def run(suite: str, settings=questions_settings) -> pd.DataFrame:
        write_questions(suite, settings, squares, tmp_path / f"{suite}.parquet")
        return read_table(tmp_path / f"{suite}.parquet")

    return run


def steps_of(table: pd.DataFrame) -> list[list[dict[str, float]]]:
    return [json.loads(text) for text in table["steps"]]


@pytest.mark.parametrize("suite", ["do", "null", "reverse"])
def test_order_and_columns(questions_of, suite, questions_settings):
    table = questions_of(suite)
    part = getattr(questions_settings, suite)
    assert table["question"].tolist() == list(range(len(table)))
    assert set(table["suite"]) == {suite}
    assert table.columns.tolist() == [
        *("question", "suite", "index", "intervention", "protocol", "cycles", "seed", "steps"),
        *("true_size", "true_shade", "true_kind"),
    ]
    interventions = getattr(part, "interventions", ["none"])
    protocols = {"do": list(PROTOCOLS), "null": [""], "reverse": ["marginal"]}[suite]
    blocks = [(i, p, c) for i in interventions for p in protocols for c in getattr(part, "cycles", [1])]
    found = list(zip(table["intervention"], table["protocol"], table["cycles"], strict=True))
    assert found == [block for block in blocks for _ in range(part.images)]
    first = table["index"][: part.images]
    assert first.is_unique
    assert table["index"].tolist() == first.tolist() * len(blocks)
    assert [len(steps) for steps in steps_of(table)] == (
        table["cycles"] * (2 if suite == "reverse" else 1)
    ).tolist()


def test_every_suite_uses_the_same_images(questions_of):
    few, many = questions_of("null")["index"][:9], questions_of("do")["index"][:20]
    assert few.tolist() == many[:9].tolist()
    assert many.tolist() != sorted(many)


@pytest.mark.parametrize("suite", ["do", "null", "reverse"])
def test_more_images_change_no_question(questions_of, suite, questions_settings):
    few = questions_of(suite)
    getattr(questions_settings, suite).images += 17
    many = questions_of(suite)
    block = ["intervention", "protocol", "cycles"]
    images = len(few) // len(few.groupby(block))
    kept = many.groupby(block, sort=False).head(images).reset_index(drop=True)
    pd.testing.assert_frame_equal(kept.drop(columns="question"), few.drop(columns="question"))


def test_fewer_interventions_change_no_question(questions_of, questions_settings):
    before = questions_of("do")
    questions_settings.do.interventions = ["kind"]
    after = questions_of("do")
    kept = before[before["intervention"] == "kind"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept.drop(columns="question"), after.drop(columns="question"))


@pytest.mark.parametrize("suite", ["do", "null", "reverse"])
def test_the_seed_decides(questions_of, suite, questions_settings):
    first, again = questions_of(suite), questions_of(suite)
    pd.testing.assert_frame_equal(first, again)
    questions_settings.seed = 1
    other = questions_of(suite)
    assert not set(first["seed"]) & set(other["seed"])


def test_questions_of_a_suite_have_seeds_of_their_own(questions_of):
    assert questions_of("do")["seed"].is_unique
    assert not set(questions_of("do")["seed"]) & set(questions_of("null")["seed"])


def test_null_does_nothing(questions_of):
    table = questions_of("null")
    assert all(step == {} for steps in steps_of(table) for step in steps)


def test_reverse_goes_there_and_back(questions_of, squares):
    table, test = questions_of("reverse"), load_split(squares, "test").attributes
    for index, name, cycles, steps in zip(
        table["index"], table["intervention"], table["cycles"], steps_of(table), strict=True
    ):
        assert all(step == {name: test[name].iloc[index]} for step in steps[1::2])
        assert all(set(step) == {name} for step in steps[::2])
        if name == "size":
            assert len({step[name] for step in steps[::2]}) == cycles


def test_longer_walks_begin_with_shorter_ones(questions_of):
    table = questions_of("reverse")
    short, long = (table[table["cycles"] == cycles].reset_index(drop=True) for cycles in (1, 3))
    assert short["seed"].tolist() == long["seed"].tolist()
    assert [steps[:2] for steps in steps_of(long)] == steps_of(short)


def test_null_and_reverse_end_where_they_began(questions_of, squares):
    test = load_split(squares, "test").attributes
    for suite in ("null", "reverse"):
        table = questions_of(suite)
        for name in ("size", "shade", "kind"):
            assert (table[f"true_{name}"].to_numpy() == test[name].to_numpy()[table["index"]]).all()


@pytest.fixture
def many(questions_of, questions_settings):
    """A suite `do` with enough questions to test distributions, from small splits."""
    questions_settings.do.images = 60
    tables = []
    for seed in range(10):
        questions_settings.seed = seed
        tables.append(questions_of("do"))
    return pd.concat(tables, ignore_index=True)


def test_marginal_follows_the_train_split(many, squares):
    train = load_split(squares, "train").attributes
    table = many[many["protocol"] == "marginal"]
    for name in ("size", "shade", "kind"):
        for intervention in (name, "random"):
            steps = steps_of(table[table["intervention"] == intervention])
            drawn = np.array([step[0][name] for step in steps if name in step[0]])
            assert np.isin(drawn, train[name]).all()
            if name == "kind":
                counts = np.bincount(drawn.astype(int), minlength=3)
                assert (
                    stats.chisquare(counts, np.bincount(train["kind"]) * len(drawn) / len(train)).pvalue
                    > 1e-3
                )
            else:
                assert stats.ks_2samp(drawn, train[name]).pvalue > 1e-3


def test_other_bin_is_another_bin(many, squares):
    dataset, test = load_dataset(squares), load_split(squares, "test").attributes
    table = many[many["protocol"] == "other_bin"]
    bins = {name: set() for name in dataset.names}
    for index, steps in zip(table["index"], steps_of(table), strict=True):
        for name, value in steps[0].items():
            variable = dataset.variable(name)
            assert bin_of(variable, value) != bin_of(variable, test[name].iloc[index])
            assert value in test[name].to_numpy()
            bins[name].add(int(bin_of(variable, value)))
    assert bins["kind"] == {0, 1, 2}
    for name in ("size", "shade"):
        assert bins[name] == set(bin_of(dataset.variable(name), test[name].to_numpy()).tolist())


def test_random_sets_each_with_even_odds_and_at_least_one(many):
    steps = steps_of(many[many["intervention"] == "random"])
    subsets = pd.Series(["+".join(step[0]) for step in steps]).value_counts()
    assert len(subsets) == 7
    assert stats.chisquare(subsets).pvalue > 1e-3


def test_bins_have_equal_width_and_catch_what_is_outside(squares):
    size = load_dataset(squares).variable("size")
    edges = np.linspace(1.0, 4.0, BINS + 1)
    middles = (edges[1:] + edges[:-1]) / 2
    assert bin_of(size, middles).tolist() == list(range(BINS))
    assert bin_of(size, np.array([0.0, 1.0, 4.0, 9.0])).tolist() == [0, 0, BINS - 1, BINS - 1]


def test_without_a_world_the_graph_determines_true_parents(questions_of, squares):
    table, test = questions_of("do"), load_split(squares, "test").attributes
    factual = test.iloc[table["index"]].reset_index(drop=True)
    for i, (step,) in enumerate(steps_of(table)):
        for name in ("size", "kind"):
            assert table[f"true_{name}"][i] == step.get(name, factual[name][i])
        if "shade" in step:
            assert table["true_shade"][i] == step["shade"]
        elif "size" in step:
            assert np.isnan(table["true_shade"][i])
        else:
            assert table["true_shade"][i] == factual["shade"][i]


def test_a_simulated_world_determines_all_true_parents(questions_of, squares, monkeypatch):
    calls = {}

    def counterfactual_parents(attributes, do):
        calls["noise"] = attributes["noise_shade"].to_numpy()
        calls["do"] = do
        return {name: np.arange(len(attributes), dtype=float) for name in do}

    monkeypatch.setattr(
        questions, "world", lambda name: SimpleNamespace(counterfactual_parents=counterfactual_parents)
    )
    save_dataset(squares, replace(load_dataset(squares), simulated=True))
    table = questions_of("do")
    assert table["true_shade"].tolist() == table["question"].tolist()
    noise = load_split(squares, "test").attributes["noise_shade"].to_numpy()
    assert (calls["noise"] == noise[table["index"]]).all()
    for i, (step,) in enumerate(steps_of(table)):
        assert {name: values[i] for name, values in calls["do"].items() if not np.isnan(values[i])} == step


def test_several_variables_are_set_at_once(questions_of, questions_settings, squares):
    alone = questions_of("do")
    questions_settings.do.interventions = [["size", "kind"], "shade"]
    table = questions_of("do")
    joint = table[table["intervention"] == "size+kind"]
    assert joint["protocol"].tolist() == ["marginal"] * 20 + ["other_bin"] * 20
    train, test = (load_split(squares, name).attributes for name in ("train", "test"))
    for (action,), row in zip(steps_of(joint), joint.itertuples(), strict=True):
        assert set(action) == {"size", "kind"} and isinstance(action["kind"], int)
        assert (row.true_size, row.true_kind) == (action["size"], action["kind"])
        assert np.isnan(row.true_shade)  # an effect of size in a world that is not simulated
        if row.protocol == "other_bin":
            assert action["kind"] != test["kind"][row.index]
        else:
            assert action["size"] in train["size"].to_numpy()
    same = ["index", "seed", "steps"]
    pd.testing.assert_frame_equal(
        table[table["intervention"] == "shade"][same].reset_index(drop=True),
        alone[alone["intervention"] == "shade"][same].reset_index(drop=True),
    )


def test_fixed_values_are_set_in_all_images(questions_of, questions_settings):
    alone = questions_of("do")
    questions_settings.do.values = {"size": [4, 2.5], "kind": [2]}
    table = questions_of("do")
    pd.testing.assert_frame_equal(table.head(len(alone)), alone)
    more = table.iloc[len(alone) :]
    assert more["intervention"].drop_duplicates().tolist() == ["size=4", "size=2.5", "kind=2"]
    assert set(more["protocol"]) == {"fixed"} and (more.groupby("intervention").size() == 20).all()
    for (action,), row in zip(steps_of(more), more.itertuples(), strict=True):
        name, _, value = row.intervention.partition("=")
        assert action == {name: float(value)}
        assert getattr(row, f"true_{name}") == float(value)
    assert more["seed"].is_unique
    questions_settings.do.values = {"kind": [3]}
    with pytest.raises(UserError, match="questions.do.values.kind: 3; choose a class of 0 to 2"):
        questions_of("do")


@pytest.mark.parametrize(
    ("suite", "key", "value", "text"),
    [
        ("do", "images", 61, "questions.do.images is 61, but the test split has 60"),
        (
            "do",
            "interventions",
            ["colour"],
            "questions.do.interventions: 'colour'; choose from size, shade, kind, random",
        ),
        (
            "do",
            "protocols",
            ["uniform"],
            "questions.do.protocols: 'uniform'; choose from marginal, other_bin",
        ),
        ("do", "interventions", ["size", "size"], "questions.do: .* listed twice"),
        (
            "reverse",
            "interventions",
            ["random"],
            "questions.reverse.interventions: 'random'; choose from size, shade, kind",
        ),
        ("null", "cycles", [0], "questions.null.cycles: 0; choose 1 or more"),
    ],
)
def test_refuses_invalid_settings(questions_of, questions_settings, suite, key, value, text):
    setattr(getattr(questions_settings, suite), key, value)
    with pytest.raises(UserError, match=text):
        questions_of(suite)


def test_refuses_an_unknown_suite(questions_of):
    with pytest.raises(
        UserError, match="flip: not a suite of interventions; choose one of do, null, reverse"
    ):
        questions_of("flip")


def test_no_images_is_an_empty_table(questions_of, questions_settings):
    questions_settings.null.images = 0
    assert len(questions_of("null")) == 0
