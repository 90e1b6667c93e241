"""The Morpho-MNIST world: splits, files, and true counterfactuals."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.errors import UserError
from counterfactory.data import morpho_sets, morphomnist
from counterfactory.data.dataset import SPLITS, load_dataset, load_split
from counterfactory.data.idx import read_idx
from counterfactory.data.morpho_sets import TEST, TRAIN, split_rows
from counterfactory.data.morphology import render
from counterfactory.data.morphomnist import (
    counterfactual_parents,
    measure,
    render_counterfactual,
    synthesise,
)
from counterfactory.data.processes import INTENSITY
from counterfactory.data.published import read_published
from counterfactory.data.worlds import world
from tests.data.samples import mnist, sample, strokes


def settings(**changes):
    asked = {
        "published": None,
        "seed": 0,
        "train": 30,
        "valid": 5,
        "judges": 25,
        "test": 12,
        "image_size": 32,
    }
    return SimpleNamespace(**{**asked, **changes})


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """A stand-in for MNIST: 100 drawings, repeated."""
    folder = tmp_path_factory.mktemp("data") / "digits"
    folder.mkdir()
    np.save(folder / "images.npy", np.tile(strokes(100), (700, 1, 1)))
    np.save(folder / "labels.npy", (np.arange(70_000) % 10).astype(np.uint8))
    return folder


@pytest.fixture(scope="module")
def data(digits):
    synthesise(settings(), False, digits, digits.parent, threads=2)
    return digits.parent


def test_the_data_set_is_as_described(data):
    assert load_dataset(data) == morphomnist.DATASET
    for split, count in (("train", 30), ("valid", 5), ("judges", 25), ("test", 12)):
        found = load_split(data, split)
        assert found.images.shape == (count, 1, 32, 32) and found.images.dtype == np.uint8
        assert list(found.attributes) == [
            "index",
            "source",
            "digit",
            "thickness",
            "intensity",
            "noise_thickness",
            "noise_intensity",
        ]
        assert found.attributes["index"].tolist() == list(range(count))
        assert (found.attributes["digit"] == found.attributes["source"] % 10).all()
        assert (found.attributes["source"] >= 60_000).all() == (split == "test")
    assert not (data / "train" / ".images.npy.partial").exists()


def test_images_follow_from_attributes(data, digits):
    images = np.load(digits / "images.npy", mmap_mode="r")
    for split in SPLITS:
        found = load_split(data, split)
        table = found.attributes
        rendered = render(images[table["source"]], table["thickness"], table["intensity"])
        np.testing.assert_array_equal(found.images[:, 0, 2:-2, 2:-2], rendered)
        assert found.images.sum() == rendered.sum(dtype=np.uint64)
        noises = INTENSITY.abduct(table["thickness"], table["intensity"])
        np.testing.assert_allclose(noises, table[noises.columns], atol=1e-9)


def test_splits_are_disjoint_and_a_digit_keeps_its_parents(digits, tmp_path):
    rows = split_rows(settings(train=50_000, valid=4_000, judges=6_000, test=10_000))
    assert np.array_equal(np.sort(np.concatenate(list(rows.values()))), np.arange(70_000))
    more = split_rows(settings(train=40))
    fewer = split_rows(settings())
    for split in ("valid", "judges", "test"):
        np.testing.assert_array_equal(more[split], fewer[split])
    assert set(fewer["train"]) < set(more["train"])
    assert not np.array_equal(split_rows(settings(seed=1))["test"], fewer["test"])


def test_a_run_is_a_function_of_its_seed(data, digits, tmp_path):
    again, other = tmp_path / "again", tmp_path / "other"
    synthesise(settings(), False, digits, again, threads=1)
    synthesise(settings(seed=1, train=3, judges=3, valid=2, test=2), False, digits, other)
    paths = [path.relative_to(again) for path in again.rglob("*") if path.is_file()]
    assert len(paths) == 1 + 8 + 6
    for path in paths:
        if path.suffix == ".parquet":
            pd.testing.assert_frame_equal(pd.read_parquet(again / path), pd.read_parquet(data / path))
        else:
            assert (again / path).read_bytes() == (data / path).read_bytes(), path
    assert (other / "test/images.npy").read_bytes() != (data / "test/images.npy").read_bytes()


def test_judges_see_no_confounding(digits, tmp_path):
    counts = {"train": 2, "valid": 1, "judges": 3000, "test": 1}
    tables = {}
    with pytest.MonkeyPatch.context() as patch:
        process = replace(INTENSITY, render=lambda digits, *arguments: digits)
        patch.setattr(morphomnist, "INTENSITY", process)
        for confounded in (False, True):
            synthesise(settings(**counts), confounded, digits, tmp_path / str(confounded))
            tables[confounded] = load_split(tmp_path / str(confounded), "judges").attributes
    assert tables[True]["thickness"].corr(tables[True]["intensity"]) > 0.85
    assert abs(tables[False]["thickness"].corr(tables[False]["intensity"])) < 0.06
    np.testing.assert_array_equal(tables[False]["thickness"], tables[True]["thickness"])
    np.testing.assert_array_equal(*(np.sort(tables[key]["intensity"]) for key in tables))


def test_the_published_format(data):
    for part, split in (("train", "train"), ("t10k", "test")):
        found = load_split(data, split)
        images = read_idx(data / "idx" / f"{part}-images-idx3-ubyte.gz")
        np.testing.assert_array_equal(images, found.images[:, 0, 2:-2, 2:-2])
        labels = read_idx(data / "idx" / f"{part}-labels-idx1-ubyte.gz")
        np.testing.assert_array_equal(labels, found.attributes["digit"])
        text = (data / "idx" / f"{part}-morpho.csv").read_text()
        table = pd.read_csv(data / "idx" / f"{part}-morpho.csv")
        assert list(table) == ["index", "thickness", "intensity"]
        assert table["index"].tolist() == list(range(len(images)))
        for name in ("thickness", "intensity"):
            single = found.attributes[name].to_numpy().astype(np.float32)
            np.testing.assert_array_equal(table[name].to_numpy().astype(np.float32), single)
            assert str(single[0]) in text


def test_the_published_tables_can_be_used(digits, tmp_path):
    folder = sample("train-morpho.csv").parent
    sample("t10k-morpho.csv")
    synthesise(settings(published=str(folder)), True, digits, tmp_path)
    for part, split, first in (("train", "train", 0), ("t10k", "test", 60_000)):
        table = load_split(tmp_path, split).attributes
        published = pd.read_csv(folder / f"{part}-morpho.csv")
        for name in ("thickness", "intensity"):
            np.testing.assert_array_equal(table[name], published[name][table["source"] - first])
        lines = (folder / f"{part}-morpho.csv").read_text().splitlines()
        written = (tmp_path / f"idx/{part}-morpho.csv").read_text().splitlines()
        for row, source in enumerate(table["source"]):
            assert written[row + 1].split(",")[1:] == lines[source - first + 1].split(",")[1:]


@pytest.mark.slow
def test_the_published_test_set_is_made_again(tmp_path, monkeypatch):
    """The first 1000 of 10,000 images are compared with the published pixels, all rows with the published table."""

    def render_first(process, digits, attributes, threads, split):
        """The other images, which are not compared, stay empty."""
        found = render_all(process, digits[:1000], attributes.head(1000), threads, split)
        return np.concatenate([found, np.zeros((len(digits) - len(found), *found.shape[1:]), found.dtype)])

    render_all = morpho_sets._render
    monkeypatch.setattr(morpho_sets, "_render", render_first)
    file = np.load(sample("morphomnist-published-t10k-first1000.npz"))
    folder = sample("t10k-morpho.csv").parent
    images, labels = mnist()
    (tmp_path / "digits").mkdir()
    np.save(tmp_path / "digits/images.npy", images)
    np.save(tmp_path / "digits/labels.npy", labels)
    few = settings(published=str(folder), train=2, valid=1, judges=2, test=10_000)
    synthesise(few, True, tmp_path / "digits", tmp_path, threads=2)
    made = read_idx(tmp_path / "idx/t10k-images-idx3-ubyte.gz")
    assert len(made) == 10_000
    np.testing.assert_array_equal(made[:1000], file["images"])
    assert (tmp_path / "idx/t10k-morpho.csv").read_text() == (folder / "t10k-morpho.csv").read_text()


def test_true_counterfactuals(data):
    assert world("morphomnist") is morphomnist and world("celeba") is None
    split = load_split(data, "test")
    table = split.attributes
    nothing = counterfactual_parents(table, {})
    images, known = render_counterfactual(data, table, nothing)
    assert known.all()
    np.testing.assert_array_equal(images, split.images)

    after = counterfactual_parents(table, {"thickness": np.full(12, 3.0)})
    thick, _ = render_counterfactual(data, table, after, threads=2)
    assert measure(thick)["thickness"].median() == pytest.approx(3.0, abs=0.3)
    assert np.abs(measure(thick)["intensity"] - after["intensity"]).median() < 1

    table = table.iloc[3:6]
    after = counterfactual_parents(table, {"digit": np.array([np.nan, 9.0, np.nan])})
    images, known = render_counterfactual(data, table, after)
    assert known.tolist() == [True, table["digit"].iloc[1] == 9, True]
    np.testing.assert_array_equal(images[[0, 2]], split.images[[3, 5]])


def test_wrong_settings_and_files_are_named(digits, tmp_path):
    with pytest.raises(
        UserError, match=r"data.train \+ data.valid \+ data.judges is 60001, but MNIST has 60000"
    ):
        split_rows(settings(train=60_000, valid=1, judges=0))
    with pytest.raises(UserError, match="data.test is 10001, but MNIST has 10000"):
        split_rows(settings(test=10_001))
    with pytest.raises(UserError, match="images.npy: no such file; run the step digits first"):
        synthesise(settings(), False, tmp_path, tmp_path)
    np.save(tmp_path / "images.npy", np.zeros((3, 28, 28), np.uint8))
    with pytest.raises(UserError, match="images.npy: holds uint8"):
        synthesise(settings(), False, tmp_path, tmp_path)
    with pytest.raises(UserError, match="data.published: .*train-morpho.csv: no such file"):
        read_published(tmp_path, TRAIN, TEST)
    table = pd.DataFrame({"index": range(60_000), "thickness": 2.0, "intensity": 100.0})
    table[:10_000].to_csv(tmp_path / "t10k-morpho.csv", index=False)
    for change, message in (
        ({"intensity": 10.0}, "intensity: the process generates 64 to 255"),
        ({"index": 0}, "column index must run from 0 to 59999"),
    ):
        table.assign(**change).to_csv(tmp_path / "train-morpho.csv", index=False)
        with pytest.raises(UserError, match=message):
            read_published(tmp_path, TRAIN, TEST)
    table.drop(columns="thickness").to_csv(tmp_path / "train-morpho.csv", index=False)
    with pytest.raises(UserError, match="no thickness: it is the table of another data set"):
        read_published(tmp_path, TRAIN, TEST)
