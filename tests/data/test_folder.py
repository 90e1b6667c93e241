"""The data set `folder`: faults of rows and files are reported, splits depend on the content of the files, and the
variables are those of the table."""

import json
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from counterfactory.config import load_section, load_settings
from counterfactory.core.errors import UserError
from counterfactory.data.column_roles import key_of
from counterfactory.data.dataset import SPLITS, load_dataset, load_split
from counterfactory.data.folder import synthesise
from counterfactory.data.own_images import listing
from counterfactory.data.splits import SHARES, cut
from tests.data.own_folder import HEADER, add_odd_rows, draw_folder, write_table

VARIABLES = {
    "size": {"type": "continuous", "unit": "px"},
    "hue": {"type": "categorical", "classes": ["red", "green", "blue"]},
    "outline": {"type": "binary"},
}


def section(folder, **keys):
    """Returns the section `data` with all defaults, as the step receives it."""
    given = {"folder": str(folder / "images"), "image_size": 16, **keys}
    return load_settings({"dataset": "folder", "data": given}).data


def made(folder, out, threads=1, **keys):
    synthesise(section(folder, **keys), False, folder, out, threads)
    return out


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    rows = draw_folder(folder)
    return folder, rows


def test_a_folder_and_a_table_alone_are_a_data_set(plain, tmp_path):
    folder, rows = plain
    settings = load_settings({"dataset": "folder", "data": {"folder": str(folder / "images")}})
    names = ["hue", "outline", "size"]
    assert [variable.name for variable in settings.entry.variables] == names
    assert settings.questions.do.interventions == [*names, "random"] and settings.data.image_size == 64
    assert "truth" not in settings.methods and "measured" not in settings.scores.metrics
    assert settings.questions.do.images <= settings.data.test == int(0.15 * len(rows))
    assert load_section("data", settings.data.model_dump(mode="json")) == settings.data

    out = made(folder, tmp_path, variables=VARIABLES)
    dataset = load_dataset(out)
    size, hue, outline = dataset.variables
    assert (hue.names, outline.names, size.unit) == (("red", "green", "blue"), ("no", "yes"), "px")
    table = {row[0]: row for row in rows}
    for split in SPLITS:
        found = load_split(out, split)
        assert found.images.shape[1:] == (3, 16, 16)
        for row, image in zip(found.attributes.to_dict("records"), found.images, strict=True):
            name, own, word, edge, _ = table[row["file"]]
            assert rows[row["index"] - 1][0] == name and row["size"] == float(own)
            assert hue.names[row["hue"]] == word and row["outline"] == (edge == "yes")
            middle = image[:, 8, 8].astype(int)
            assert np.argmax(middle) == ("red", "green", "blue").index(word)
    train = load_split(out, "train").attributes
    assert (size.low, size.high) == (train["size"].min(), train["size"].max())
    assert [len(load_split(out, split).images) for split in SPLITS] == [72, 6, 24, 18]
    assert (out / "notes.txt").read_text().startswith("table.csv: 120 rows, 0 left out\n")


def test_every_odd_row_is_told_in_one_line_and_counted(tmp_path, capsys):
    rows = draw_folder(tmp_path)
    said = add_odd_rows(tmp_path, rows)
    out = made(tmp_path, tmp_path / "out", variables=VARIABLES, threads=3)
    text = (out / "notes.txt").read_text()
    head, _, lines = text.partition("\n\n")
    for number, words in said.items():
        if words:
            found = [line for line in lines.splitlines() if line.startswith(f"row {number}: ")]
            assert any(words in line for line in found), (number, words, found)
    assert (
        "outline: several spellings of no and yes:" in lines
        and "1 image file is in no row: unnamed.png" in lines
    )
    # Every row is in a split, left out with a line, or more than the splits hold.
    left = re.findall(r"^row (\d+): .*; left out$", lines, re.M)
    kept = [number for split in SPLITS for number in load_split(out, split).attributes["index"]]
    assert len(set(left)) == len(left) and not set(map(int, left)) & set(kept)
    assert len(left) + len(kept) == len(rows) + 1
    assert head.splitlines()[0] == f"table.csv: {len(rows) + 1} rows, {len(left)} left out"
    assert sum(int(count) for count in re.findall(r"^left out: (\d+) x", head, re.M)) == len(left)
    assert head in capsys.readouterr().err
    values = load_split(out, "train").attributes
    words = {"word1.png": 1, "wordTrue.png": 1, "word-1.png": 0, "wordNo.png": 0}
    everything = pd.concat([load_split(out, split).attributes for split in SPLITS]).set_index("file")[
        "outline"
    ]
    assert {name: everything[name] for name in words} == words and values["size"].notna().all()


