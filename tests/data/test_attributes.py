"""Binary attributes: thresholds on parents and on measurements of the pixels."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.errors import UserError
from counterfactory.data import attributes as module
from counterfactory.data.attributes import (
    attribute_labels,
    binarise,
    chosen,
    measured_labels,
    one_sided,
    quantities,
)
from counterfactory.data.dataset import Dataset, Split, Variable

TOY = Dataset(
    "toy",
    (Variable("size", "continuous", "px"), Variable("kind", "categorical", classes=3)),
    (),
    (1, 2, 2),
    True,
)


def attribute(of: str, above: float) -> SimpleNamespace:
    return SimpleNamespace(of=of, above=above)


@pytest.fixture
def split() -> Split:
    """Three images of grey levels 0, 10 and 20, whose size is 1, 2 and 3 px."""
    images = np.repeat(np.uint8([0, 10, 20]), 4).reshape(3, 1, 2, 2)
    return Split(images, pd.DataFrame({"size": [1.0, 2.0, 3.0], "kind": [0, 1, 2]}, index=[7, 8, 9]))


@pytest.fixture
def world(monkeypatch):
    """A world that measures another size, and the mean grey level, which is undefined for a black image."""

    def measure(images: np.ndarray, threads: int = 1) -> pd.DataFrame:
        grey = images.reshape(len(images), -1).mean(1)
        return pd.DataFrame({"size": np.full(len(images), 9.0), "grey": np.where(grey > 0, grey, np.nan)})

    monkeypatch.setattr(module, "world", lambda name: SimpleNamespace(measure=measure))


def test_a_threshold_is_strict_and_what_is_not_a_number_is_below():
    values = pd.DataFrame({"q": [1.0, 2.0, np.nextafter(2.0, 3.0), np.nan]})
    labels = binarise(values, {"large": attribute("q", 2.0), "small": None, "any": attribute("q", -9.0)})
    assert labels.to_dict("list") == {"large": [0, 0, 1, 0], "any": [1, 1, 1, 0]}
    assert set(labels.dtypes) == {np.dtype(np.int8)}


def test_a_parent_decides_where_there_is_one(split, world):
    asked = {"pale": attribute("grey", 15.0), "big": attribute("size", 1.5), "third": attribute("kind", 1.5)}
    labels = attribute_labels(TOY, split, asked)
    assert list(labels) == ["pale", "big", "third"] and list(labels.index) == [0, 1, 2]
    assert labels.to_dict("list") == {"pale": [0, 0, 1], "big": [0, 1, 1], "third": [0, 0, 1]}
    shown = measured_labels(TOY, split.images, asked)
    assert shown.to_dict("list") == {"pale": [0, 0, 1], "big": [1, 1, 1]}  # kind is not measured


def test_two_attributes_of_one_quantity(split):
    asked = {"big": attribute("size", 1.5), "huge": attribute("size", 2.5)}
    assert list(quantities(TOY, split, asked)) == ["size"]
    assert attribute_labels(TOY, split, asked).sum().to_dict() == {"big": 2, "huge": 1}


def test_parents_alone_need_no_world(split):
    assert attribute_labels(TOY, split, {"big": attribute("size", 1.5)})["big"].tolist() == [0, 1, 1]
    assert measured_labels(TOY, split.images, {"big": attribute("size", 1.5)}).shape == (3, 0)


def test_an_unknown_quantity_is_refused(split, world):
    with pytest.raises(UserError, match=r"attributes\.pale\.of: gray: .* choose from size, kind, grey$"):
        attribute_labels(TOY, split, {"big": attribute("size", 1.5), "pale": attribute("gray", 1.0)})


def test_no_attribute_is_refused():
    assert list(chosen({"a": None, "b": attribute("size", 1.0)})) == ["b"]
    with pytest.raises(UserError, match="every one is null"):
        chosen({"a": None})


def test_one_class_only_names_attribute_share_and_threshold(split):
    asked = {"big": attribute("size", 1.5), "vast": attribute("size", 3.0), "there": attribute("size", 0.0)}
    found = one_sided(TOY, split, asked, "train")
    assert list(found) == ["vast", "there"]
    assert found["vast"] == (
        "attributes.vast.above: size is above 3 px in 0% of the 3 train images; choose a threshold between 1 and 3"
    )
    assert "in 100% of the 3 train images" in found["there"]
