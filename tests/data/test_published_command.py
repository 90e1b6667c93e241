"""MNIST and the tables of Morpho-MNIST from a user's folders, through the commands `digits` and `synthesise`."""

import gzip
import hashlib
import json
import shlex

import numpy as np
import pandas as pd
import pytest

from counterfactory.cli import main
from counterfactory.data import morpho_sets, morphomnist, sources
from counterfactory.data.idx import encode_idx, write_idx

COUNTS = {"train": 60, "t10k": 10}
SPLITS = {"train": 12, "valid": 8, "judges": 16, "test": 6, "image_size": 32}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A home with a stand-in of MNIST in `digits` and its tables in `tables`, of few digits."""
    (tmp_path / "digits").mkdir()
    (tmp_path / "tables").mkdir()
    pinned = {}
    for part, count in COUNTS.items():
        images = np.zeros((count, 28, 28), np.uint8)
        images[:, 4:24, 12:15] = 255  # a vertical stroke
        labels = (np.arange(count) % 10).astype(np.uint8)
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            write_idx(tmp_path / "digits" / name, array)
            pinned[name] = hashlib.md5(encode_idx(array)).hexdigest()
        table(count).to_csv(tmp_path / "tables" / f"{part}-morpho.csv", index=False)
    monkeypatch.setattr(sources, "MD5", pinned)
    for module in (morpho_sets, morphomnist):
        monkeypatch.setattr(module, "TRAIN", COUNTS["train"])
        monkeypatch.setattr(module, "TEST", COUNTS["t10k"])
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MNIST_ROOT", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def table(count):
    columns = {"thickness": np.linspace(2.0, 3.0, count), "intensity": np.linspace(100.0, 110.0, count)}
    return pd.DataFrame({"index": range(count)} | columns)


def make(published="~/tables"):
    settings = shlex.quote(json.dumps({**SPLITS, "published": published}))
    words = f"synthesise --settings {settings} --confounded true --digits data/digits --out data"
    return main(shlex.split(words))


def test_digits_of_mnist_root(place, monkeypatch, capfd):
    monkeypatch.setenv("MNIST_ROOT", "~/digits")
    assert main(["digits", "--source", "auto", "--out", "data/digits"]) == 0
    assert capfd.readouterr().err == ""
    assert np.load("data/digits/images.npy").shape == (70, 28, 28)
    assert main(["digits", "--source", "~/digits", "--out", "other"]) == 0
    assert (place / "other" / "labels.npy").read_bytes() == (place / "data/digits/labels.npy").read_bytes()
    assert main(["digits", "--source", "~/digit", "--out", "third"]) == 2
    assert capfd.readouterr().err.startswith(
        "counterfactory digits: data.digits: '~/digit' is neither a folder"
    )


FORMS = {
    "plain": lambda one: one.to_csv(index=False).encode(),
    "semicolons, capitals": lambda one: one.rename(columns=str.upper).to_csv(index=False, sep=";").encode(),
    "tabs, a mark": lambda one: b"\xef\xbb\xbf" + one.to_csv(index=False, sep="\t").encode(),
    "compressed": lambda one: gzip.compress(one.to_csv(index=False).encode()),
    "more columns": lambda one: one.assign(area=1.0, slant=0.1).to_csv(index=False).encode(),
}


@pytest.mark.parametrize("form", FORMS)
def test_tables_of_every_form_give_the_same_data(place, form):
    assert main(["digits", "--source", "~/digits", "--out", "data/digits"]) == 0
    for part, count in COUNTS.items():
        (place / "tables" / f"{part}-morpho.csv").unlink()
        name = f"{part}-morpho.csv.gz" if form == "compressed" else f"{part}-morpho.csv"
        (place / "tables" / name).write_bytes(FORMS[form](table(count)))
    assert make() == 0
    both = pd.concat([table(COUNTS["train"]), table(COUNTS["t10k"])], ignore_index=True)
    for split in ("train", "test"):
        made = pd.read_parquet(place / "data" / split / "attributes.parquet")
        assert len(made) == SPLITS[split]
        for name in ("thickness", "intensity"):
            np.testing.assert_array_equal(made[name], both[name].to_numpy()[made["source"]])


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        (
            lambda one: one.drop(columns="intensity"),
            2,
            "but no intensity: it is the table of another data set",
        ),
        (lambda one: one.assign(index=one["index"] + 1), 2, "column index must run from 0 to 59"),
        (lambda one: one.assign(thickness="thick"), 2, "use the tables of Morpho-MNIST with thickness"),
        (lambda one: one.assign(intensity=1000.0), 2, "use the tables of Morpho-MNIST with thickness"),
        (lambda one: one.head(3), 2, "column index must run from 0 to 59"),
    ],
)
def test_foreign_tables_are_one_line(place, capfd, change, status, said):
    assert main(["digits", "--source", "~/digits", "--out", "data/digits"]) == 0
    change(table(COUNTS["train"])).to_csv(place / "tables" / "train-morpho.csv", index=False)
    assert make() == status
    error = capfd.readouterr().err
    assert error.startswith("counterfactory synthesise: ") and error.count("\n") == 1
    assert "train-morpho.csv: " in error and said in error
    assert not (place / "data" / "dataset.json").exists()


def test_a_missing_folder_or_table_is_one_line(place, capfd):
    assert main(["digits", "--source", "~/digits", "--out", "data/digits"]) == 0
    assert make("~/nowhere") == 2
    assert "data.published: '" in capfd.readouterr().err
    (place / "tables" / "t10k-morpho.csv").unlink()
    assert make() == 2
    assert "t10k-morpho.csv: no such file; put both published tables there" in capfd.readouterr().err
