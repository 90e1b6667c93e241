"""The proposal for a folder of images: a configuration that works as it is, and one line for each odd thing."""

import os
import re

import numpy as np
import pytest
import yaml
from PIL import Image

from counterfactory.cli import main
from counterfactory.config import load_settings, read_config
from counterfactory.config.attributes import IdentitySettings
from counterfactory.config.path_checks import missing_folders
from counterfactory.core.errors import UserError
from counterfactory.data.dataset import SPLITS, load_split
from counterfactory.data.folder import synthesise
from counterfactory.data.folder_rows import counted
from counterfactory.data.inspection import HELD_OUT, inspect, to_yaml
from tests.data.own_folder import HEADER, add_odd_rows, draw_folder, write_table


@pytest.fixture(scope="module")
def odd(tmp_path_factory):
    folder = tmp_path_factory.mktemp("odd")
    rows = draw_folder(folder)
    return folder, add_odd_rows(folder, rows)


def test_the_proposal_is_a_configuration_that_works(odd, tmp_path, capsys):
    folder, _ = odd
    assert main(["inspect", str(folder / "images"), "--out", str(tmp_path / "mine.yaml")]) == 0
    own = tmp_path / "mine.yaml"
    said = capsys.readouterr().err.splitlines()
    # The presets come first, since the keys of a later file take precedence.
    assert said[-2:] == [
        f"next, at toy sizes: snakemake --cores all --configfile workflow/presets/smoke.yaml {own}",
        f"then, in full: snakemake --cores all --configfile {own}",
    ]
    settings = load_settings(read_config([tmp_path / "mine.yaml"]))
    data = settings.data
    assert (data.image_column, data.identity_column, data.edges) == ("file", "person", [])
    kinds = {name: one.type for name, one in data.variables.items()}
    assert kinds == {"hue": "categorical", "outline": "binary", "size": "continuous"}
    assert data.variables["size"].column == "Size" and data.channels == 3 and data.image_size == 32
    synthesise(data, False, tmp_path, tmp_path / "out")
    assert (tmp_path / "out" / "test" / "images.npy").exists()


def test_without_an_output_it_is_printed(odd, capsys):
    folder, _ = odd
    assert main(["inspect", str(folder / "images"), "--table", str(folder / "table.csv")]) == 0
    assert yaml.safe_load(capsys.readouterr().out)["dataset"] == "folder"


def test_odd_rows_are_named(odd):
    folder, said = odd
    lines = to_yaml(inspect(folder / "images")).splitlines()
    faults = [
        words
        for words in said.values()
        if "left out" in words or "no such file" in words or "leads out" in words
    ]
    assert len(faults) >= 3
    for words in faults:
        assert any(words in line for line in lines if line.startswith("# odd: ")), words
    for words in (
        "corrupt.png: not an image",
        "1 image: CMYK",
        "1 image: 16 bit",
        "rotated by EXIF",
    ):
        assert any(words in line for line in lines if line.startswith("# odd: ")), words


def test_roles_of_columns(tmp_path):
    rows = draw_folder(tmp_path, 60)
    header = (*HEADER, "id", "partition", "comment", "camera", "rare")
    more = [
        [*row, i + 5, (0, 0, 0, 1, 2)[i % 5], f"seen on day {i}", "X100", str(i) if i < 20 else ""]
        for i, row in enumerate(rows)
    ]
    write_table(tmp_path / "table.csv", more, header)
    found = inspect(tmp_path / "images", threads=2)
    section = found.section
    assert list(section["variables"]) == ["hue", "outline", "size"]
    assert section["split_column"] == "partition"
    assert section["split_values"] == {"0": "train", "1": "valid", "2": "test"}
    assert section["identity_column"] == "person"
    assert found.left_out == {
        "camera": "has the same value in all rows",
        "comment": "looks like text (60 different values)",
        "id": "looks like a number of the row",
        "rare": "has no value in 40 rows, which would be left out",
    }
    for row in more[:2]:
        row[4] = "p7"
    more[1][6] = 2
    write_table(tmp_path / "table.csv", more, header)
    found = inspect(tmp_path / "images")
    assert (
        "identity_column" not in found.section
        and "individuals of column 'person' are in several" in found.odd[0]
    )


