r"""Writes the questions of the suite `flip`: which change of the image flips the decision of a classifier?

A binary attribute y of an image is the side of a threshold on which a quantity lies,

.. math:: y = \mathbb{1}[\mathrm{of} > \mathrm{above}], \qquad y^* = 1 - y

and a question requires the image with y flipped, or, for a variable with more than two classes, with another class. A
variable or label with two classes is an attribute under its own name (:mod:`counterfactory.data.outputs`).

An explainer (Jeanneret et al., 2022) uses the attribute and the target. A causal method uses the equivalent action: the
quantity of the attribute is set to a value drawn from the marginal of the train split on the other side of the
threshold. If the quantity is no variable of the graph, such as a label that is no parent, the action is empty, and
causal methods do not answer.

The questions are ordered by image, then repeat, then attribute. The questions about the first n images are therefore
the first rows of the table: an expensive method can answer only those, and more images renumber no question. A repeat
is the same action under another seed; it measures how much of an answer is random (:math:`\sigma_L`).

References:
    | Diffusion Models for Counterfactual Explanations (Jeanneret et al., 2022)
    | https://arxiv.org/abs/2203.15636
"""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..core.errors import UserError
from ..core.noise import derive_seed, generator
from ..data.attributes import one_sided, quantities
from ..data.dataset import Dataset, Split, load_dataset, load_split
from ..data.outputs import Outputs, outputs_of
from .table import Action, image_order, save_questions

if TYPE_CHECKING:
    from ..config.questions import QuestionsSettings

__all__ = ["write_questions"]


def write_questions(
    suite: str,
    settings: "QuestionsSettings",
    data: Path | str,
    out: Path | str,
    attributes: Mapping[str, Any] | None = None,
) -> None:
    """Writes the table of questions.

    The columns are those of :mod:`counterfactory.questions.table`, where `intervention` is the name of the attribute,
    `protocol` is empty, `cycles` is 1 and `steps` holds one action. Further columns are `attribute` (its name), `label`
    (the factual value, 0 or 1, or the factual class), `target` (the opposite value, or the required class) and `repeat`
    (0, 1, ...).

    Arguments:
        suite: `flip`.
        settings: The section `questions`.
        data: The folder of the data set.
        out: The parquet file.
        attributes: The section `attributes`: for each name an object with `of` (a quantity) and `above` (the threshold,
            in its unit).

    Raises:
        UserError: If an attribute is unknown, all train images are on one side of its threshold, a class is unknown, or
            the test split has fewer images than required.
    """
    dataset = load_dataset(data)
    splits = {name: load_split(data, name) for name in ("train", "test")}
    outputs = outputs_of(attributes or {}, dataset.variables, dataset.labels)
    flips = [_Flip.read(name, outputs, dataset, settings.flip.targets) for name in settings.flip.attributes]
    binary = {flip.name: outputs.binary[flip.name] for flip in flips if flip.above is not None}
    train, test = (_with_quantities(dataset, split, binary) for split in splits.values())
    for name, split in splits.items() if binary else []:
        for line in one_sided(dataset, split, binary, name).values():
            if name == "train":
                raise UserError(line)
            print(f"{line}; correlations with it cannot be scored", file=sys.stderr)
    images = settings.flip.images
    rows = image_order(suite, images, test, settings.seed)[:images]

    records = []
    for rank, row in enumerate(rows.tolist()):
        repeats = settings.flip.repeats if rank < settings.flip.repeat_images else 1
        drawn = []
        for flip in flips:
            label = int(flip.label(test.iloc[row]))
            # The stream does not depend on the repeat: the action is the same in all of them.
            rng = generator(derive_seed(settings.seed, "flip", flip.name, row), "steps")
            drawn.append((flip, label, *flip.draw(label, train, rng)))
        for repeat in range(repeats):
            for flip, label, target, action in drawn:
                seed = derive_seed(settings.seed, "flip", flip.name, row, repeat)
                records.append((row, flip.name, seed, action, label, target, repeat))

    names = [record[1] for record in records]
    actions = [record[3] for record in records]
    columns: dict[str, list[Any]] = {
        "index": [record[0] for record in records],
        "intervention": names,
        "protocol": [""] * len(records),
        "cycles": [1] * len(records),
        "seed": [record[2] for record in records],
        "steps": [[action] for action in actions],
        "attribute": names,
        "label": [record[4] for record in records],
        "target": [record[5] for record in records],
        "repeat": [record[6] for record in records],
    }
    save_questions(out, suite, dataset, test, columns, actions)


def _with_quantities(dataset: Dataset, split: Split, attributes: Mapping[str, Any]) -> pd.DataFrame:
    """Returns the attributes of a split, with the measured quantities that binary attributes require and it lacks."""
    lacking = {name: one for name, one in attributes.items() if one.of not in split.attributes}
    if not lacking:
        return split.attributes
    found = quantities(dataset, split, lacking).set_index(split.attributes.index)
    return pd.concat([split.attributes, found], axis=1)


@dataclass(frozen=True)
class _Flip:
    """One flip: of a side of a threshold on the quantity `of`, or, if `above` is None, of its class.

    `targets` maps factual classes to the class that is required instead. `settable` is whether `of` is a variable, and
    `whole` whether its values are classes.
    """

    name: str
    of: str
    above: float | None
    targets: Mapping[int, int]
    settable: bool
    whole: bool

    @classmethod
    def read(
        cls, name: str, outputs: Outputs, dataset: Dataset, targets: Mapping[str, Mapping[int, int]]
    ) -> "_Flip":
        """Returns the flip called `name`.

        Raises:
            UserError: If there is no such attribute or class.
        """
        sizes = outputs.sizes
        if name not in sizes:
            raise UserError(f"questions.flip.attributes: {name!r}; choose from {', '.join(sizes)}")
        of = outputs.quantity(name)
        settable = of in dataset.names
        whole = settable and dataset.variable(of).kind == "categorical"
        if name in outputs.binary:
            return cls(name, of, float(outputs.binary[name].above), {}, settable, whole)
        own = targets.get(name, {})
        for label, target in own.items():
            if label == target or not (0 <= label < sizes[name] and 0 <= target < sizes[name]):
                raise UserError(
                    f"questions.flip.targets.{name}: {label}: {target}; choose two classes of 0 to {sizes[name] - 1}"
                )
        return cls(name, of, None, own, settable, whole)

    def label(self, attributes: pd.DataFrame | pd.Series) -> Any:
        """Returns the value, 0 or 1, or the class."""
        return attributes[self.of] if self.above is None else 1 * (attributes[self.of] > self.above)

    def draw(self, label: int, train: pd.DataFrame, rng: np.random.Generator) -> tuple[int, Action]:
        """Draws the target and the action from the marginal of the train split, given that the label changes.

        The action is empty if no causal method can set the quantity.

        Raises:
            UserError: If all train images have this label.
        """
        if label in self.targets:
            target = int(self.targets[label])
            return target, {self.of: target} if self.settable else {}
        pool = train[self.of].to_numpy()[(self.label(train) != label).to_numpy()]
        if not len(pool):
            raise UserError(f"questions.flip: all train images have {self.of} {label}; leave {self.name} out")
        value = pool[rng.integers(len(pool))].item()
        target = int(value) if self.above is None else 1 - label
        if not self.settable:
            return target, {}
        return target, {self.of: int(value) if self.whole else value}
