"""The suite flip: labels, targets and actions, their order, and stable numbers of the questions."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.errors import UserError
from counterfactory.core.files import read_table
from counterfactory.data.dataset import load_split, save_dataset
from counterfactory.questions.flip import write_questions
from counterfactory.questions.interventions import write_questions as write_interventions
from tests.squares import SQUARES

pytest_plugins = ["tests.squares"]

ATTRIBUTES = {
    "big": SimpleNamespace(of="size", above=2.5),
    "bright": SimpleNamespace(of="shade", above=150.0),
    "left_out": None,
}


@pytest.fixture
def wanted(questions_settings):
    questions_settings.flip = SimpleNamespace(
        images=12, attributes=["big", "bright", "kind"], targets={}, repeats=3, repeat_images=4
    )
    return questions_settings


@pytest.fixture
def questions_of(squares, wanted, tmp_path):
    def run(attributes=ATTRIBUTES) -> pd.DataFrame:
        write_questions("flip", wanted, squares, tmp_path / "flip.parquet", attributes)
        return read_table(tmp_path / "flip.parquet")

    return run


def test_order_and_columns(questions_of, squares, wanted, tmp_path):
    table = questions_of()
    assert table.columns.tolist() == [
        *("question", "suite", "index", "intervention", "protocol", "cycles", "seed", "steps", "attribute"),
        *("label", "target", "repeat", "true_size", "true_shade", "true_kind"),
    ]
    assert table["question"].tolist() == list(range(4 * 3 * 3 + 8 * 3))
    assert set(table["suite"]) == {"flip"}
    assert set(table["protocol"]) == {""}
    assert set(table["cycles"]) == {1}
    assert (table["attribute"] == table["intervention"]).all()
    assert table["attribute"].tolist() == ["big", "bright", "kind"] * 20
    assert table["repeat"][:18].tolist() == [0] * 3 + [1] * 3 + [2] * 3 + [0] * 3 + [1] * 3 + [2] * 3
    write_interventions("null", wanted, squares, tmp_path / "null.parquet")
    others = read_table(tmp_path / "null.parquet")["index"].unique()
    assert table["index"].unique()[:9].tolist() == others.tolist()


def test_labels_targets_and_actions_are_on_the_right_side(questions_of, squares):
    table = questions_of()
    test, train = (load_split(squares, name).attributes for name in ("test", "train"))
    for row in table.itertuples():
        (action,) = json.loads(row.steps)
        if row.attribute == "kind":
            assert row.label == test["kind"][row.index]
            assert row.target != row.label
            assert action == {"kind": row.target}
            assert row.true_kind == row.target
            continue
        one = ATTRIBUTES[row.attribute]
        assert row.label == (test[one.of][row.index] > one.above)
        assert row.target == 1 - row.label
        assert set(action) == {one.of}
        assert action[one.of] in train[one.of].to_numpy()
        assert (action[one.of] > one.above) == row.target
        assert getattr(row, f"true_{one.of}") == action[one.of]
    assert table["label"].nunique() > 1


def test_repeats_are_the_same_action_with_another_seed(questions_of):
    table = questions_of()
    groups = table.groupby(["index", "attribute"])
    assert (groups["steps"].nunique() == 1).all()
    assert (groups["target"].nunique() == 1).all()
    assert table["seed"].is_unique
    assert sorted(groups.size().unique()) == [1, 3]


def test_more_images_change_and_renumber_no_question(questions_of, wanted):
    before = questions_of()
    wanted.flip.images = 30
    pd.testing.assert_frame_equal(questions_of().head(len(before)), before)


def test_fewer_attributes_change_no_question(questions_of, wanted):
    before = questions_of()
    wanted.flip.attributes = ["kind"]
    kept = before[before["attribute"] == "kind"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept.drop(columns="question"), questions_of().drop(columns="question"))


def test_a_class_can_be_a_target(questions_of, wanted):
    wanted.flip.targets = {"kind": {0: 2}}
    table = questions_of()
    kinds = table[table["attribute"] == "kind"]
    assert set(kinds["target"][kinds["label"] == 0]) == {2}
    assert set(kinds["target"][kinds["label"] == 1]) <= {0, 2}


@pytest.mark.parametrize(
    ("changes", "attributes", "text"),
    [
        ({"images": 61}, {}, "questions.flip.images is 61, but the test split has 60"),
        (
            {"attributes": ["left_out"]},
            {},
            "questions.flip.attributes: 'left_out'; choose from big, bright, kind",
        ),
        (
            {"targets": {"kind": {0: 3}}},
            {},
            "questions.flip.targets.kind: 0: 3; choose two classes of 0 to 2",
        ),
        ({"targets": {"kind": {1: 1}}}, {}, "questions.flip.targets.kind: 1: 1"),
        (
            {"attributes": ["long"]},
            {"long": SimpleNamespace(of="length", above=1.0)},
            "attributes.long.of: length: neither a parent of squares nor measured there",
        ),
        (
            {},
            {"big": SimpleNamespace(of="size", above=9.0)},
            "attributes.big.above: .* choose a threshold between",
        ),
    ],
)
def test_refuses(questions_of, wanted, changes, attributes, text):
    vars(wanted.flip).update(changes)
    with pytest.raises(UserError, match=text):
        questions_of(ATTRIBUTES | attributes)


def test_a_constant_label_in_the_test_split_is_reported(questions_of, squares, capsys):
    path = squares / "test" / "attributes.parquet"
    table = read_table(path)
    table["size"] = np.minimum(table["size"], 2.4)
    table.to_parquet(path)
    save_dataset(squares, SQUARES)  # it holds checksums of the files
    assert set(questions_of()["label"][lambda labels: labels.index % 3 == 0]) == {0}
    assert "attributes.big.above: size is above 2.5 px in 0% of the 60 test images" in capsys.readouterr().err


def test_a_threshold_on_a_class_sets_classes(questions_of, squares, wanted):
    wanted.flip.attributes = ["late"]
    table = questions_of({"late": SimpleNamespace(of="kind", above=0.5)})
    test = load_split(squares, "test").attributes
    for row in table.itertuples():
        (action,) = json.loads(row.steps)
        assert isinstance(action["kind"], int) and (action["kind"] > 0.5) == row.target == 1 - row.label
        assert row.label == (test["kind"][row.index] > 0.5) and row.true_kind == action["kind"]


def test_an_attribute_with_the_name_of_its_quantity_keeps_its_values(questions_of, squares, wanted):
    wanted.flip.attributes = ["size"]
    table = questions_of({"size": SimpleNamespace(of="size", above=2.5)})
    train = load_split(squares, "train").attributes["size"].to_numpy()
    values = [json.loads(steps)[0]["size"] for steps in table["steps"]]
    assert set(values) <= set(train) and any(value % 1 for value in values)
    assert ((np.array(values) > 2.5) == table["target"]).all()
    with pytest.raises(
        UserError, match=r"attributes.size.above: size is above 9 .* choose a threshold between"
    ):
        questions_of({"size": SimpleNamespace(of="size", above=9.0)})
