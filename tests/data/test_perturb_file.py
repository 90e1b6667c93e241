"""The command perturb: every format of input, the table of perturbations, and errors of one line for wrong input."""

import numpy as np
import pandas as pd
import pytest

from counterfactory.cli import main
from counterfactory.data.idx import read_idx, write_idx
from counterfactory.data.perturbations import KINDS, mix, perturb
from tests.data.samples import strokes


def run(*words: object) -> int:
    return main(["perturb", *map(str, words)])


def test_an_idx_file_gives_an_idx_file_labels_and_a_table(tmp_path):
    images = strokes(7)
    write_idx(tmp_path / "train-images-idx3-ubyte.gz", images)
    out = tmp_path / "out"
    assert run(tmp_path / "train-images-idx3-ubyte.gz", out, "--kind", "local", "--seed", 3) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        "perturbations.csv",
        "train-images-idx3-ubyte.gz",
        "train-pert-idx1-ubyte.gz",
    ]
    expected, labels = mix(images, "local", 3)
    np.testing.assert_array_equal(read_idx(out / "train-images-idx3-ubyte.gz"), expected)
    np.testing.assert_array_equal(read_idx(out / "train-pert-idx1-ubyte.gz"), labels)
    table = pd.read_csv(out / "perturbations.csv")
    assert table.to_dict("list") == {
        "index": list(range(7)),
        "kind": [KINDS[label] for label in labels],
        "label": labels.tolist(),
        "seed": [3] * 7,
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_split_or_npy_file_gives_images_of_the_same_shape(tmp_path, kind):
    images = np.pad(strokes(120), ((0, 0), (2, 2), (2, 2)))[:, None]
    np.save(tmp_path / "images.npy", images)
    for source in (tmp_path, tmp_path / "images.npy"):
        assert run(source, tmp_path / "out", "--kind", kind) == 0
        found = np.load(tmp_path / "out" / "images.npy")
        np.testing.assert_array_equal(found[:, 0], perturb(images[:, 0], kind, 0))
    assert not list((tmp_path / "out").glob("*idx*"))


@pytest.mark.parametrize(
    ("array", "words", "message"),
    [
        (strokes(2), ["--kind", "melt"], "'melt' is not a kind; choose one of plain, thin"),
        (np.zeros((2, 3, 8, 8), np.uint8), ["--kind", "thin"], "images.npy: images: shape"),
        (np.zeros((2, 8, 8)), ["--kind", "thin"], "images.npy: images: uint8"),
    ],
)
def test_wrong_input_is_one_line(tmp_path, capsys, array, words, message):
    np.save(tmp_path / "images.npy", array)
    assert run(tmp_path, tmp_path / "out", *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "out").exists()


def test_missing_and_damaged_files_are_one_line_and_the_source_is_kept(tmp_path, capsys):
    assert run(tmp_path / "nothing", tmp_path / "out", "--kind", "thin") == 2
    assert "nothing: no such file" in capsys.readouterr().err
    (tmp_path / "images-idx3-ubyte").write_bytes(b"")
    assert run(tmp_path / "images-idx3-ubyte", tmp_path / "out", "--kind", "thin") == 1
    assert "not an idx file" in capsys.readouterr().err
    np.save(tmp_path / "images.npy", strokes(1))
    before = (tmp_path / "images.npy").read_bytes()
    assert run(tmp_path, tmp_path, "--kind", "thin") == 2
    assert "contains the source itself" in capsys.readouterr().err
    assert (tmp_path / "images.npy").read_bytes() == before
