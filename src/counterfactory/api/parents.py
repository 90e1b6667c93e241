"""Reads the parents of an image: measured in its pixels where the world can measure them, else judged."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..core.errors import UserError
from ..data.dataset import Dataset
from ..data.worlds import world
from .answer import Parent

__all__ = ["ParentReader"]


class ParentReader:
    """Reads the parents of images; loads the judges when they are first needed.

    Arguments:
        dataset: The data set.
        models: The folder of its models.
        device: The device of the judges.
    """

    def __init__(self, dataset: Dataset, models: Path, device: str) -> None:
        self.dataset, self.models, self.device = dataset, models, device
        self._judges: dict[str, object] = {}

    def __call__(
        self, images: np.ndarray, given: Mapping[str, np.ndarray] | None = None
    ) -> list[dict[str, Parent]]:
        """Returns the parents of each image, in the order of the variables.

        Arguments:
            images: Uint8 (N, C, H, W).
            given: Known parents in physical units, each (N,); the others are read.

        Raises:
            UserError: If a variable can neither be measured nor judged.
        """
        known = dict(given or {})
        values, sources = dict(known), dict.fromkeys(known, "given")
        missing = [name for name in self.dataset.names if name not in known]
        measured = self._measure(images, missing)
        values |= measured
        sources |= dict.fromkeys(measured, "measured")
        missing = [name for name in missing if name not in measured]
        # A judge whose inputs are other variables comes after the judges of these.
        for name in sorted(missing, key=lambda name: len(self._judge(name).context)):  # type: ignore[attr-defined]
            judge = self._judge(name)
            unread = [one.name for one in judge.context if one.name not in values]  # type: ignore[attr-defined]
            if unread:
                raise UserError(f"{name}: its judge requires {', '.join(unread)}; give {name}, or give these")
            values[name] = judge(images, values)  # type: ignore[operator]
            sources[name] = "judged"
        units = {variable.name: variable.unit for variable in self.dataset.variables}
        return [
            {
                name: Parent(float(values[name][row]), sources[name], units[name])
                for name in self.dataset.names
            }
            for row in range(len(images))
        ]

    def _measure(self, images: np.ndarray, names: list[str]) -> dict[str, np.ndarray]:
        """Returns the measurements of those variables that can be measured in every image."""
        simulation = world(self.dataset.name) if self.dataset.simulated and names else None
        if simulation is None:
            return {}
        table, blank = simulation.measure(images), getattr(simulation, "BLANK", {})
        found = {}
        for name in names:
            if name in table:
                values = table[name].to_numpy(np.float64)
                values = np.where(np.isnan(values), blank.get(name, np.nan), values)
                if not np.isnan(values).any():
                    found[name] = values
        return found

    def _judge(self, name: str) -> object:
        if name not in self._judges:
            folder = self.models / "judges" / name
            if not (folder / "model.safetensors").exists():
                raise UserError(
                    f"{folder}: no such judge, so {name} cannot be read in the image; give its value"
                )
            from ..models.judges.model import load_judge

            self._judges[name] = load_judge(folder, self.device, f"judge of {name}")
        return self._judges[name]
