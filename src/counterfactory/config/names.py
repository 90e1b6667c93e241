"""Defines the types of names: a name that a registry lists must be one of these.

Names of variables depend on the data set, which may depend on the configuration. They are checked with it
(:mod:`counterfactory.config.question_checks`).
"""

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

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

VariableName = Annotated[str, Field(min_length=1, max_length=60)]
Intervention = VariableName
"""The name of a variable, or `random`."""

if TYPE_CHECKING:
    DatasetName = str
    GeneratorName = str
    KernelName = str
    MethodName = str
    MetricName = str
    SamplerName = str
else:
    DatasetName = Literal[*DATASETS]
    GeneratorName = Literal[*GENERATORS]
    KernelName = Literal[*KERNELS]
    MethodName = Literal[*METHODS]
    MetricName = Literal[*METRICS]
    SamplerName = Literal[*SAMPLERS]
