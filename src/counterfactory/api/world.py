"""A data set with its trained methods, which answers questions about single images."""

import json
import warnings
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..core.errors import UserError
from ..core.files import read_table
from ..core.names import unknown_name
from ..data.dataset import Split, load_dataset, load_split
from ..methods.registry import METHODS
from .answer import Imagined
from .dials import settings_with
from .images import ImagineWarning, is_batch, split_batch
from .layout import attributes_of, folder_of, methods_in, models_of
from .parents import ParentReader
from .question import Asked, TestImage, prepare, table_of
from .training_data import Typical, load_description, load_typical

if TYPE_CHECKING:
    from ..methods import Answer, Respond

__all__ = ["TestImage", "World", "load"]


def load(folder: Path | str, seed: int = 0, device: str = "cpu", threads: int = 1) -> "World":
    """Opens the results of a data set, or a bundle. Models are loaded when a question first needs them.

    Arguments:
        folder: The results folder of one data set, such as `results/morphomnist`, or a bundle that
            `counterfactory bundle` wrote; or the name of a bundle of the package, such as `morphomnist`. A folder of
            that name comes first.
        seed: The training seed of the models.
        device: `auto`, `cpu` or `cuda`.
        threads: The number of CPU threads of the networks.

    Raises:
        UserError: If there is no such folder, or it holds no data set or no models.
    """
    return World(folder_of(folder), seed, device, threads)


