r"""Computes binary attributes, the labels that classifiers of explanations predict.

An attribute is a quantity and a threshold,

.. math:: y_a = \mathbb{1}\left[q_a > \theta_a\right],

where :math:`q_a` is a parent of the image (thickness, intensity), an annotated label that is no parent, or a quantity
that the simulated world measures in its pixels (area, length, slant, width, height; Castro et al., 2019,
arXiv:1809.10780). Attributes are defined in the section `attributes` of the configuration, in the unit of the quantity;
one that is null is left out. Variables and labels with two classes are attributes under their own name
(:mod:`counterfactory.data.outputs`).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..core.errors import UserError
from .dataset import Dataset, Split
from .worlds import world

if TYPE_CHECKING:
    from ..config.attributes import AttributeSettings

__all__ = [
    "attribute_labels",
    "binarise",
    "chosen",
    "measured_labels",
    "one_sided",
    "quantities",
]


Attributes = Mapping[str, "AttributeSettings | None"]


def chosen(attributes: Attributes) -> "dict[str, AttributeSettings]":
    """Returns the attributes that are not null, in order.

    Raises:
        UserError: If all are null.
    """
    kept = {name: attribute for name, attribute in attributes.items() if attribute is not None}
    if not kept:
        raise UserError(
            "attributes: every one is null; define at least one, such as thick: {of: thickness, above: 2.5}"
        )
    return kept


def attribute_labels(
    dataset: Dataset, split: Split, attributes: Attributes, threads: int = 1
) -> pd.DataFrame:
    """Returns the binary attributes of every image of a split.

    Arguments:
        dataset: The data set.
        split: The images, uint8 (N, C, H, W), and their attributes.
        attributes: The section `attributes`.
        threads: The number of threads that measure.

    Returns:
        One int8 column per attribute, 0 or 1, N rows from 0. The value of a quantity that is a parent or a label is the
        annotated one, not the one measured in the pixels.

    Raises:
        UserError: If a quantity is neither a parent or label nor measured.
    """
    return binarise(quantities(dataset, split, attributes, threads), attributes)


def measured_labels(
    dataset: Dataset, images: np.ndarray, attributes: Attributes, threads: int = 1
) -> pd.DataFrame:
    """Returns the binary attributes as measured in the pixels.

    Arguments:
        dataset: The data set.
        images: Images such as answers, uint8 (N, C, H, W).
        attributes: The section `attributes`.
        threads: The number of threads that measure.

    Returns:
        One int8 column for each attribute whose quantity the world measures, N rows from 0; no column if the data set
        is not simulated. A quantity that cannot be measured, such as that of an image without strokes, gives 0.
    """
    known = world(dataset.name)
    if known is None:
        return pd.DataFrame(index=range(len(images)))
    shown = known.measure(images, threads)
    kept = {name: one for name, one in attributes.items() if one is not None}
    return binarise(shown, {name: one for name, one in kept.items() if one.of in shown})


def quantities(dataset: Dataset, split: Split, attributes: Attributes, threads: int = 1) -> pd.DataFrame:
    """Returns the quantities of the attributes, one float64 column each, N rows from 0.

    The arguments and the error are those of :func:`attribute_labels`.
    """
    kept = {name: one for name, one in attributes.items() if one is not None}
    names = list(dict.fromkeys(one.of for one in kept.values()))
    annotated = [*dataset.names, *(label.name for label in dataset.labels)]
    known = None if set(names) <= set(annotated) else world(dataset.name)
    measured = pd.DataFrame() if known is None else known.measure(split.images, threads)
    columns = {}
    for name, one in kept.items():
        if one.of not in annotated and one.of not in measured:
            choices = dict.fromkeys([*annotated, *measured.columns])
            raise UserError(
                f"attributes.{name}.of: {one.of}: neither a parent of {dataset.name} nor measured there; "
                f"choose from {', '.join(choices)}"
            )
        source = split.attributes if one.of in annotated else measured
        columns[one.of] = source[one.of].to_numpy(np.float64)
    return pd.DataFrame(columns, columns=names, index=range(len(split.attributes)))


def binarise(values: pd.DataFrame, attributes: Attributes) -> pd.DataFrame:
    """Returns 1 where a quantity is above the threshold of an attribute and 0 elsewhere, including NaN.

    Arguments:
        values: One column per quantity, in its unit, N rows.
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
    """Finds attributes with the same label in all images of a split, which no classifier can learn.

    Arguments:
        dataset: The data set.
        split: The images and attributes.
        attributes: The section `attributes`.
        name: The name of the split.
        threads: The number of threads that measure.

    Returns:
        For each such attribute a message of one line, with the threshold and the range of the quantity.
    """
    values = quantities(dataset, split, attributes, threads)
    labels = binarise(values, attributes)
    twofold = {one.name for one in (*dataset.variables, *dataset.labels) if one.classes == 2}
    found = {}
    for attribute, one in attributes.items():
        share = 0.5 if one is None else labels[attribute].mean()
        if one is None or 0.0 < share < 1.0:
            continue
        if one.of == attribute and attribute in twofold:
            found[attribute] = (
                f"{attribute}: all {len(labels)} {name} images have the value {share:.0f}; leave it out"
            )
            continue
        unit = next((v.unit for v in dataset.variables if v.name == one.of and v.unit), "")
        low, high = values[one.of].min(), values[one.of].max()
        found[attribute] = (
            f"attributes.{attribute}.above: {one.of} is above {one.above:g}{unit and ' ' + unit} in "
            f"{share:.0%} of the {len(labels)} {name} images; choose a threshold between {low:.4g} and {high:.4g}"
        )
    return found
