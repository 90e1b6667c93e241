"""Names of the tables and figures that a configuration produces, computed without any data.

The workflow declares these files as outputs. A table or figure without content is still written: its file then
states the reason (:func:`empty_reason`).
"""

from collections.abc import Collection, Iterable
from typing import Any

from ..data.registry import entry_of
from ..methods.registry import METHODS
from ..metrics.registry import METRICS

__all__ = ["empty_reason", "figure_names", "table_names"]


def table_names(
    settings: Any,
    suites: Collection[str],
    metrics: Collection[str],
    queries: Iterable[str] = (),
    structure: bool = False,
    spread: bool = False,
) -> list[str]:
    """Returns the names of all tables of a configuration, in the order of reading.

    Arguments:
        settings: The whole configuration.
        suites: The suites with at least one question.
        metrics: The metrics that are computed.
        queries: The queries that are answered.
        structure: Whether images are drawn from generators.
        spread: Whether the scores of several trainings that are part of the release are of this configuration.
    """
    queries = list(queries)
    scored = {suite for name in metrics for suite in METRICS[name].suites if suite in suites}
    needed = {model for name in metrics for model in METRICS[name].models}
    names = ["headline", "main", "distance"]
    if spread:
        names += ["spread"] + ["spread_flip"] * ("flip" in scored)
    if "do" in scored:
        names += [f"do_{what}" for what in settings.questions.do.names]
    if "reverse" in scored:
        names.append("reversibility")
    if any(METRICS[name].codes for name in metrics):
        names.append("codes")
    if "flip" in scored:
        flipped = settings.questions.flip.attributes
        names += ["flip"] * (len(flipped) > 1) + [f"flip_{what}" for what in flipped]
    if "graph_consistency" in metrics:
        names.append("graph")
    if any(METRICS[name].judges for name in metrics):
        names.append("judges")
    if "identity" in needed or queries:
        names.append("identity")
    if any(METHODS[name].scm for name in settings.methods):
        names.append("mechanisms")
    names += [f"query_{name}" for name in queries]
    names += ["structure", "structure_attributes"] * structure
    names += ["published", "cost"] + ["explanations_cost"] * ("flip" in suites)
    return names


def figure_names(
    settings: Any,
    suites: Collection[str],
    metrics: Collection[str],
    queries: Iterable[str] = (),
    structure: bool = False,
) -> list[str]:
    """Returns the names of all figures of a configuration, in the order of reading; arguments of `table_names`."""
    names = ["distance"]
    if "sweep" in suites:
        names += [f"sweep_{variable}" for variable in entry_of(settings.dataset, settings.data).classes]
    if {"effectiveness", "measured"} & set(metrics) and "do" in suites:
        names.append("effectiveness")
    if "flip" in suites:
        names += [f"flip_{what}" for what in settings.questions.flip.attributes]
        names += ["graph"] * ("graph_consistency" in metrics)
        names += ["explanations_scale", "explanations_quality", "explanations_worst"]
    names += ["queries", "query_grids"] * bool(list(queries))
    names += ["structure"] * structure
    return [*names, "training", "training_time", "cost"]


_REASONS = {
    "codes": "no method of this run returned codes",
    "cost": "no answer was made, so no cost was recorded",
    "distance": "no score separates the floor from the ceiling; both copy and truth must be among the methods",
    "effectiveness": "no method was scored under an intervention",
    "explanations_cost": "no question of the suite flip was answered",
    "explanations_quality": "no explanation was scored that calls a network",
    "explanations_scale": "no method of this run searches a classifier scale",
    "explanations_worst": "no explanation was made",
    "flip": "fewer than two attributes have a true counterfactual, so there is no mean over attributes",
    "graph": "no answer flipped, so no change of other variables was measured",
    "identity": "the identity network is a published one and was not verified in this run",
    "main": "no score was computed",
    "published": "no published values exist for this data set",
    "queries": "no query was answered",
    "query_grids": "no query was answered",
    "spread": "no method of this run is among those whose variation over trainings was measured for the release",
    "sweep": "no method answered the suite sweep for this variable",
    "training": "no network was trained in this run",
    "training_time": "no image mechanism was trained in this run",
}


def empty_reason(name: str) -> str:
    """Returns why the table or figure `name` has no content."""
    return _REASONS.get(name) or _REASONS.get(name.partition("_")[0]) or "no score of this run belongs here"
