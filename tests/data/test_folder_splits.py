"""Splits of the data set `folder`: no file content and no individual is in two of them; unused rows are no faults."""

import re
import shutil

import pytest

from counterfactory.config import load_settings
from counterfactory.core.errors import UserError
from counterfactory.data.dataset import SPLITS, load_split
from counterfactory.data.folder import synthesise
from counterfactory.data.splits import cut, portions
from tests.data.own_folder import HEADER, draw_folder, write_table

VARIABLES = {"size": {"type": "continuous"}, "outline": {"type": "binary"}}
HEAD = (*HEADER, "split")


def made(folder, name="out", **keys):
    given = {"folder": str(folder / "images"), "image_size": 16, "variables": VARIABLES, **keys}
    synthesise(load_settings({"dataset": "folder", "data": given}).data, False, folder, folder / name)
    files = {split: set(load_split(folder / name, split).attributes["file"]) for split in SPLITS}
    return files, (folder / name / "notes.txt").read_text()


def copied(folder, row, name, person, *more):
    shutil.copy(folder / "images" / row[0], folder / "images" / name)
    return [name, *row[1:4], person, *more]


def test_copies_in_the_splits_of_a_table_stay_in_the_split_that_evaluates(tmp_path):
    rows = draw_folder(tmp_path, 80)
    splits = ("train", "train", "train", "valid", "judges", "judges", "test", "test")
    rows = [[*row, splits[i % 8]] for i, row in enumerate(rows)]
    test, judge, train = rows[6], rows[4], rows[0]
    rows += [
        copied(tmp_path, test, "leak.png", "p1", "train"),
        copied(tmp_path, judge, "leak2.png", "p1", "valid"),
        copied(tmp_path, test, "leak3.png", "p1", "judges"),
        copied(tmp_path, train, "same.png", "p1", "train"),
    ]
    write_table(tmp_path / "table.csv", rows, HEAD)
    files, notes = made(tmp_path, split_column="split")
    kept = set.union(*files.values())
    assert not kept & {"leak.png", "leak2.png", "leak3.png"}
    assert (
        test[0] in files["test"] and judge[0] in files["judges"] and {train[0], "same.png"} <= files["train"]
    )
    assert "left out: 3 x copies of an image of another split\n" in notes
    line = f"row 81: leak.png: in the split train, with the same content as {test[0]} in test; left out"
    assert line in notes.splitlines()
    with pytest.raises(
        UserError, match="3 rows have faults; correct them, or set data.faults: skip\nrow 81: leak.png"
    ):
        made(tmp_path, "refused", split_column="split", faults="refuse")


def test_a_copy_of_an_image_of_another_individual_is_in_one_split(tmp_path):
    rows = draw_folder(tmp_path, 80)
    rows += [copied(tmp_path, row, f"copy{row[0]}", f"q{i}") for i, row in enumerate(rows[:20])]
    write_table(tmp_path / "table.csv", rows)
    files, notes = made(tmp_path, identity_column="person")
    homes = {split: {name.removeprefix("copy") for name in names} for split, names in files.items()}
    assert sum(map(len, homes.values())) == len(set.union(*homes.values()))
    count = int(re.search(r"left out: (\d+) x copies of an image of another split", notes)[1])
    assert 0 < count <= 20 and notes.count("with the same content as") == count
    # The file with the copy is noted too, with another value where there is one.
    assert "noticed: 20 x copies of a file, but with other values" in notes


def test_a_split_of_nothing_but_copies_is_refused(tmp_path):
    rows = [[*row, "train"] for row in draw_folder(tmp_path, 40)]
    rows += [copied(tmp_path, row, f"test{row[0]}", "p", "test") for row in rows[:5]]
    rows += [copied(tmp_path, row, f"valid{row[0]}", "p", "valid") for row in rows[:5]]
    write_table(tmp_path / "table.csv", rows, HEAD)
    with pytest.raises(
        UserError, match=r"^data.valid: all 5 images of this split are copies of images of other splits"
    ):
        made(tmp_path, split_column="split")


def test_rows_of_the_split_none_are_no_faults(tmp_path):
    rows = draw_folder(tmp_path, 80)
    words = ("train", "train", "test", "none", "unused")
    rows = [[*row[:4], f"p{i}", words[i % 5]] for i, row in enumerate(rows)]
    (tmp_path / "images" / rows[3][0]).unlink()  # not used, so that nobody misses it
    write_table(tmp_path / "table.csv", rows, HEAD)
    files, notes = made(tmp_path, split_column="split", faults="refuse")
    assert notes.splitlines()[0] == "table.csv: 80 rows, 0 left out"
    assert "not used: 32 x rows of the split none\n" in notes and sum(map(len, files.values())) == 48
    assert "row 4: 0003.png: split is 'none'; not used" in notes.splitlines()


