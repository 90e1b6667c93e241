"""Which metrics there are, and what each one needs: names only, nothing heavy is imported.

The configuration checks names against this table and the workflow plans by it. A metric called `x` is the
module `counterfactory.metrics.x`; adding one is that file and a line here.
"""

from dataclasses import dataclass

__all__ = ["METRICS", "Metric"]


@dataclass(frozen=True)
class Metric:
    """What a metric marks, and what it needs besides questions, answers and data.

    Arguments:
        suites: The suites whose answers it marks.
        judges: The variables whose judges (predictors trained on the judges' split) it asks.
        truth: Whether it compares with the rendered true counterfactuals.
        weights: Whether it needs pretrained weights.
    """

    suites: tuple[str, ...]
    judges: tuple[str, ...] = ()
    truth: bool = False
    weights: bool = False


METRICS = {
    "effectiveness": Metric(("do",), judges=("thickness", "intensity", "digit")),
    "measured": Metric(("do",), truth=True),
    "axioms": Metric(("null", "reverse")),
    "truth": Metric(("do",), truth=True),
    "lpips": Metric(("do", "null", "reverse"), truth=True, weights=True),
}
