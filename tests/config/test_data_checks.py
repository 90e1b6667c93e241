"""Tables and folders of images that hold too little for the configuration: refused before a step is planned."""

import shutil

import pytest

from counterfactory.config import load_settings
from counterfactory.config.path_checks import missing_folders
from counterfactory.data.individuals import individual_errors, least_share
from tests.data.own_folder import draw_folder, write_table
from tests.faces import write_faces

SMALL = {"train": 80, "valid": 30, "judges": 30, "test": 40, "image_size": 16}
QUESTIONS = {suite: {"images": 5} for suite in ("do", "null", "reverse", "flip", "sweep")}


def lines(dataset, data, results, **more):
    given = {
        "dataset": dataset,
        "results": str(results),
        "methods": ["copy"],
        "data": data,
        "training": {"batch_size": 4},
        "questions": QUESTIONS,
        **more,
    }
    return list(missing_folders(load_settings(given)))


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    return write_faces(tmp_path_factory.mktemp("celeba"))


def faces_lines(folder, results, sizes=SMALL, **more):
    return lines("celeba", {**sizes, "celeba": {"folder": str(folder)}}, results, **more)


HELD_OUT = {"identity": {"held_out": 0.5}}


def test_a_complete_folder_of_faces_passes(faces, tmp_path):
    assert faces_lines(faces, tmp_path, **HELD_OUT) == []


def test_lists_of_faces_without_images_are_refused(faces, tmp_path):
    for name in ("list_attr_celeba.txt", "list_eval_partition.txt", "identity_CelebA.txt"):
        shutil.copy(faces / name, tmp_path / name)
    (line,) = faces_lines(tmp_path, tmp_path / "results", **HELD_OUT)
    assert line.startswith(f"data.celeba.folder: {tmp_path} contains none of the listed images; put them in ")


def test_sizes_that_a_partition_lacks_are_refused_with_sizes_that_fit(faces, tmp_path):
    """Partition 0 has 144 images of 36 persons with 4 each, so that 3 images may lie between the two splits."""
    first, second = faces_lines(
        faces, tmp_path, {**SMALL, "train": 200, "judges": 100, "test": 99}, **HELD_OUT
    )
    assert first == (
        f"data.train + data.judges is 300, but partition 0 has 144 images in {faces}; "
        "set for example data.train: 94, data.judges: 47"
    )
    assert (
        second == f"data.test is 99, but partition 2 has 48 images in {faces}; set for example data.test: 48"
    )
    assert faces_lines(faces, tmp_path, {**SMALL, "train": 94, "judges": 47, "test": 48}, **HELD_OUT) == []


def test_too_few_held_out_persons_are_refused_with_a_share_that_is_enough(faces, tmp_path):
    (line,) = faces_lines(faces, tmp_path)
    assert line.startswith("identity.held_out is 0.1, which is 1 of the ")
    share = float(line.rpartition(" ")[2])
    assert faces_lines(faces, tmp_path, identity={"held_out": share}) == []
    assert faces_lines(faces, tmp_path, scores={"metrics": ["axioms"]}) == []


def test_the_share_that_is_named_is_enough():
    for count in range(6, 300):
        share = least_share(count)
        assert individual_errors(count, share, ["judges"]) == [], count
        assert share < 0.7 and (share <= 0.05 or individual_errors(count, 0.6 * share, ["judges"])), count


def test_five_individuals_are_too_few_for_any_share():
    (line,) = individual_errors(5, 0.5, ["judges", "train"])
    assert line == (
        "identity: 5 individuals of judges and train have two images or more, but 6 are needed; raise data.judges or "
        "data.train, or remove identity from scores.metrics"
    )
    assert individual_errors(25, 0.1, ["judges"]) == [
        "identity.held_out is 0.1, which is 2 of the 25 individuals of judges with two images or more, but 4 are "
        "needed; set at least 0.16"
    ]


def table_lines(folder, results, variables, **keys):
    more = {key: keys.pop(key) for key in ("identity",) if key in keys}
    data = {"folder": str(folder / "images"), "image_size": 32, "variables": variables, **keys}
    return lines("folder", data, results, **more)


VARIABLES = {"size": {"type": "continuous"}, "outline": {"type": "binary"}}


def test_a_column_that_is_read_as_another_kind_is_refused_with_the_reason(tmp_path):
    draw_folder(tmp_path, 60)
    assert table_lines(tmp_path, tmp_path / "results", VARIABLES) == []
    (line,) = table_lines(tmp_path, tmp_path / "results", {"size": {"type": "binary"}})
    assert line.startswith(
        "data.train: no image is left for this split; 0 of 60 rows can be used; left out: 60 x "
    )
    assert (
        "values that cannot be read, such as row 1: 0000.png: Size: " in line and "is none of no, yes" in line
    )


def test_missing_files_are_counted_before_anything_runs(tmp_path):
    rows = draw_folder(tmp_path, 40)
    write_table(tmp_path / "table.csv", [*rows, *([f"gone{i}.png", *rows[i][1:]] for i in range(2))])
    assert table_lines(tmp_path, tmp_path / "results", VARIABLES) == []
    said = table_lines(tmp_path, tmp_path / "results", VARIABLES, faults="refuse")
    assert said[0] == "data: 2 rows have faults; correct them, or set data.faults: skip"
    assert len(said) == 3 and said[1].startswith("row 41: gone0.png: no such file")


def test_too_few_held_out_individuals_of_a_table_are_refused(tmp_path):
    draw_folder(tmp_path, 120, people=40)
    (line,) = table_lines(tmp_path, tmp_path / "results", VARIABLES, identity_column="person")
    assert line.startswith("identity.held_out is 0.1, which is 1 of the 8 individuals of judges")
    assert line.endswith("set at least 0.5")
    enough = {"held_out": 0.5}
    assert (
        table_lines(tmp_path, tmp_path / "results", VARIABLES, identity_column="person", identity=enough)
        == []
    )


def test_a_continuous_variable_with_one_value_is_refused(tmp_path):
    rows = draw_folder(tmp_path, 40)
    write_table(tmp_path / "table.csv", [[row[0], "7.5", *row[2:]] for row in rows])
    (line,) = table_lines(tmp_path, tmp_path / "results", VARIABLES)
    assert line == "data: size is 7.5 in all images; leave it out, or name its range"
    ranged = VARIABLES | {"size": {"type": "continuous", "range": [0, 10]}}
    assert table_lines(tmp_path, tmp_path / "results", ranged) == []
