r"""Computes the base rate of a query in the training data, and states whether the generator can answer it.

The base rate of a query is the share

.. math:: P(\mathrm{premise} \mid \mathrm{given})

of the images of the train split. A variable of the premise that is also given, with another value (a woman, had she
been a man), is left out of the condition. Where the rate is tiny, neither generator nor classifier has learned such
images: the extended structural model then fulfils the premise by changing what was given, or not at all (Lucas and
Kemp, 2015, doi:10.1037/a0039655, on backtracking).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

__all__ = ["FEW", "BaseRate", "base_rate", "verdict"]

FEW = 10
"""With fewer images in the train split, neither a generator nor the oracle learns what they show."""

HALF = 0.5
"""The smallest share of answers for which the text states that the answers fulfil or keep something."""


@dataclass(frozen=True)
class BaseRate:
    """The number of images with the given facts, of those also with the premise, and whether anything is given."""

    given: int
    both: int
    conditional: bool = True

    @property
    def share(self) -> float:
        """The base rate; NaN if no image shows what is given."""
        return self.both / self.given if self.given else float("nan")


def base_rate(query: Mapping[str, Any], attributes: pd.DataFrame) -> BaseRate | None:
    """Returns the base rate of a query, or None if a fact is about no annotated column.

    Arguments:
        query: `given` and `premise`: values by variable or label.
        attributes: The attributes of the train split.
    """
    premise = query["premise"]
    given = {name: value for name, value in query["given"].items() if name not in premise}
    if not {*given, *premise} <= set(attributes.columns):
        return None
    kept = _all(given, attributes)
    return BaseRate(int(kept.sum()), int((kept & _all(premise, attributes)).sum()), bool(given))


def _all(facts: Mapping[str, float], attributes: pd.DataFrame) -> np.ndarray:
    shown = np.ones(len(attributes), bool)
    for name, value in facts.items():
        shown &= attributes[name].to_numpy() == value
    return shown


def verdict(rate: BaseRate, valid: Sequence[float], rest: Sequence[float]) -> str:
    """Returns the base rate in words, and what the answers do at the most favourable stickiness.

    Arguments:
        rate: The base rate.
        valid: The share of answers that fulfil the premise according to the oracle, by stickiness.
        rest: The share of answers that agree with the other evidence, by stickiness; empty if there is none.
    """
    share = "none" if not rate.both else f"{100 * rate.share:.2g} %"
    images = f"{rate.both:,} of {rate.given:,} images" + (
        " with the other evidence" if rate.conditional else ""
    )
    text = f"In the train split, {images} show the premise ({share})."
    best = max((value for value in valid if np.isfinite(value)), default=float("nan"))
    if not np.isfinite(best):
        return text
    if best < HALF:
        text += f" The generator cannot: at no stickiness do half of the answers show the premise (at most {best:.0%})."
    elif len(rest) and (kept := max(r for v, r in zip(valid, rest, strict=True) if v == best)) < HALF:
        text += (
            f" The generator fulfils the premise ({best:.0%} of the answers) only by changing the other evidence, which"
            f" {kept:.0%} keep."
        )
    elif rate.both < FEW:
        text += (
            " The oracle has learned from as few images: its agreement with the premise means little here."
        )
    return text