def test_faults_can_be_refused(tmp_path):
    rows = draw_folder(tmp_path, 60)
    add_odd_rows(tmp_path, rows)
    with pytest.raises(
        UserError, match=r"^data: \d+ rows have faults; correct them, or set data.faults: skip\nrow "
    ):
        made(tmp_path, tmp_path / "out", variables=VARIABLES, faults="refuse")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["faults.txt"]
    text = (tmp_path / "out" / "faults.txt").read_text()
    assert "missing.png: no such file" in text and text.startswith("left out: ")
    made(tmp_path, tmp_path / "out", variables=VARIABLES)
    assert not (tmp_path / "out" / "faults.txt").exists()


def test_splits_follow_the_content_not_the_order_or_the_place(plain, tmp_path):
    folder, rows = plain
    first = made(folder, tmp_path / "first", variables=VARIABLES)
    moved = tmp_path / "elsewhere"
    shutil.copytree(folder / "images", moved / "images")
    order = [3, 0, 4, 2, 1]
    write_table(
        moved / "table.tsv",
        [[row[i] for i in order] for row in reversed(rows)],
        [HEADER[i] for i in order],
        "\t",
    )
    second = made(moved, tmp_path / "second", variables=VARIABLES, threads=4)
    for split in SPLITS:
        one, other = load_split(first, split), load_split(second, split)
        assert (one.images == other.images).all()
        assert one.attributes.drop(columns="index").equals(other.attributes.drop(columns="index"))
    third = made(folder, tmp_path / "third", variables=VARIABLES, seed=1)
    assert set(load_split(third, "test").attributes["file"]) != set(
        load_split(first, "test").attributes["file"]
    )


def test_found_variables_do_not_depend_on_the_order_of_columns(plain, tmp_path):
    folder, rows = plain
    moved = tmp_path / "moved"
    shutil.copytree(folder / "images", moved / "images")
    pd.DataFrame(rows, columns=HEADER)[[*reversed(HEADER)]].to_parquet(moved / "table.parquet")
    one, other = (
        made(place, tmp_path / place.name, people=None) if False else made(place, tmp_path / f"out{i}")
        for i, place in enumerate((folder, moved))
    )
    assert load_dataset(one).variables == load_dataset(other).variables
    for split in SPLITS:
        assert load_split(one, split).attributes.equals(load_split(other, split).attributes)


def test_no_individual_is_in_two_splits(plain, tmp_path):
    folder, _ = plain
    out = made(folder, tmp_path, variables=VARIABLES, identity_column="person")
    people = {split: set(load_split(out, split).attributes["identity"]) for split in SPLITS}
    assert all(people.values()) and sum(map(len, people.values())) == len(set.union(*people.values()))


def test_a_column_of_splits_is_followed_and_judges_are_cut_from_train(plain, tmp_path):
    folder, rows = plain
    for row in rows:
        row_split = {"7": "dev", "8": "hold", "9": "hold"}.get(row[0][3], "fit")
        row.append(row_split)
    place = tmp_path / "own"
    shutil.copytree(folder / "images", place / "images")
    write_table(place / "table.csv", rows, (*HEADER, "part"), ";")
    values = {"dev": "valid", "hold": "test", "fit": "train"}
    out = made(place, tmp_path / "out", variables=VARIABLES, split_column="part", split_values=values)
    files = {split: {name[3] for name in load_split(out, split).attributes["file"]} for split in SPLITS}
    assert files["valid"] == {"7"} and files["test"] == {"8", "9"}
    assert files["train"] | files["judges"] == set("0123456")
    assert len(load_split(out, "judges").images) == int(0.25 * 84)
    del rows[0][5:]
    for row in rows[1:]:
        del row[5:]


