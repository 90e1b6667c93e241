"""Which metrics there are, and what each one needs: names only, nothing heavy is imported.

The configuration checks names against this table and the workflow plans by it. A metric called `x` is the
module `counterfactory.metrics.x`; adding one is that file and a line here.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["METRICS", "Metric"]


@dataclass(frozen=True)
class Metric:
    """What a metric scores, and what it needs besides questions, answers and data.

    Arguments:
        suites: The suites whose answers it scores.
        judges: Whether it asks the judges (predictors trained on the judges' split), one of every variable.
        truth: Whether it compares with the rendered true counterfactuals.
        models: What else it asks: `classifier` (the one under observation, of the method's seed), `oracle`, `identity`,
            or pretrained weights, `lpips` or `inception`.
        reads: The sections of `scores`, or single keys of one, that it reads besides its own.
        reference: Whether it has a step `compute_reference`, which computes once what all methods are held against.
        codes: Whether it scores codes, which few methods have.
        simulated: Whether it asks the world itself, and so scores simulated data sets only.
        scores: Title, unit and better direction (`lower`, `higher` or empty) of its scores by name. The report shows
            a score without an entry here and in `report/vocabulary.py` under its own name.
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


METRICS = {
    "effectiveness": Metric(("do",), judges=True),
    "measured": Metric(("do",), truth=True, simulated=True),
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
}
