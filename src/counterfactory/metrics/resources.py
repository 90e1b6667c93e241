"""Where a metric finds its settings, the data, the models and its reference statistics, and how it runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..config import ScoresSettings

__all__ = ["Resources"]


@dataclass(frozen=True)
class Resources:
    """The settings, folders, seed and device of one metric.

    A metric may read only what its line in :data:`counterfactory.metrics.registry.METRICS` declares.

    Arguments:
        settings: The section `scores` of the configuration.
        data: The folder of the data set.
        models: The folder of all models of the data set.
        seed: The training seed of the methods; the classifier whose decisions are flipped has the same seed.
        reference: The file that `compute_reference` of the metric wrote, if the metric has that function.
        device: The device of networks: `auto`, `cpu` or `cuda`.
        threads: The number of CPU threads of networks.
    """

    settings: "ScoresSettings"
    data: Path
    models: Path
    seed: int = 0
    reference: Path | None = None
    device: str = "cpu"
    threads: int = 1

    @property
    def judges(self) -> Path:
        """The folder of the judges, with one folder per variable."""
        return self.models / "judges"

    @property
    def classifier(self) -> Path:
        """The folder of the classifier whose decisions are flipped."""
        return self.models / "classifier" / f"seed{self.seed}"

    @property
    def oracle(self) -> Path:
        """The folder of the oracle, which predicts all attributes."""
        return self.models / "oracle"

    @property
    def identity(self) -> Path:
        """The folder of the identity network."""
        return self.models / "identity"

    @property
    def lpips(self) -> Path:
        """The folder of the weights of LPIPS."""
        return self.models / "lpips" / self.settings.lpips.net

    @property
    def inception(self) -> Path:
        """The folder of the weights of Inception."""
        return self.models / "inception"