def test_an_individual_in_two_splits_of_the_table_is_refused(plain, tmp_path):
    folder, rows = plain
    place = tmp_path / "own"
    shutil.copytree(folder / "images", place / "images")
    write_table(
        place / "table.csv",
        [[*row, ("train", "test")[i % 2]] for i, row in enumerate(rows)],
        (*HEADER, "split"),
    )
    for row in rows[:2]:
        row[4] = "p0"
    with pytest.raises(UserError, match=r"data.split_column: split: hue '\w+' is in \w+ \(row \d+\) and in"):
        made(place, tmp_path / "out", variables={"size": {}}, split_column="split", identity_column="hue")


def test_labels_are_no_parents_and_grey_images_have_one_channel(plain, tmp_path):
    folder, _ = plain
    keys = {
        "variables": {"hue": {}, "size": {"range": [0, 20]}},
        "labels": {"outline": {}},
        "edges": [["hue", "size"]],
    }
    out = made(folder, tmp_path, channels=1, crop="none", **keys)
    dataset = load_dataset(out)
    assert dataset.names == ("hue", "size") and [label.name for label in dataset.labels] == ["outline"]
    assert dataset.edges == (("hue", "size"),) and dataset.shape == (1, 16, 16)
    assert (dataset.variable("size").low, dataset.variable("size").high) == (0.0, 20.0)
    assert set(load_split(out, "test").attributes["outline"]) == {0, 1}
    assert json.loads((out / "dataset.json").read_text())["labels"][0]["names"] == ["no", "yes"]


@pytest.mark.parametrize(
    "keys, words",
    [
        ({"folder": None}, "data.folder is null, but dataset: folder requires it"),
        ({"folder": "nowhere"}, "data.folder: nowhere: no such folder"),
        ({"table": "nothing.csv"}, "data.table: nothing.csv: no such file"),
        ({"image_column": "fil"}, "data.image_column: .* has no column 'fil'; did you mean 'file'?"),
        ({"variables": {"siez": {}}}, "data.variables.siez: .* has no column 'siez'; .*did you mean 'size'"),
        ({"variables": {"size": {}}, "labels": {"size": {}}}, "data.labels.size is a variable too"),
        ({"variables": {"hue": {"type": "binary", "classes": ["a"]}}}, "hue has 1 classes; it must have 2"),
        (
            {"variables": {"size": {"range": [3, 3]}}},
            r"size.range is \[3, 3\]; the first number must be less",
        ),
        ({"variables": {"random": {"column": "hue"}}}, "random: this name is reserved"),
        (
            {"edges": [["hue", "sise"]]},
            "data.edges contains 'sise', which is no variable; did you mean 'size'",
        ),
        ({"split_column": "hue"}, r"no value of hue \(blue, green, red\) names the split train"),
        ({"test": 500}, "questions.do.images"),
    ],
)
def test_mistakes_are_refused_before_anything_runs(plain, keys, words):
    folder, _ = plain
    asked = {"questions": {"do": {"images": 400}}} if "test" in keys else {}
    with pytest.raises(UserError, match=words) as caught:
        load_settings({"dataset": "folder", "data": {"folder": str(folder / "images"), **keys}, **asked})
    assert "\n" not in str(caught.value) and str(caught.value).startswith("config: ")


def test_cut_fills_every_split_and_keeps_groups_together():
    groups = [f"g{i // 3}" for i in range(300)]
    found = cut(groups, {"train": 150, "valid": 30, "judges": 60, "test": 45}, 0)
    assert {split: len(rows) for split, rows in found.items()} == {
        "train": 150,
        "valid": 30,
        "judges": 60,
        "test": 45,
    }
    homes = {}
    for split, rows in found.items():
        for row in rows:
            assert homes.setdefault(groups[row], split) == split
    more = cut(groups, dict.fromkeys(SHARES, 10_000), 0)
    assert {split: len(rows) for split, rows in more.items()} == {
        "train": 180,
        "valid": 15,
        "judges": 60,
        "test": 45,
    }


def test_the_listing_notices_files_but_not_their_place(plain, tmp_path):
    folder, _ = plain
    shutil.copytree(folder / "images", tmp_path / "images")
    assert listing(tmp_path / "images") == listing(folder / "images") and listing("") == ""
    (tmp_path / "images" / "0000.png").unlink()
    assert listing(tmp_path / "images") != listing(folder / "images")


def test_names_of_variables():
    assert [key_of(name) for name in ("Smiling", "5 o'clock", "Größe", "index")] == [
        "smiling",
        "v_5_o_clock",
        "gr_e",
        "index_value",
    ]
    assert key_of("Size", {"size": ""}) == "size_2"
