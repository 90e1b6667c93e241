r"""The suite `flip`: what turns the answer of a classifier over? The explanation protocol.

A binary attribute y of an image is one side of a threshold on a quantity,

.. math:: y = \mathbb{1}[\mathrm{of} > \mathrm{above}], \qquad y^* = 1 - y

and a question asks for the image with y turned over; of a categorical variable, such as the digit, it asks for
another class. An explainer (Jeanneret et al., 2022) reads the attribute and the target. A causal method reads the
action that means the same to it: the attribute's quantity, which has to be a variable of the graph, is set to a
value drawn from the train split's marginal on the other side of the threshold.

The questions run through images, then repeats, then attributes: the questions about the first n images are the first
of the table, so a costly method may answer those alone, and asking for more images renumbers none. A repeat asks the
same action with another seed, to see how much of an answer is chance (:math:`\sigma_L`).

References:
    | Diffusion Models for Counterfactual Explanations (Jeanneret et al., 2022)
    | https://arxiv.org/abs/2203.15636
"""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.files import write_table
from ..core.noise import derive_seed, generator
from ..data.attributes import chosen, one_sided
from ..data.dataset import Dataset, load_dataset, load_split
from .interventions import true_parents

__all__ = ["ask_flip"]


def ask_flip(settings: Any, attributes: Mapping[str, Any], data: Path | str, out: Path | str) -> None:
    """Writes the table of questions of the suite, one row a question.

    The columns are those of :func:`counterfactory.questions.interventions.ask`, where `intervention` is the attribute's name,
    `protocol` empty, `cycles` 1 and `steps` one action; and `attribute` (its name), `label` (the factual side, 0 or 1,
    or the factual class), `target` (the other side, or the class asked for) and `repeat` (0, 1, ...).

    Arguments:
        settings: The settings of the section `questions`.
        attributes: The section `attributes`: for each name an object with `of` (a quantity) and `above` (the
            threshold, in its unit).
        data: The data set's folder.
        out: The parquet file to write.

    Raises:
        UserError: If an attribute is unknown or not of a variable of the graph, all train images are on one side of
            its threshold, a class is unknown, or more images are asked for than the test split has.
    """
    dataset = load_dataset(data)
    splits = {name: load_split(data, name) for name in ("train", "test")}
    train, test = (split.attributes for split in splits.values())
    known = chosen(attributes)
    asked = [
        _Flip.read(name, known, dataset, settings.flip.targets)
        for name in [*settings.flip.attributes, *(["digit"] if settings.flip.digit else [])]
    ]
    binary = {flip.name: known[flip.name] for flip in asked if flip.above is not None}
    for name, split in splits.items() if binary else []:
        for line in one_sided(dataset, split, binary, name).values():
            if name == "train":
                raise UserError(line)
            print(f"{line}; correlations with it cannot be scored", file=sys.stderr)
    images = settings.flip.images
    if images > len(test):
        raise UserError(
            f"questions.flip.images is {images}, but the test split has {len(test)} images; lower it"
        )
    rows = generator(settings.seed, "images").permutation(len(test))[:images]

    records = []
    for rank, row in enumerate(rows.tolist()):
        repeats = settings.flip.repeats if rank < settings.flip.repeat_images else 1
        drawn = []
        for flip in asked:
            label = int(flip.label(test.iloc[row]))
            # Of no repeat: the action is the same in all of them.
            rng = generator(derive_seed(settings.seed, "flip", flip.name, row), "steps")
            drawn.append((flip, label, *flip.draw(label, train, rng)))
        for repeat in range(repeats):
            for flip, label, target, action in drawn:
                seed = derive_seed(settings.seed, "flip", flip.name, row, repeat)
                records.append((row, flip.name, seed, action, label, target, repeat))

    table = pd.DataFrame(
        records, columns=["index", "intervention", "seed", "steps", "label", "target", "repeat"]
    )
    table.insert(0, "question", np.arange(len(table)))
    table.insert(1, "suite", "flip")
    table.insert(4, "protocol", "")
    table.insert(5, "cycles", 1)
    factual = test.iloc[table["index"]].reset_index(drop=True)
    true = true_parents(dataset, factual, table["steps"].tolist())
    table["steps"] = [json.dumps([action]) for action in table["steps"]]
    table.insert(8, "attribute", table["intervention"])
    for name in dataset.names:
        table[f"true_{name}"] = np.asarray(true[name], dtype=np.float64)
    write_table(out, table)


@dataclass(frozen=True)
class _Flip:
    """What is turned over: one side of a threshold on the variable `of`, or (`above` is None) its class."""

    name: str
    of: str
    above: float | None
    targets: Mapping[int, int]

    @classmethod
    def read(
        cls, name: str, attributes: Mapping[str, Any], dataset: Dataset, targets: Mapping[int, int]
    ) -> "_Flip":
        classes = {variable.name: variable.classes for variable in dataset.variables}
        if name in attributes:
            of, above = attributes[name].of, float(attributes[name].above)
            if not (of in classes and not classes[of]):
                continuous = ", ".join(variable for variable, count in classes.items() if not count)
                raise UserError(
                    f"questions.flip.attributes: {name} is of {of}, which no causal method can set; choose one of"
                    f" {continuous}"
                )
            return cls(name, of, above, {})
        if not classes.get(name):
            choices = [*attributes, *(variable for variable, count in classes.items() if count)]
            raise UserError(f"questions.flip.attributes: {name!r}; choose from {', '.join(choices)}")
        for label, target in targets.items():
            if label == target or not (0 <= label < classes[name] and 0 <= target < classes[name]):
                raise UserError(
                    f"questions.flip.targets: {label}: {target}; choose two classes of 0 to {classes[name] - 1}"
                )
        return cls(name, name, None, targets)

    def label(self, attributes: pd.DataFrame | pd.Series) -> Any:
        """Returns the side, 0 or 1, or the class."""
        return attributes[self.of] if self.above is None else 1 * (attributes[self.of] > self.above)

    def draw(
        self, label: int, train: pd.DataFrame, rng: np.random.Generator
    ) -> tuple[int, dict[str, float | int]]:
        """Draws the target and the action from the train split's marginal, given that the label is not this one."""
        if label in self.targets:
            target = int(self.targets[label])
            return target, {self.of: target}
        pool = train[self.of].to_numpy()[(self.label(train) != label).to_numpy()]
        if not len(pool):
            raise UserError(f"questions.flip: all train images have {self.of} {label}; leave {self.name} out")
        value = pool[rng.integers(len(pool))].item()
        if self.above is None:
            return int(value), {self.of: int(value)}
        return 1 - label, {self.of: value}
