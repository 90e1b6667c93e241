"""What the marks are called, what they are measured in, and which way is better.

Every table and figure takes its words from here, so that one mark has one name everywhere. Names of marks
are made of a kind and, where it applies, a variable of the causal graph: `predicted_thickness`,
`measured_thickness`, `measured_thickness_truth`, `parents_thickness`, `l1`, `lpips`, `truth_l1`,
`truth_lpips`, `side_intensity`. A mark that is not in the vocabulary is shown under its own name, with no direction.
"""

from dataclasses import dataclass
from typing import Literal

from ..data.dataset import Dataset
from ..methods.registry import METHODS

__all__ = [
    "CEILING",
    "FLOOR",
    "Mark",
    "describe_mark",
    "method_order",
    "method_role",
    "method_title",
    "set_title",
]

FLOOR, CEILING = "copy", "truth"
"""The two that are not methods: one returns its input, the other renders the true counterfactual."""

Better = Literal["lower", "higher", ""]

_ARROWS = {"lower": "↓", "higher": "↑"}
_DECIMALS = {"px": 3, "grey levels": 2}


@dataclass(frozen=True)
class Mark:
    """How one mark is shown.

    Arguments:
        name: Its name in `marks.csv`.
        title: Its short name in a column's head.
        unit: Its unit, or nothing for a share or a distance without one.
        better: Which way is better.
        decimals: How many digits behind the point are shown.
        known: Whether the vocabulary has it.
    """

    name: str
    title: str
    unit: str = ""
    better: Better = ""
    decimals: int = 3
    known: bool = True


_PLAIN = {
    "l1": Mark("l1", "L1", "grey levels", "lower", 2),
    "lpips": Mark("lpips", "LPIPS", "", "lower", 4),
    "truth_l1": Mark("truth_l1", "L1 to truth", "grey levels", "lower", 2),
    "truth_lpips": Mark("truth_lpips", "LPIPS to truth", "", "lower", 4),
    "flip_rate": Mark("flip_rate", "flip rate", "", "higher"),
    "mad": Mark("mad", "MAD", "", "higher"),
    "fva": Mark("fva", "FVA", "", "higher"),
    "fs": Mark("fs", "FS", "", "higher"),
    "mnac": Mark("mnac", "MNAC", "attributes", "lower", 2),
    "mnac_measured": Mark("mnac_measured", "MNAC, measured", "attributes", "lower", 2),
    "cd": Mark("cd", "CD", "", "lower", 2),
    # More is not better: the spread may come from what was not to change.
    "sigma_l": Mark("sigma_l", "σ_L", "LPIPS", "", 4),
    "cout": Mark("cout", "COUT", "", "higher"),
    "oracle_frechet": Mark("oracle_frechet", "Fréchet, oracle", "", "lower", 2),
    "fid": Mark("fid", "FID", "", "lower", 1),
    "sfid": Mark("sfid", "sFID", "", "lower", 1),
    "kid": Mark("kid", "KID", "", "lower", 4),
    "dci_disentanglement": Mark("dci_disentanglement", "disentanglement", "", "higher"),
    "dci_completeness": Mark("dci_completeness", "completeness", "", "higher"),
    "dci_informativeness": Mark("dci_informativeness", "informativeness", "", "higher"),
}


def describe_mark(name: str, dataset: Dataset) -> Mark:
    """Returns how the mark called `name` is shown.

    Arguments:
        name: A mark's name, as in `marks.csv`.
        dataset: The data set; gives variables their units and kinds.
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
            f"parents_{variable.name}": f"{variable.name} error",
        }
        if name in titles:
            return Mark(name, titles[name], unit, better, decimals)
        if name == f"normalised_{variable.name}":
            return Mark(name, f"{variable.name} error", "published units", "lower", 4)
        if continuous and name in (beside := _beside(variable.name)):
            return Mark(name, beside[name], unit, "lower" if name.startswith("side_") else "", decimals)
    return Mark(name, name.replace("_", " "), known=False)


def _beside(variable: str) -> dict[str, str]:
    """Returns the titles of what a flip does to a variable that was not to be flipped."""
    return {
        f"side_{variable}": f"{variable} beside the graph",
        f"moved_{variable}": f"{variable} moved",
        f"due_{variable}": f"{variable} due",
    }


def method_title(name: str) -> str:
    """Returns a method's name as people write it; the role of the floor and the ceiling is told apart from it."""
    title = METHODS[name].title if name in METHODS else name.replace("_", " ")
    return title.removesuffix(f"({method_role(name)})").strip()


def method_role(name: str) -> str:
    """Returns `floor` for `copy`, `ceiling` for `truth`, and `method` for all others."""
    return {FLOOR: "floor", CEILING: "ceiling"}.get(name, "method")


def method_order(names: list[str]) -> list[str]:
    """Returns the distinct `names` in the order of rows: the floor, the methods as they come, the ceiling."""
    distinct = list(dict.fromkeys(names))
    return sorted(distinct, key=lambda name: ("floor", "method", "ceiling").index(method_role(name)))


def set_title(intervention: str) -> str:
    """Returns the name of an intervention, such as `do(thickness)`."""
    return f"do({intervention})" if intervention not in ("", "none") else "null"


def spell_mark(metric: str, dataset: Dataset) -> str:
    """Returns a mark's name with how it was made, its unit and its direction."""
    mark = describe_mark(metric, dataset)
    kinds = {"predicted_": ", predicted", "measured_": ", measured", "parents_": ", own parents"}
    how = next((text for start, text in kinds.items() if metric.startswith(start)), "")
    unit = f" ({mark.unit})" if mark.unit else ""
    arrow = f" {_ARROWS[mark.better]}" if mark.better else ""
    return f"{mark.title}{how}{unit}{arrow}"
