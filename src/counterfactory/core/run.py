"""Where one training reads and writes, and how it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Run"]


@dataclass(frozen=True)
class Run:
    """The folders, seed and device of one training.

    Arguments:
        name: The model's name, as in :data:`counterfactory.models.registry.MODELS`; for a model of one variable
            `<model>/<variable>`.
        data: The folder of the data set.
        models: The folder of all models of the data set.
        out: The folder of this model.
        seed: The training seed.
        device: `auto`, `cpu` or `cuda`.
        attributes: The section `attributes` of the configuration, for models that predict binary attributes.
    """

    name: str
    data: Path
    models: Path
    out: Path
    seed: int = 0
    device: str = "cpu"
    attributes: Mapping[str, Any] | None = None
