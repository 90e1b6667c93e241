"""Defines the types of names that a registry lists: a value must be one of these names."""

from typing import TYPE_CHECKING, Literal

from ..data.registry import DATASETS
from ..esm.registry import GENERATORS, KERNELS, SAMPLERS
from ..methods.registry import METHODS
from ..metrics.registry import METRICS

__all__ = [
    "DatasetName",
    "GeneratorName",
    "Intervention",
    "KernelName",
    "MethodName",
    "MetricName",
    "SamplerName",
    "VariableName",
]

# Names of all data sets. The cross checks refuse those that the chosen data set does not have.
VARIABLES = tuple(dict.fromkeys(name for entry in DATASETS.values() for name in entry.classes))

if TYPE_CHECKING:
    DatasetName = str
    GeneratorName = str
    Intervention = str
    KernelName = str
    MethodName = str
    MetricName = str
    SamplerName = str
    VariableName = str
else:
    DatasetName = Literal[*DATASETS]
    GeneratorName = Literal[*GENERATORS]
    Intervention = Literal[*VARIABLES, "random"]
    KernelName = Literal[*KERNELS]
    MethodName = Literal[*METHODS]
    MetricName = Literal[*METRICS]
    SamplerName = Literal[*SAMPLERS]
    VariableName = Literal[*VARIABLES]
