"""CelebA from a folder: both formats of the lists, subsets, partitions, splits by identity, the three crops."""

import json

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from counterfactory.config.data import DataSettings
from counterfactory.core.errors import UserError
from counterfactory.data import celeba
from counterfactory.data.celeba_entry import ATTRIBUTES, GRAPHS, declare
from counterfactory.data.celeba_lists import read_lists
from counterfactory.data.dataset import SPLITS, load_dataset, load_split
from counterfactory.data.graph import topological_order
from counterfactory.data.registry import DATASETS, entry_of
from tests.faces import main, write_faces


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("celeba"))


def section(folder, **changed):
    own = {"folder": str(folder), **changed.pop("celeba", {})}
    sizes = {"train": 80, "valid": 30, "judges": 30, "test": 40, "image_size": 16}
    return DataSettings.model_validate_json(json.dumps({**sizes, **changed, "celeba": own}), strict=True)


def test_both_formats_hold_the_same(folder, tmp_path):
    kaggle = write_faces(tmp_path, suffix=".csv", nested=True)
    official, other = read_lists(folder), read_lists(kaggle)
    assert len(official) == 240 and official["path"][0] == "img_align_celeba/000001.jpg"
    assert other["path"][0] == "img_align_celeba/img_align_celeba/000001.jpg"
    pd.testing.assert_frame_equal(official.drop(columns="path"), other.drop(columns="path"))
    assert set(np.unique(official[list(ATTRIBUTES)])) == {0, 1}


def test_images_without_a_file_are_left_out_and_reported(tmp_path, capsys):
    write_faces(tmp_path, identities=10)
    (tmp_path / "img_align_celeba" / "000003.jpg").unlink()
    table = read_lists(tmp_path)
    assert len(table) == 39 and 2 not in set(table["index"])
    assert "1 of 40 listed images left out: no file" in capsys.readouterr().err


def test_without_identities_images_are_divided_one_by_one(tmp_path, capsys):
    write_faces(tmp_path)
    (tmp_path / "identity_CelebA.txt").unlink()
    splits = celeba.divide(read_lists(tmp_path), section(tmp_path))
    assert [len(splits[name]) for name in SPLITS] == [80, 30, 30, 40]
    assert "no list identity_CelebA" in capsys.readouterr().err


def test_no_person_is_in_two_splits_and_partitions_are_the_official_ones(folder):
    table = read_lists(folder)
    splits = celeba.divide(table, section(folder))
    assert [len(splits[name]) for name in SPLITS] == [80, 30, 30, 40]
    people = [set(splits[name]["identity"]) for name in SPLITS]
    assert len(set.union(*people)) == sum(map(len, people))
    assert [set(splits[name]["partition"]) for name in SPLITS] == [{0}, {1}, {0}, {2}]
    # Rows are in random order: neighbours show different persons.
    assert (splits["train"]["identity"].diff() != 0).mean() > 0.8
    again = celeba.divide(table, section(folder, celeba={"test_partition": 1}))
    assert set(again["test"]["partition"]) == {1} and set(again["valid"]["partition"]) == {2}


def test_too_many_images_are_refused(folder):
    table = read_lists(folder)
    with pytest.raises(UserError, match=r"data.train \+ data.judges is 230, but partition 0 has 144"):
        celeba.divide(table, section(folder, train=200))
    with pytest.raises(UserError, match=r"data.valid is 60, but partition 1 has 48"):
        celeba.divide(table, section(folder, valid=60))
    with pytest.raises(UserError, match=r"data.train is 114, but 112 images are left"):
        celeba.divide(table, section(folder, train=114))


def test_a_person_in_two_partitions_trains_nothing(folder, capsys):
    table = read_lists(folder)
    first, other = (table[table["partition"] == number]["identity"].iloc[0] for number in (0, 2))
    table.loc[table["identity"] == first, "identity"] = other
    splits = celeba.divide(table, section(folder))
    assert other not in set(splits["train"]["identity"]) | set(splits["judges"]["identity"])
    assert "4 images of partition 0 left out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "size", "box"), [("benchmark", 64, (14, 34, 164, 184)), ("causalgan", 64, (35, 55, 143, 163))]
)
def test_central_crops(tmp_path, name, size, box):
    path = tmp_path / "000001.png"
    ramp = np.arange(178 * 218 * 3, dtype=np.int64).reshape(218, 178, 3) * 7 % 256
    Image.fromarray(ramp.astype(np.uint8)).save(path)
    found = celeba.read_face(path, name, size)
    expected = Image.open(path).crop(box).resize((size, size), Image.Resampling.BILINEAR)
    assert np.array_equal(found, np.asarray(expected).transpose(2, 0, 1))