def test_a_row_without_an_individual_is_a_fault(tmp_path):
    rows = draw_folder(tmp_path, 80)
    for row in rows[:6]:
        row[4] = ""
    write_table(tmp_path / "table.csv", rows)
    files, notes = made(tmp_path, identity_column="person")
    assert not set.union(*files.values()) & {row[0] for row in rows[:6]}
    assert "left out: 6 x missing values" in notes and "row 1: 0000.png: person is missing; left out" in notes


@pytest.mark.parametrize(
    "edges, cycle",
    [
        ([["size", "size"]], "size -> size"),
        ([["size", "outline"], ["outline", "size"]], "size -> outline -> size|outline -> size -> outline"),
    ],
)
def test_cycles_are_refused_before_anything_runs(tmp_path, edges, cycle):
    draw_folder(tmp_path, 30)
    given = {"folder": str(tmp_path / "images"), "variables": VARIABLES, "edges": edges}
    with pytest.raises(
        UserError, match=f"^config: data.edges: the edges form a cycle, ({cycle}); remove one$"
    ):
        load_settings({"dataset": "folder", "data": given})


def test_names_of_files(tmp_path):
    rows = draw_folder(tmp_path, 30)
    (tmp_path / "images" / rows[0][0]).rename(tmp_path / "images" / "upper.PNG")
    rows[0][0], rows[1][0] = "upper", str((tmp_path / "images" / rows[1][0]).absolute())
    rows[2][0], rows[3][0] = "/etc/passwd", "../images/0003.png"
    write_table(tmp_path / "table.csv", rows)
    files, notes = made(tmp_path)
    assert {rows[0][0], rows[1][0]} <= set.union(*files.values())
    for number in (3, 4):
        assert f"row {number}: {rows[number - 1][0]}: leads out of {tmp_path / 'images'}; left out" in notes
    write_table(tmp_path / "table.csv", [[f"images/0{i:03d}.png", *row[1:]] for i, row in enumerate(rows)])
    with pytest.raises(
        UserError, match=f"data.folder: column 'file' .* holds names of images in {tmp_path}, not in"
    ):
        made(tmp_path)
    write_table(tmp_path / "table.csv", rows[4:6])
    with pytest.raises(UserError, match="table.csv has 2 rows, but at least 20 are required"):
        made(tmp_path)


def test_the_planned_sizes_are_those_that_are_cut():
    for total in (20, 41, 120, 333, 1000, 7919):
        for splits in (SPLITS, ("train", "judges"), ("train", "valid", "judges")):
            sizes = portions(splits, total)
            sizes = {split: sizes.get(split, total - sum(sizes.values())) for split in splits}
            found = cut([str(i) for i in range(total)], dict.fromkeys(splits, total), 0)
            assert {split: len(rows) for split, rows in found.items()} == sizes
    assert portions(SPLITS, 1000) == {"valid": 50, "judges": 200, "test": 150}


def test_images_that_no_split_has_room_for_are_said_with_the_key(tmp_path):
    rows = draw_folder(tmp_path, 80)
    splits = ("train", "train", "valid", "judges", "test")
    write_table(tmp_path / "table.csv", [[*row, splits[i % 5]] for i, row in enumerate(rows)], HEAD)
    files, notes = made(tmp_path, split_column="split", test=14)
    line = "images per split: train 32, valid 16, judges 16, test 14; 2 not used: data.test is 14"
    assert line in notes.splitlines() and len(files["test"]) == 14
    # Without a column of splits: the keys leave out images, or the images of the last individuals fit nowhere.
    _, notes = made(tmp_path, "fewer", train=30, valid=4, judges=12, test=14)
    assert "20 not used: data.train is 30, data.valid is 4, data.judges is 12, data.test is 14\n" in notes
    people = [[*row[:4], f"p{i // 3}"] for i, row in enumerate(rows)]
    write_table(tmp_path / "table.csv", people)
    _, notes = made(tmp_path, "people", identity_column="person")
    assert re.search(r" not used: no split has room for all images of their individual\n", notes)
    # A copy in another split has a line of its own, and is not counted among these.
    rows = [[*row, splits[i % 5]] for i, row in enumerate(rows)]
    write_table(tmp_path / "table.csv", [*rows, copied(tmp_path, rows[4], "c.png", "p1", "train")], HEAD)
    _, notes = made(tmp_path, "again", split_column="split")
    assert "not used" not in notes and "left out: 1 x copies of an image of another split" in notes


def test_an_empty_split_says_why_rows_are_left_out_and_lists_them(tmp_path, capsys):
    draw_folder(tmp_path, 40)
    said = (
        r"^data.train: no image is left for this split; 0 of 40 rows can be used; left out: 40 x values that cannot be "
        r"read, such as row 1: 0000.png: Size: '[0-9.]+' is none of no, yes; correct them, or the section data\n"
        r"All irregularities are listed in .*out/faults.txt$"
    )
    with pytest.raises(UserError, match=said):
        made(tmp_path, variables={"size": {"type": "binary"}})
    assert (tmp_path / "out" / "faults.txt").read_text().count("; left out\n") == 40
    assert "chunks" not in capsys.readouterr().err  # no image was read, so no progress is shown