class World:
    """A data set with its trained methods; returned by :func:`load`.

    Arguments:
        folder: The results folder of one data set, or a bundle.
        seed: The training seed of the models.
        device: `auto`, `cpu` or `cuda`.
        threads: The number of CPU threads of the networks.

    Attributes:
        dataset: The description of the data set.
        methods: The methods that can answer, in the order of the registry.
        read: The function that reads the parents of images.
    """

    def __init__(self, folder: Path, seed: int = 0, device: str = "cpu", threads: int = 1) -> None:
        self.folder, self.seed, self.threads = folder, seed, threads
        self.dataset = load_dataset(folder / "data")
        self.methods = methods_in(folder, seed, self.dataset.simulated)
        if device != "cpu":
            from ..core.device import choose_device

            device = choose_device(device)
        self.device = device
        self.read = ParentReader(self.dataset, folder / "models", device)
        self._loaded: dict[str, Answer] = {}

    def __repr__(self) -> str:
        return f"World({str(self.folder)!r}: {self.dataset.name}, methods {', '.join(self.methods)})"

    @cached_property
    def training(self) -> dict[str, Any]:
        """The ranges of the training data (:func:`counterfactory.api.training_data.describe`)."""
        return load_description(self.folder / "data", self.dataset, attributes_of(self.folder, self.seed))

    @cached_property
    def typical(self) -> Typical:
        """The distribution of the training images."""
        return load_typical(self.folder / "data")

    @cached_property
    def test_split(self) -> Split:
        """The test split.

        Raises:
            UserError: If the folder has none, as a bundle.
        """
        if not (self.folder / "data" / "test" / "images.npy").exists():
            raise UserError(
                f"{self.folder / 'data' / 'test'}: no test images; load the results folder, not a bundle"
            )
        return load_split(self.folder / "data", "test")

    def test(self, row: int) -> TestImage:
        """Returns an image of the test split with its parents.

        Raises:
            UserError: If there is no such row, or no test split.
        """
        test = self.test_split
        if not 0 <= row < len(test.images):
            raise UserError(f"row {row}: the test split has the rows 0 to {len(test.images) - 1}; choose one")
        parents = {name: float(test.attributes[name].iloc[row]) for name in self.dataset.names}
        return TestImage(row, np.array(test.images[row]), parents)

    def question(self, suite: str, number: int) -> dict[str, Any]:
        """Returns the arguments of :meth:`imagine` for one question of a suite.

        `world.imagine(**world.question("do", 17), method="hvae")` is byte for byte the answer of
        `counterfactory answer` to question 17.

        Raises:
            UserError: If there is no such question.
        """
        table = read_table(self.folder / "questions" / f"{suite}.parquet")
        if not 0 <= number < len(table):
            raise UserError(
                f"{suite} {number}: the suite has the questions 0 to {len(table) - 1}; choose one"
            )
        row = table.iloc[number]
        found: dict[str, Any] = {
            "image": self.test(int(row["index"])),
            "do": json.loads(row["steps"]),
            "seed": int(row["seed"]),
            "slot": int(row["question"]),
        }
        if "attribute" in table:
            found["flip"] = {str(row["attribute"]): int(row["target"])}
        return found

    def imagine(
        self,
        image: Any,
        do: Mapping[str, Any] | Sequence[Mapping[str, Any]] | None = None,
        given: Mapping[str, Any] | None = None,
        *,
        flip: str | Mapping[str, int] | None = None,
        method: "str | Respond | None" = None,
        samples: int = 1,
        seed: int = 0,
        slot: int = 0,
        invert: bool = False,
        **dials: Any,
    ) -> Any:
        """Answers a question: what would this image look like, had a variable had another value?

        Arguments:
            image: A path, a PIL image, an array (uint8, or float in [0, 1]), an image of :meth:`test`, or a batch: a
                list of these, or an array (N, H, W), (N, H, W, C) or (N, C, H, W).
            do: The values that variables are set to, in physical units; for a batch also one value per image. Or a list
                of such actions, which are applied one after another. Empty: nothing is set.
            given: Known parents of the image. The others are measured in the pixels or judged.
            flip: The binary attribute to flip, such as `thick`, or a target, such as `{"digit": 7}`. A causal method
                sets the variable of the attribute to the median of the training images on the other side, unless `do`
                is given.
            method: The method; by default the first of `methods` that has trained models and answers such questions. Or
                a function of your own from a batch of questions (:class:`counterfactory.methods.Batch`) to the images
                and the parents afterwards, as :class:`counterfactory.methods.Answer` describes it.
            samples: The number of answers that differ in their noise.
            seed: The seed of the first sample, such as that of a question.
            slot: The number of the question, which determines its place in a batch.
            invert: Whether to exchange black and white first.
            **dials: Settings of the section `answers` to change, such as `residual_temperature=0.1`. Those of the
                method's own section have their name alone. One that the method does not read is refused.

        Returns:
            An :class:`counterfactory.api.answer.Imagined`, or a list of them for a batch.

        Raises:
            UserError: If the image, a name or a value is not valid, a model is missing, or the method does not answer
                such a question or does not read a dial.
        """
        items = split_batch(image)
        if not (isinstance(samples, int) and samples >= 1):
            raise UserError(f"samples: {samples}; choose 1 or more")
        # A function of the caller can answer every question, as `copy` does.
        name = "copy" if callable(method) else self._choose(method, flip is not None)
        if callable(method) and dials:
            raise UserError(f"{next(iter(dials))}: a function has no dials; leave it out, or name a method")
        settings = settings_with(self.folder, self.seed, name, dials)
        asked = prepare(self, items, do, given, flip, name, invert)
        if METHODS[name].simulated and asked.split is not self.test_split:
            raise UserError(f"{name}: renders unchanged test images only; ask about world.test(row)")
        for line in dict.fromkeys(line for lines in asked.warned for line in lines):
            warnings.warn(line, ImagineWarning, stacklevel=2)
        respond = self._load(name, settings)
        if callable(method):
            respond, name = _answering(method), getattr(method, "__name__", "own method")
        images, columns = _answer(respond, asked, table_of(asked, seed, slot, samples), settings, self)
        if not columns.pop("answered").all():
            raise UserError(f"{name}: does not answer this question; choose from {', '.join(self.methods)}")
        answers = []
        for row in range(len(items)):
            own = slice(row * samples, (row + 1) * samples)
            answers.append(
                Imagined(
                    method=name,
                    before=asked.images[row],
                    images=images[own],
                    factual=asked.factual[row],
                    columns={name: values[own] for name, values in columns.items()},
                    names=self.dataset.names,
                    notes=(*asked.notes[row], *asked.warned[row]),
                    read=self.read,
                )
            )
        return answers if is_batch(image) else answers[0]

    def _choose(self, name: str | None, flip: bool) -> str:
        """Returns the method.

        Raises:
            UserError: If it is unknown, not trained, or answers flips only.
        """
        suite = "flip" if flip else "do"
        able = [one for one in self.methods if suite in METHODS[one].suites]
        if name is None:
            trained = [one for one in able if METHODS[one].trained]
            if not trained:
                raise UserError(f"{self.folder}: no method is trained for seed {self.seed}; train one first")
            return trained[0]
        if name not in METHODS:
            raise unknown_name(name, "no such method", able)
        if name not in self.methods:
            needs = (
                ", ".join(f"{model}/seed{self.seed}" for model in models_of(name)) or "a simulated test split"
            )
            raise UserError(
                f"{name}: not among the results in {self.folder} (it needs {needs}); choose from {', '.join(able)}"
            )
        if name not in able:
            raise UserError(
                f"{name}: answers flips only; give flip instead of do, or choose from {', '.join(able)}"
            )
        return name

    def _load(self, method: str, settings: Any) -> "Answer":
        """Returns a loaded method; it is loaded once for the same section `answers`."""
        key = json.dumps([method, settings.model_dump(mode="json")], sort_keys=True)
        if key not in self._loaded:
            from ..methods import load_method

            data, models = self.folder / "data", self.folder / "models"
            self._loaded[key] = load_method(
                method, self.seed, data, models, settings, self.device, self.threads
            )
        return self._loaded[key]


def _answering(function: "Respond") -> "Answer":
    """Returns a method whose answers are those of a function."""
    from ..methods import Answer

    return function if isinstance(function, Answer) else Answer(function)


def _answer(
    respond: "Answer", asked: Asked, table: Any, settings: Any, world: World
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Returns the images and columns of the answers, with the column `answered`."""
    from ..methods.batches import Questions, answer_batch

    questions = Questions(table, settings.batch_size)
    parts = [
        answer_batch(respond, questions, members, world.dataset, asked.split)
        for members in questions.batches()
    ]
    columns = {name: np.concatenate([part.columns[name] for part in parts]) for name in parts[0].columns}
    missing = np.any([np.isnan(columns[name]) for name in world.dataset.names], axis=0)
    columns.setdefault("answered", ~missing)
    return np.concatenate([part.images for part in parts]), columns