def test_the_whole_width_is_kept_for_dime(tmp_path):
    path = tmp_path / "000001.png"
    rows = np.broadcast_to(np.arange(218, dtype=np.uint8)[:, None, None], (218, 178, 3))
    Image.fromarray(np.ascontiguousarray(rows)).save(path)
    found = celeba.read_face(path, "dime", 128)
    assert found.shape == (3, 128, 128)
    # Rows 14 to 141 of the image resized to 128 x 156 px.
    assert found[0, 0, 0] == pytest.approx(14.5 * 218 / 156 - 0.5, abs=1)
    assert found[0, -1, 0] == pytest.approx(141.5 * 218 / 156 - 0.5, abs=1)


@pytest.mark.parametrize("name, side", [("benchmark", 150), ("causalgan", 108)])
def test_an_image_smaller_than_the_crop_is_refused(tmp_path, name, side):
    Image.new("RGB", (96, 128)).save(tmp_path / "000001.png")
    with pytest.raises(
        UserError, match=f"has 96 x 128 px, less than the crop of {side} px; use the aligned images"
    ):
        celeba.read_face(tmp_path / "000001.png", name, 64)
    assert celeba.read_face(tmp_path / "000001.png", "dime", 64).shape == (3, 64, 64)


def test_a_cycle_is_refused(folder):
    own = {
        "folder": str(folder),
        "variables": ["Male", "Young"],
        "edges": [["Male", "Young"], ["Young", "Male"]],
    }
    with pytest.raises(UserError, match=r"data.celeba.edges: the edges form a cycle, .* -> .*; remove one$"):
        entry_of("celeba", DataSettings.model_validate({"celeba": own}))


def test_graphs_and_labels(folder):
    for name, (variables, edges) in GRAPHS.items():
        entry = entry_of("celeba", section(folder, celeba={"graph": name}))
        assert tuple(one.name for one in entry.variables) == variables and entry.edges == edges
        names = {one.name for one in (*entry.variables, *entry.labels)}
        assert names == set(ATTRIBUTES) and len(entry.labels) == 40 - len(variables)
    own = section(folder, celeba={"variables": ["Male", "Bald"], "edges": [["Male", "Bald"]]})
    entry = entry_of("celeba", own)
    assert entry.edges == (("Male", "Bald"),) and len(entry.inputs) == 3
    assert (
        entry_of("celeba", section(folder, celeba={"preprocessing": "dime"})).settings["data.image_size"]
        == 128
    )


@pytest.mark.parametrize(
    ("own", "message"),
    [
        ({"variables": ["Smile"]}, "data.celeba.variables: Smile is not an attribute"),
        ({"variables": ["Male"], "edges": [["Male", "Bald"]]}, "data.celeba.edges: Bald is not a variable"),
    ],
)
def test_wrong_graphs_are_refused(folder, own, message):
    with pytest.raises(UserError, match=message):
        declare(DATASETS["celeba"], section(folder, celeba=own))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: None, "contains no list_attr_celeba.txt"),
        (
            lambda path: (path / "list_attr_celeba.txt").write_text("a b c\n1 2\n"),
            "not a list of CelebA|contains no",
        ),
    ],
)
def test_damaged_folders_are_refused_in_one_line(tmp_path, make, message):
    make(tmp_path)
    with pytest.raises(UserError, match=message):
        read_lists(tmp_path)


def test_folder_is_required(tmp_path):
    with pytest.raises(UserError, match="data.celeba.folder: is null"):
        read_lists(None)
    with pytest.raises(UserError, match="is not a folder"):
        read_lists(tmp_path / "missing")


def test_written_data_set(folder, tmp_path):
    settings = section(folder, celeba={"graph": "causalgan"})
    for name, threads in (("one", 1), ("two", 3)):
        celeba.synthesise(settings, False, "", tmp_path / name, threads)
    dataset = load_dataset(tmp_path / "one")
    assert dataset.shape == (3, 16, 16) and dataset.width == 18 and len(dataset.labels) == 31
    assert topological_order(dataset)[:2] == ("Young", "Male")
    for split in SPLITS:
        files = [
            tmp_path / name / split / file
            for file in ("images.npy", "attributes.parquet")
            for name in ("one", "two")
        ]
        bytes_of = [file.read_bytes() for file in files]
        assert bytes_of[0] == bytes_of[1] and bytes_of[2] == bytes_of[3]
        loaded = load_split(tmp_path / "one", split)
        assert len(loaded.images) == len(loaded.attributes) and loaded.images.std() > 30


def test_the_command_that_draws_faces_says_what_it_drew(tmp_path, capsys):
    main(tmp_path, identities=10, each=2)
    said = "drawn 20 faces of 10 persons: 12 in partition 0, 4 in partition 1, 4 in partition 2"
    assert capsys.readouterr().out == f"{tmp_path}: {said}\n"
