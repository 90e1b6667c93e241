"""Files of two splits of equal size and columns that are swapped, or replaced, are noticed by every reader."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from counterfactory.config import ScmSettings
from counterfactory.core.errors import BadFile
from counterfactory.core.files import write_array, write_table
from counterfactory.core.run import Run
from counterfactory.data.checksums import FILES
from counterfactory.data.dataset import SPLITS, load_dataset, load_split, save_dataset
from counterfactory.scm.fit import fit_scm
from tests.squares import SQUARES


@pytest.fixture
def folder(tmp_path):
    rng = np.random.default_rng(0)
    for split in SPLITS:
        write_array(tmp_path / split / "images.npy", rng.integers(0, 255, (700, 3, 32, 32), dtype=np.uint8))
        columns = {"index": range(700), "size": rng.random(700), "shade": rng.random(700), "kind": 1}
        write_table(tmp_path / split / "attributes.parquet", pd.DataFrame(columns))
    save_dataset(tmp_path, SQUARES)
    return tmp_path


def swap(folder, name):
    (folder / "test" / name).rename(folder / "aside")
    (folder / "valid" / name).rename(folder / "test" / name)
    (folder / "aside").rename(folder / "valid" / name)


def test_untouched_splits_load_and_the_description_is_the_same(folder):
    assert load_dataset(folder) == SQUARES
    for split in SPLITS:
        load_split(folder, split)


@pytest.mark.parametrize("name", FILES)
def test_swapped_files_are_noticed(folder, name):
    swap(folder, name)
    for split, other in (("test", "valid"), ("valid", "test")):
        with pytest.raises(BadFile, match=f"{split}/{name}: is that of the split {other}; delete .* and run"):
            load_split(folder, split)
    load_split(folder, "train")


def test_whole_folders_that_are_swapped_are_noticed(folder):
    for name in FILES:
        swap(folder, name)
    with pytest.raises(BadFile, match="is that of the split valid"):
        load_split(folder, "test")


def test_the_fit_of_the_scm_notices_too(folder):
    swap(folder, "attributes.parquet")
    with pytest.raises(BadFile, match="is that of the split"):
        fit_scm(
            ScmSettings(), Run("scm", data=folder, models=folder, out=folder / "scm", seed=0, device="cpu")
        )


def test_another_file_of_the_same_size_is_noticed(folder):
    images = np.load(folder / "test" / "images.npy")
    images[-1] += 1
    write_array(folder / "test" / "images.npy", images)
    with pytest.raises(BadFile, match="is not the file of this data set"):
        load_split(folder, "test")


@pytest.mark.parametrize("known", [None, [], {"test": 3}, {"valid": {"images.npy": 1}}, {"test": {"x": 1}}])
def test_without_checksums_nothing_is_compared(folder, known):
    path = folder / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"crc32": known}))
    shutil.copy(folder / "valid" / "images.npy", folder / "test" / "images.npy")
    load_split(folder, "test")