def test_grey_images_are_proposed_as_grey(tmp_path):
    rows = draw_folder(tmp_path, 30)
    for row in rows:
        Image.fromarray(np.full((130, 90), 7, np.uint8)).save(tmp_path / "images" / row[0])
    section = inspect(tmp_path / "images").section
    assert (section["channels"], section["image_size"]) == (1, 64)


def test_what_cannot_be_proposed_is_said_in_one_line(tmp_path):
    with pytest.raises(UserError, match="no such folder"):
        inspect(tmp_path / "none")
    (tmp_path / "images").mkdir()
    with pytest.raises(UserError, match="no .csv, .tsv or .parquet in"):
        inspect(tmp_path / "images")
    write_table(tmp_path / "t.csv", [["a.png", "x"]], ("file", "word"))
    with pytest.raises(UserError, match="no column of .*t.csv holds names of images"):
        inspect(tmp_path / "images")


AWKWARD = (
    "On",
    "off",
    "Yes",
    "No",
    "y",
    "null",
    "~",
    "1",
    "1e3",
    "0x1f",
    "1_000",
    "12:30",
    "2020-01-01",
    ".inf",
    "nan",
)
AWKWARD += (
    "a: b",
    "c # d",
    "[x]",
    "y, z",
    "{k}",
    "*x",
    "&x",
    "!t",
    "<<",
    "=",
    "- a",
    "'",
    '"q"',
    "%",
    "@",
    "`",
    "日本 –",
)
AWKWARD += (
    "😀",
    "back\\slash",
    "\x7f",
    "bell \x07",
    "next\x85line",
    "\ufeffmark",
    "tab\tin",
    "a  b",
    "#",
    "?",
    "x:",
)


def test_every_proposal_reads_back_equal(tmp_path):
    rows = draw_folder(tmp_path, 40)
    picture = tmp_path / "images" / rows[0][0]
    os.link(
        picture, os.fsencode(tmp_path / "images") + b"/\xff\x7f.png"
    )  # a file in no row, with no valid name
    for first in range(0, len(AWKWARD), 8):
        words = AWKWARD[first : first + 8]
        header = ("file", *words)
        cells = [
            [row[0], *(words[(j + i % 2) % len(words)] for j in range(len(words)))]
            for i, row in enumerate(rows)
        ]
        write_table(tmp_path / "table.csv", cells, header)
        found = inspect(tmp_path / "images")
        text = to_yaml(found)
        given = yaml.safe_load(text)
        assert given == {"dataset": "folder", "data": {**found.section, "labels": {}, "edges": []}}, words
        assert read_config([_written(tmp_path / "mine.yaml", text)]) == given
        load_settings(given)
        columns = {one.get("column", name) for name, one in found.section["variables"].items()}
        assert columns | set(found.left_out) == set(words)


