"""Where a metric finds what it needs: the data, the models that judge, its reference, its settings, its device."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Resources"]


@dataclass(frozen=True)
class Resources:
    """What is handed to a metric's `load`; it reads no more than its line in the registry says.

    Arguments:
        settings: The configuration's section `scores`.
        data: The data set's folder.
        models: The folder of the data set's models, laid out as the workflow does.
        seed: The training seed of the method scored; the classifier under observation has the same.
        reference: What the metric's step `compute_reference` wrote, if it has one.
        device: Where networks run: `auto`, `cpu` or `cuda`.
    """

    settings: Any
    data: Path
    models: Path
    seed: int = 0
    reference: Path | None = None
    device: str = "cpu"

    @property
    def judges(self) -> Path:
        """The folder of the judges, one folder a variable."""
        return self.models / "judges"

    @property
    def classifier(self) -> Path:
        """The folder of the classifier under observation."""
        return self.models / "classifier" / f"seed{self.seed}"

    @property
    def oracle(self) -> Path:
        """The folder of the oracle, which tells many attributes at once."""
        return self.models / "oracle"

    @property
    def identity(self) -> Path:
        """The folder of the identity embedding."""
        return self.models / "identity"

    @property
    def lpips(self) -> Path:
        """The folder of the weights of LPIPS."""
        return self.models / "lpips" / self.settings.lpips.net

    @property
    def inception(self) -> Path:
        """The folder of the weights of Inception."""
        return self.models / "inception"
