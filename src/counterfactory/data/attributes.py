r"""Binary attributes: what a classifier of explanations is asked about, as 40 yes-or-no questions are of a face.

An attribute is a quantity and a threshold,

.. math:: y_a = \mathbb{1}\left[q_a > \theta_a\right],

where :math:`q_a` is a parent of the image (thickness, intensity) or what the simulated world measures of its pixels
(area, length, slant, width, height; Castro et al., 2019, arXiv:1809.10780). Attributes are named in the configuration,
section `attributes`, in the quantity's own unit; one that is set to null is left out.
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
import pandas as pd

from ..core.errors import UserError
from .dataset import Dataset, Split
from .worlds import world

__all__ = [
    "AttributeSettings",
    "attribute_labels",
    "binarise",
    "chosen",
    "measured_labels",
    "one_sided",
    "quantities",
]


class AttributeSettings(Protocol):
    """What is read of one attribute of the configuration's section `attributes`."""

    of: str
    above: float


Attributes = Mapping[str, AttributeSettings | None]


def chosen(attributes: Attributes) -> dict[str, AttributeSettings]:
    """Returns the attributes that are not left out, in order.

    Raises:
        UserError: If there is none.
    """
    kept = {name: attribute for name, attribute in attributes.items() if attribute is not None}
    if not kept:
        raise UserError(
            "attributes: every one is null; name one at least, such as thick: {of: thickness, above: 2.5}"
        )
    return kept


def attribute_labels(
    dataset: Dataset, split: Split, attributes: Attributes, threads: int = 1
) -> pd.DataFrame:
    """Returns the binary attributes of every image of a split.

    Arguments:
        dataset: The data set.
        split: Its images, uint8 (N, C, H, W), and their attributes.
        attributes: The section `attributes`.
        threads: How many threads measure.

    Returns:
        One int8 column an attribute, 0 or 1, N rows from 0. Where a quantity is a parent, the parent decides, and not
        what the pixels show of it.

    Raises:
        UserError: If a quantity is neither a parent nor measured.
    """
    return binarise(quantities(dataset, split, attributes, threads), attributes)


def measured_labels(
    dataset: Dataset, images: np.ndarray, attributes: Attributes, threads: int = 1
) -> pd.DataFrame:
    """Returns the binary attributes that the pixels themselves show, whatever parents were asked of them.

    Arguments:
        dataset: The data set.
        images: Uint8 images with shape (N, C, H, W), such as answers.
        attributes: The section `attributes`.
        threads: How many threads measure.

    Returns:
        One int8 column for each attribute whose quantity the world measures, N rows from 0; other attributes have no
        column, and without a world there is none. An image without a stroke has every attribute at 0.
    """
    known = world(dataset.name)
    if known is None:
        return pd.DataFrame(index=range(len(images)))
    shown = known.measure(images, threads)
    return binarise(shown, {name: one for name, one in chosen(attributes).items() if one.of in shown})


def quantities(dataset: Dataset, split: Split, attributes: Attributes, threads: int = 1) -> pd.DataFrame:
    """Returns the quantities that attributes are made of, one float64 column each, N rows from 0.

    The arguments and the error are those of :func:`attribute_labels`.
    """
    kept = chosen(attributes)
    names = list(dict.fromkeys(one.of for one in kept.values()))
    known = None if set(names) <= set(dataset.names) else world(dataset.name)
    measured = pd.DataFrame() if known is None else known.measure(split.images, threads)
    columns = {}
    for name, one in kept.items():
        if one.of not in dataset.names and one.of not in measured:
            choices = dict.fromkeys([*dataset.names, *measured.columns])
            raise UserError(
                f"attributes.{name}.of: {one.of}: neither a parent of {dataset.name} nor measured there; "
                f"choose from {', '.join(choices)}"
            )
        source = split.attributes if one.of in dataset.names else measured
        columns[one.of] = source[one.of].to_numpy(np.float64)
    return pd.DataFrame(columns, columns=names)


def binarise(values: pd.DataFrame, attributes: Attributes) -> pd.DataFrame:
    """Returns 1 where a quantity is above an attribute's threshold and 0 elsewhere, also where it is not a number.

    Arguments:
        values: One column a quantity, in its own unit, N rows.
        attributes: The section `attributes`.
    """
    kept = {name: one for name, one in attributes.items() if one is not None}
    return pd.DataFrame(
        {name: (values[one.of].to_numpy() > one.above).astype(np.int8) for name, one in kept.items()},
        index=range(len(values)),
    )


def one_sided(
    dataset: Dataset, split: Split, attributes: Attributes, name: str, threads: int = 1
) -> dict[str, str]:
    """Finds attributes that all images of a split have, or none: nothing can be learned or asked about them.

    Arguments:
        dataset: The data set.
        split: Its images and attributes.
        attributes: The section `attributes`.
        name: What the split is called.
        threads: How many threads measure.

    Returns:
        For each such attribute one line that says so, with the threshold to change and the range to choose it from.
    """
    values = quantities(dataset, split, attributes, threads)
    labels = binarise(values, attributes)
    found = {}
    for attribute, one in chosen(attributes).items():
        share = labels[attribute].mean()
        if 0.0 < share < 1.0:
            continue
        unit = next((v.unit for v in dataset.variables if v.name == one.of and v.unit), "")
        low, high = values[one.of].min(), values[one.of].max()
        found[attribute] = (
            f"attributes.{attribute}.above: {one.of} is above {one.above:g}{unit and ' ' + unit} in "
            f"{share:.0%} of the {len(labels)} {name} images; choose a threshold between {low:.4g} and {high:.4g}"
        )
    return found