def _written(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def test_individuals_and_splits_that_are_not_complete(tmp_path):
    rows = draw_folder(tmp_path, 60)
    table = tmp_path / "table.csv"

    def proposed(people, words):
        write_table(
            table, [[*r[:4], p, w] for r, p, w in zip(rows, people, words, strict=True)], (*HEADER, "split")
        )
        return inspect(tmp_path / "images")

    halves = ["train" if i < 40 else "test" for i in range(60)]
    people = ["" if i % 10 == 0 else f"p{i}" for i in range(60)]  # missing in both splits
    found = proposed(people, halves)
    assert found.section["identity_column"] == "person" and found.section["split_column"] == "split"
    # The split none is no split: an individual may be in it and in another one.
    found = proposed([f"p{i % 40}" for i in range(60)], ["train" if i < 40 else "none" for i in range(60)])
    assert (
        found.section["identity_column"] == "person" and "not used: 20 x rows of the split none" in found.odd
    )
    found = proposed(["" if i % 2 else f"p{i}" for i in range(60)], halves)
    assert found.left_out["person"] == "has no value in 30 rows, which would be left out"
    found = proposed(["p"] * 60, [*halves[:-1], "holdout"])
    assert found.left_out["person"] == "has the same value in all rows"
    assert "split_column" not in found.section and "not all known; it is not used" in found.odd[0]
    assert "split" not in found.section["variables"]


def test_numbers_with_two_readings_are_not_proposed(tmp_path):
    rows = draw_folder(tmp_path, 30)
    write_table(tmp_path / "table.csv", [[r[0], f"{1000 + 7 * i:,}", *r[2:]] for i, r in enumerate(rows)])
    found = inspect(tmp_path / "images")
    assert "size" not in found.section["variables"]
    assert found.left_out["Size"] == "has '1,000', which can be 1000 or 1.000; correct it"


def test_the_rows_that_can_be_used_are_those_of_the_step(odd, tmp_path):
    folder, _ = odd
    found = inspect(folder / "images")
    settings = load_settings(yaml.safe_load(to_yaml(found)))
    synthesise(settings.data, False, tmp_path, tmp_path / "out")
    counts = {split: len(load_split(tmp_path / "out", split).attributes) for split in SPLITS}
    (line,) = [line for line in found.summary if "can be used" in line]
    assert ", ".join(f"{split} {count}" for split, count in counts.items()) in line
    left, rows = re.search(r"(\d+) of (\d+) rows can be used", line).groups()
    head = (tmp_path / "out" / "notes.txt").read_text().splitlines()
    assert head[0] == f"table.csv: {rows} rows, {int(rows) - int(left)} left out"
    assert head[head.index("") + 1] == "row 1 is the first one below the header"
    assert found.summary[0].endswith("row 1 is the first one below the header")


def test_a_relative_folder_is_proposed_as_the_absolute_one_is(tmp_path, monkeypatch):
    draw_folder(tmp_path, 40)
    absolute = inspect(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    assert inspect("images") == absolute
    assert any(line.startswith("40 of 40 rows can be used: train ") for line in absolute.summary)


def test_few_individuals_are_proposed_with_a_share_that_the_identity_network_can_hold_out(tmp_path):
    identity = IdentitySettings()
    assert (identity.held_out, identity.splits) == (HELD_OUT, ["judges"])
    draw_folder(tmp_path, 120, people=40)
    found = inspect(tmp_path / "images")
    assert any(
        line.startswith("identity.held_out is 0.1, which is 1 of the 8 individuals") for line in found.odd
    )
    given = yaml.safe_load(to_yaml(found)) | {"results": str(tmp_path / "results")}
    assert given["identity"] == {"held_out": 0.5}
    assert list(missing_folders(load_settings(given))) == []


def test_a_column_that_may_name_the_individual_is_said(tmp_path):
    rows = draw_folder(tmp_path, 120)
    header = (*HEADER[:4], "plant", "plot_id", "comment")
    more = [[*row[:4], f"rose {i % 30}", 100 + i % 24, f"seen on day {i}"] for i, row in enumerate(rows)]
    write_table(tmp_path / "table.csv", more, header)
    found = inspect(tmp_path / "images")
    assert found.left_out == {
        "comment": "looks like text (120 different values)",
        "plant": "looks like text (30 different values); if it names the individual, set identity_column: plant",
        "plot_id": "looks like a number of the row; if it names the individual, set identity_column: plot_id",
    }
    lines = to_yaml(found).splitlines()
    assert "  # identity_column: plant" in lines and "  # identity_column: plot_id" in lines
    chosen = "\n".join(lines).replace("  # identity_column: plant", "  identity_column: plant")
    assert load_settings(yaml.safe_load(chosen)).data.identity_column == "plant"


def test_images_of_one_size_and_numbers_of_one(tmp_path):
    rows = draw_folder(tmp_path, 30)
    Image.new("CMYK", (48, 40)).save(tmp_path / "images" / "more.jpg")
    write_table(tmp_path / "table.csv", [*rows, ["more.jpg", "5", "red", "no", "p1"]])
    found = inspect(tmp_path / "images")
    assert "centre squares: 40 px, all of this size" in found.summary and "1 image: CMYK" in found.odd
    assert (counted(1, "row"), counted(1000, "row"), counted(0, "row")) == ("1 row", "1,000 rows", "0 rows")
