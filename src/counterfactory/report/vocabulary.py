"""Titles, units and directions of scores, and titles and roles of methods, as shown in tables and figures.

The name of a score consists of a kind and, where it applies, a variable of the causal graph: `predicted_thickness`,
`measured_thickness`, `measured_thickness_truth`, `parents_thickness`, `l1`, `lpips`, `truth_l1`, `truth_lpips`,
`inconsistency_intensity`. A score that is neither here nor in the field `scores` of its metric in
:mod:`counterfactory.metrics.registry` is shown under its own name, without unit and direction.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from ..data.dataset import Dataset, Variable
from ..data.wording import value_words
from ..methods.registry import METHODS
from ..metrics.registry import METRICS
from ..questions.registry import EQUALS, JOINED

__all__ = [
    "CEILING",
    "FLOOR",
    "Score",
    "action_words",
    "change_words",
    "describe_score",
    "fact_words",
    "flip_title",
    "known_variable",
    "method_order",
    "method_role",
    "method_title",
    "set_title",
    "spell_score",
]

FLOOR, CEILING = "copy", "truth"
"""The two reference methods: `copy` returns its input, `truth` renders the true counterfactual."""

Better = Literal["lower", "higher", ""]

_ARROWS = {"lower": "↓", "higher": "↑"}
_DECIMALS = {"px": 3, "grey levels": 2}


@dataclass(frozen=True)
class Score:
    """How one score is shown.

    Arguments:
        name: Its name in `scores.csv`.
        title: Its short title, used as the heading of a column.
        unit: Its unit; empty for a share or a distance without a unit.
        better: The direction of improvement; empty if there is none.
        decimals: The number of decimals.
    """

    name: str
    title: str
    unit: str = ""
    better: Better = ""
    decimals: int = 3


_PLAIN = {
    "l1": Score("l1", "L1", "grey levels", "lower", 2),
    "lpips": Score("lpips", "LPIPS", "", "lower", 4),
    "truth_l1": Score("truth_l1", "L1 to truth", "grey levels", "lower", 2),
    "truth_lpips": Score("truth_lpips", "LPIPS to truth", "", "lower", 4),
    "flip_rate": Score("flip_rate", "flip rate", "", "higher"),
    "mad": Score("mad", "MAD", "", "higher"),
    "fva": Score("fva", "FVA", "", "higher"),
    "fs": Score("fs", "FS", "", "higher"),
    "mnac": Score("mnac", "MNAC", "attributes", "lower", 2),
    "mnac_measured": Score("mnac_measured", "MNAC, measured", "attributes", "lower", 2),
    "cd": Score("cd", "CD", "", "lower", 2),
    # No direction: the diversity may come from changes of variables that should stay the same.
    "sigma_l": Score("sigma_l", "σ_L", "LPIPS", "", 4),
    "cout": Score("cout", "COUT", "", "higher"),
    "oracle_frechet": Score("oracle_frechet", "Fréchet, oracle", "", "lower", 2),
    "fid": Score("fid", "FID", "", "lower", 1),
    "sfid": Score("sfid", "sFID", "", "lower", 1),
    "kid": Score("kid", "KID", "", "lower", 4),
    "dci_disentanglement": Score("dci_disentanglement", "disentanglement", "", "higher"),
    "dci_completeness": Score("dci_completeness", "completeness", "", "higher"),
    "dci_informativeness": Score("dci_informativeness", "informativeness", "", "higher"),
}


def describe_score(name: str, dataset: Dataset) -> Score:
    """Returns how a score is shown.

    Arguments:
        name: The name of the score, as in `scores.csv`.
        dataset: The data set, for the units and kinds of its variables.
    """
    if name in _PLAIN:
        return _PLAIN[name]
    for variable in dataset.variables:
        continuous = variable.kind == "continuous"
        unit, decimals = (variable.unit, _DECIMALS.get(variable.unit, 3)) if continuous else ("", 3)
        better: Better = "lower" if continuous else "higher"
        titles = {
            f"predicted_{variable.name}": f"{variable.name} {'error' if continuous else 'accuracy'}",
            f"measured_{variable.name}": f"{variable.name} to target",
            f"measured_{variable.name}_truth": f"{variable.name} to truth",
            f"parents_{variable.name}": f"{variable.name} {'error' if continuous else 'accuracy'}",
        }
        if name in titles:
            return Score(name, titles[name], unit, better, decimals)
        if name == f"normalised_{variable.name}":
            return Score(name, f"{variable.name} error", "published units", "lower", 4)
        for kind, title in (("f1", "F1"), ("balanced_accuracy", "balanced accuracy")):
            if name == f"{kind}_{variable.name}":
                return Score(name, f"{variable.name} {title}", "", "higher")
        if name == f"inconsistency_{variable.name}":
            return Score(name, f"{variable.name} inconsistency", unit, "lower", decimals)
        if name == f"moved_{variable.name}":
            return Score(name, f"{variable.name} change", unit, "", decimals)
        if name == f"due_{variable.name}":
            return Score(name, f"{variable.name} true change", unit, "", decimals)
    for metric in METRICS.values():
        if name in metric.scores:
            title, unit, direction = metric.scores[name]
            return Score(name, title, unit, direction)  # type: ignore[arg-type]
    return Score(name, name.replace("_", " "))


def method_title(name: str) -> str:
    """Returns the title of a method, without the role of the floor and the ceiling."""
    title = METHODS[name].title if name in METHODS else name.replace("_", " ")
    return title.removesuffix(f"({method_role(name)})").strip()


def method_role(name: str) -> str:
    """Returns `floor` for `copy`, `ceiling` for `truth`, and `method` for all others."""
    return {FLOOR: "floor", CEILING: "ceiling"}.get(name, "method")


def method_order(names: list[str]) -> list[str]:
    """Returns the distinct `names` in the order of rows: floor, methods in order of appearance, ceiling."""
    distinct = list(dict.fromkeys(names))
    return sorted(distinct, key=lambda name: ("floor", "method", "ceiling").index(method_role(name)))


def set_title(intervention: str, dataset: Dataset | None = None) -> str:
    """Returns the title of an intervention: `do(thickness)`, `do(thickness, intensity)` or `do(thickness = 4)`.

    Arguments:
        intervention: The name of the intervention.
        dataset: The data set, whose classes have names (`do(season = spring)`); None: a fixed value is a number.
    """
    name, fixed, value = intervention.partition(EQUALS)
    variable = known_variable(name, dataset) if fixed and dataset is not None else None
    if variable is not None and variable.names:
        return f"do({name} = {value_words(variable, float(value))})"
    what = intervention.replace(JOINED, ", ").replace(EQUALS, " = ")
    return f"do({what})" if intervention not in ("", "none") else "null"


def action_words(action: Mapping[str, float], dataset: Dataset) -> str:
    """Returns the values that an action sets in words, such as `thickness = 2.82, season = spring`."""
    parts = []
    for name, value in action.items():
        variable = known_variable(name, dataset)
        named = variable is not None and variable.names
        parts.append(f"{name} = {value_words(variable, value) if variable and named else f'{value:.4g}'}")
    return ", ".join(parts) or "nothing"


def known_variable(name: str, dataset: Dataset) -> Variable | None:
    """Returns the variable or label called `name`; None if it is another name, such as that of a binary attribute."""
    return next((one for one in (*dataset.variables, *dataset.labels) if one.name == name), None)


def flip_title(name: str, dataset: Dataset) -> str:
    """Returns what a flip requires: `another season`, `holes flipped`, or `the opposite of thick` of an attribute.

    Arguments:
        name: What is flipped: a variable, a label, or a binary attribute.
        dataset: The data set.
    """
    variable = known_variable(name, dataset)
    if variable is None or not variable.classes:
        return f"the opposite of {name}"
    return f"another {name}" if variable.classes > 2 else f"{name} flipped"


def change_words(name: str, label: int, target: int, dataset: Dataset) -> str:
    """Returns a required change in words: `autumn → summer`, `yes → no`, `7 → 3`; `thick → not` of an attribute.

    Arguments:
        name: What is flipped: a variable, a label, or a binary attribute.
        label: The present class.
        target: The required class.
        dataset: The data set.
    """
    variable = known_variable(name, dataset)
    if variable is None or not variable.classes or (variable.classes == 2 and not variable.names):
        return f"{name} → not" if label == 1 else f"not → {name}"
    return f"{value_words(variable, label)} → {value_words(variable, target)}"


def fact_words(name: str, value: float, variable: Variable | None) -> str:
    """Returns a fact in words: `digit 3`, `thick`, `not thick`, `smiling`, `sex female`.

    Arguments:
        name: The name of a variable, a label or a binary attribute.
        value: Its value.
        variable: The declaration of the variable or label; None for an attribute.
    """
    text = name.replace("_", " ")
    if variable is None or (variable.classes == 2 and variable.names in ((), ("no", "yes"))):
        return text if value else f"not {text}"
    return f"{text} {value_words(variable, value)}"


def spell_score(metric: str, dataset: Dataset) -> str:
    """Returns the title of a score with its source (predicted, measured, own parents), unit and direction."""
    score = describe_score(metric, dataset)
    kinds = {"predicted_": ", predicted", "measured_": ", measured", "parents_": ", own parents"}
    source = next((text for start, text in kinds.items() if metric.startswith(start)), "")
    unit = f" ({score.unit})" if score.unit else ""
    arrow = f" {_ARROWS[score.better]}" if score.better else ""
    return f"{score.title}{source}{unit}{arrow}"
