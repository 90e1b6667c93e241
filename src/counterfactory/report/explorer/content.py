"""Collects the inputs of the explorer: test images, their true counterfactuals, and the networks as graphs.

True counterfactuals are rendered in advance, because a browser cannot render them: for each test image that can be
chosen and each variable, at all classes or :data:`VALUES` evenly spaced values. Without a runtime for networks, the
page holds the answers of the methods at the same values instead.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ...core.errors import UserError
from ...core.noise import derive_seed
from ...data.dataset import Dataset, Split, load_split
from ...data.variable import Variable
from ...methods import load_method
from ...methods.batches import answer_questions
from ...methods.registry import METHODS
from ..vocabulary import CEILING, method_title
from .blobs import sheet
from .moments import MOST_LATENTS, packed_moments

__all__ = [
    "EXAMPLES",
    "VALUES",
    "Models",
    "answers_at_values",
    "described",
    "examples",
    "networks",
    "not_exported",
    "temperatures",
]

EXAMPLES, VALUES = 24, 11
"""The number of test images that can be chosen, and of values of each continuous variable."""

SIZE = 4_000_000
"""The largest size of all graphs of image mechanisms in bytes; a mechanism that would exceed it is left out."""


@dataclass(frozen=True)
class Models:
    """The trained models and the settings of their answers.

    Arguments:
        data: The folder of the data set.
        models: The folder of the models.
        methods: The methods of the run.
        seed: The training seed.
        settings: The section `answers`.
    """

    data: Path
    models: Path
    methods: Sequence[str]
    seed: int
    settings: Any

    @property
    def mechanisms(self) -> list[str]:
        """The methods that answer with an image mechanism; of several that differ in dials only, the plain one."""
        found: dict[tuple[str, ...], str] = {}
        for name in self.methods:
            if METHODS[name].module == "dscm":
                other = found.setdefault(METHODS[name].models, name)
                if METHODS[other].section and not METHODS[name].section:
                    found[METHODS[name].models] = name
        return list(found.values())


def described(dataset: Dataset) -> dict[str, Any]:
    """Returns the variables, the causal edges and the shape of the images."""
    return {
        "name": dataset.name,
        "shape": list(dataset.shape),
        "edges": [list(edge) for edge in dataset.edges],
        "variables": [
            {
                "name": variable.name,
                "kind": variable.kind,
                "unit": variable.unit,
                "low": variable.low,
                "high": variable.high,
                "classes": variable.classes,
                "names": list(getattr(variable, "names", ())),
                "values": values_of(variable),
            }
            for variable in dataset.variables
        ],
    }


def values_of(variable: Variable) -> list[float]:
    """Returns the values at which true counterfactuals are rendered: all classes, or evenly spaced values."""
    if variable.kind == "categorical":
        return [float(k) for k in range(variable.classes)]
    return [float(f"{value:.6g}") for value in np.linspace(variable.low, variable.high, VALUES)]


def examples(dataset: Dataset, test: Split) -> np.ndarray:
    """Returns the rows of the test images that can be chosen, evenly spaced and of all classes."""
    rows = np.arange(len(test.images))
    first = next((one.name for one in dataset.variables if one.kind == "categorical"), None)
    if first is not None:
        # In the order 0, 1, ..., 9, 0, 1, ...: the k-th image of every class before the next one of any.
        labels = test.attributes[first].to_numpy(np.int64)
        turn = pd.Series(labels).groupby(labels).cumcount().to_numpy()
        rows = np.lexsort((labels, turn))
    return rows[:EXAMPLES]


def answers_at_values(
    method: str, models: Models, dataset: Dataset, rows: np.ndarray
) -> tuple[bytes, list[bool], list[list[float]]] | None:
    """Answers questions that set one variable of one example to one of its values.

    Arguments:
        method: The method.
        models: Its models.
        dataset: The data set.
        rows: The rows of the examples.

    Returns:
        A sheet of the answers in the order example, variable, value; which questions were answered; and the parents
        afterwards. None if the method answers no question.
    """
    test = load_split(models.data, "test")
    asked = [
        (int(row), json.dumps([{variable.name: value}]))
        for row in rows
        for variable in dataset.variables
        for value in (
            [int(v) for v in values_of(variable)] if variable.kind == "categorical" else values_of(variable)
        )
    ]
    table = pd.DataFrame(asked, columns=["index", "steps"])
    table["question"] = np.arange(len(table))
    table["seed"] = [derive_seed(0, "explorer", int(row)) for row in table["index"]]
    respond = load_method(method, models.seed, models.data, models.models, models.settings)
    images, columns, _ = answer_questions(
        respond, table, dataset, test, models.settings.batch_size, f"answer {method} for the explorer"
    )
    parents = np.stack([columns[name] for name in dataset.names], 1)
    answered = ~np.isnan(parents).any(1)
    if not answered.any():
        return None
    listed = [[float(f"{value:.5g}") for value in row] for row in np.nan_to_num(parents)]
    return sheet(images, 0 if method == CEILING else 90), answered.tolist(), listed


def networks(models: Models, dataset: Dataset) -> tuple[dict[str, Any], dict[str, bytes], dict[str, str]]:
    """Returns the networks of the page.

    Returns:
        Their description; their data by name, which are `graph-parents`, `graph-<method>`, `moments-<method>` (the
        moments of a transport) and `graph-judge-<variable>`; and for each method without a graph the reason.
    """
    from ...models.image.model import load_image_mechanism
    from ...models.judges.model import load_judge
    from ...scm.fit import load_scm
    from .export import export_judge, export_mechanism, export_parents

    data: dict[str, bytes] = {}
    found: dict[str, Any] = {"methods": [], "judges": []}
    left_out: dict[str, str] = {}
    clipped = models.settings.residual == "clipped"
    for method in models.mechanisms:
        [name] = METHODS[method].models
        mechanism = load_image_mechanism(models.models / name / f"seed{models.seed}", dataset, "cpu", name)
        size = sum(int(np.prod(shape)) for shape in mechanism.noise_shapes)
        own, transport = {}, None
        if mechanism.transport is not None:
            if size > MOST_LATENTS:
                left_out[method] = (
                    f"models.{name}.network.transport moves {size} latents, too many for a browser"
                )
                continue
            transport, own[f"moments-{method}"] = packed_moments(mechanism.transport)
        own[f"graph-{method}"] = export_mechanism(mechanism, dataset.width, clipped)
        if sum(map(len, [*data.values(), *own.values()])) > SIZE:
            left_out[method] = "its network is too large for this page"
            continue
        data |= own
        found["methods"].append(
            {"name": method, "title": _network_title(method), "noise": size, "mediated": mechanism.mediated}
            | {"dials": temperatures(models.settings, method), "transport": transport}
        )
    if not data:
        return found, {}, left_out
    data["graph-parents"] = export_parents(load_scm(models.models / "scm" / f"seed{models.seed}", dataset))
    for variable in dataset.variables:
        try:
            judge = load_judge(models.models / "judges" / variable.name, "cpu")
        except UserError:
            continue  # the run has no judge of this variable; the reader enters its value
        if not judge.context:
            data[f"graph-judge-{variable.name}"] = export_judge(judge.model, dataset)
            found["judges"].append(variable.name)
    return found, data, left_out


def not_exported(settings: Any) -> str:
    """Returns why the graphs cannot give the answers of the run: a setting that they do not support; else ``""``."""
    if settings.effect != "direct":
        return f"the setting answers.effect: {settings.effect} is not available in a browser"
    return ""


def temperatures(settings: Any, method: str) -> dict[str, float]:
    """Returns the temperatures with which a method answers, as :mod:`counterfactory.methods.dscm` reads them.

    Arguments:
        settings: The section `answers`.
        method: A method of the run with an image mechanism.
    """
    found = {name: getattr(settings, name) for name in ("residual_temperature", "latent_temperature")}
    [model] = METHODS[method].models
    own = settings.temperatures.get(model)
    if own is not None:
        both = {"latent_temperature": own.latents, "residual_temperature": own.residual}
        found |= {name: value for name, value in both.items() if value is not None}
    if section := METHODS[method].section:
        found["residual_temperature"] = getattr(settings, section).residual_temperature
    return {name: float(value) for name, value in found.items()}


def _network_title(method: str) -> str:
    """Returns the title of the image mechanism of a method: that of the method without dials of its own."""
    models = METHODS[method].models
    plain = [name for name, one in METHODS.items() if one.models == models and one.module == "dscm"]
    return method_title(min(plain, key=lambda name: bool(METHODS[name].section)))
