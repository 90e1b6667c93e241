"""The metrics: what each one scores and requires, as names only.

The configuration checks metric names against this table and the workflow plans with it. Nothing heavy is imported.
A new metric is one module, `metrics/<name>.py`, and one line in :data:`METRICS`.
:mod:`counterfactory.metrics.run` describes the functions of the module.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..core.plugins import found, is_plugin

__all__ = ["METRICS", "Metric", "module_of"]


@dataclass(frozen=True)
class Metric:
    """One metric: which suites it scores and what it requires besides questions, answers and data.

    Arguments:
        suites: The suites whose answers it scores, keys of :data:`counterfactory.questions.registry.SUITES`.
        judges: Whether it requires the judges of all variables.
        truth: Whether it compares with the rendered true counterfactuals.
        models: The other networks that it requires: `classifier` (whose decisions are flipped, with the seed of the
            method), `oracle`, `identity`, or the pretrained weights `lpips` or `inception`.
        reads: The sections of `scores` in the configuration, or single keys of a section, that it reads besides its
            own.
        reference: Whether it has a function `compute_reference`, which computes statistics that are the same for all
            methods.
        codes: Whether it scores the codes of a method, which few methods have.
        simulated: Whether it requires a simulated data set.
        scores: Title, unit and better direction (`lower`, `higher` or empty) of its scores by name. The report shows
            a score without an entry here and in `report/vocabulary.py` under its own name.
        default: Whether it is computed unless `scores.metrics` says otherwise.
        module: For a metric of another package: the full name of its module, by default that of the entry point.
    """

    suites: tuple[str, ...]
    judges: bool = False
    truth: bool = False
    models: tuple[str, ...] = ()
    reads: tuple[str, ...] = ()
    reference: bool = False
    codes: bool = False
    simulated: bool = False
    scores: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)
    default: bool = True
    module: str = ""


METRICS = {
    "effectiveness": Metric(("do",), judges=True, reads=("bootstrap",)),
    "measured": Metric(("do",), truth=True, reads=("effectiveness",), simulated=True),
    "axioms": Metric(("null", "reverse")),
    "truth": Metric(("do",), truth=True),
    "lpips": Metric(("do", "null", "reverse"), truth=True, models=("lpips",)),
    "flip": Metric(("flip",), models=("classifier",)),
    "identity": Metric(("flip",), models=("classifier", "identity")),
    "mnac": Metric(("flip",), models=("classifier", "oracle")),
    "correlation": Metric(("flip",), models=("classifier", "oracle"), reads=("bootstrap",), reference=True),
    "diversity": Metric(("flip",), models=("classifier", "lpips"), reads=("lpips.net",)),
    "cout": Metric(("flip",), models=("classifier",)),
    "oracle_frechet": Metric(("flip",), models=("classifier", "oracle"), reads=("bootstrap",)),
    "fid": Metric(("flip",), models=("classifier", "inception"), reference=True),
    "graph_consistency": Metric(("flip",), models=("classifier",), simulated=True),
    "dci": Metric(("null",), codes=True),
    # Metrics of published benchmarks, which are computed where scores.metrics names them.
    "minimality": Metric(("do",), scores={"minimality": ("minimality (CLD)", "", "lower")}, default=False),
    "composition_embeddings": Metric(
        ("null",),
        judges=True,
        models=("lpips",),
        reads=("lpips.net",),
        scores={
            "composition_judges": ("composition, judges", "embedding", "lower"),
            "composition_vgg": ("composition, VGG", "embedding", "lower"),
        },
        default=False,
    ),
    "do_fid": Metric(
        ("do",),
        models=("inception",),
        reference=True,
        scores={"do_fid": ("FID to the train split", "", "lower")},
        default=False,
    ),
    "cf_variance": Metric(
        ("flip",),
        scores={
            "cf_variance": ("variance over repeats", "", ""),
            "cf_std": ("deviation over repeats", "grey levels", ""),
        },
        default=False,
    ),
}

METRICS |= found("counterfactory.metrics", METRICS, Metric)


def module_of(metric: str) -> str:
    """Returns the module of a metric: relative to the package, such as `metrics.fid`, or of another package."""
    module = METRICS[metric].module
    return module if is_plugin(module) else f"metrics.{metric}"
