"""Returns the defaults that a data set declares, such as its interventions, attributes and queries.

They take precedence over the built-in default of a key. The section `training` and the user's own keys take precedence
over them. :class:`counterfactory.data.registry.DatasetEntry` is the declaration; what it leaves out is derived from its
variables.
"""

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from ..core.errors import UserError
from ..data.registry import DATASETS, DEFAULT_DATASET, DatasetEntry, entry_of
from ..data.variable import SPLITS
from ..methods.registry import METHODS
from ..metrics.registry import METRICS
from ..models.image.limits import transports
from .data import DataSettings
from .sections import Section
from .settings import Settings

__all__ = ["dataset_defaults", "declared_paths"]

HVAE = "models.hvae.network"
ASKED = 0.9
"""The share of the test images that a suite uses at most by default: rows with faults may be left out."""

TRAINED = 0.7
"""The share of the judges' images that a batch has at most by default."""


def dataset_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the default of each key that depends on the data set, by the path of the key.

    Arguments:
        given: The user's configuration, not yet validated. Its data set, what it flips and its image size are read.

    Returns:
        Values by path, such as `{"questions.do.interventions": ["angle", "random"]}`. An unknown data set has those of
        the default one.
    """
    name = given.get("dataset", DEFAULT_DATASET)
    entry = _entry(name, given.get("data"))
    flips = _flips(entry, given)
    # A published identity network needs no identities.
    known = _at(given, "identity.network.name", "trained") != "trained"
    return {
        "methods": [
            name
            for name, method in METHODS.items()
            if method.default
            and (entry.simulated or not method.simulated)
            and (flips or set(method.suites) != {"flip"})
        ],
        "data.image_size": entry.size or Settings.model_fields["data"].default.image_size,
        "attributes": {name: {"of": of, "above": above} for name, (of, above) in entry.attributes.items()},
        "questions.do.interventions": [*entry.classes, "random"],
        "questions.reverse.interventions": list(entry.classes),
        "questions.flip.attributes": list(entry.flips),
        **{path: list(entry.exposure) for path in _exposures()},
        **_resolutions(entry, given),
        **_corrections(entry, given),
        "scores.metrics": [
            name
            for name, metric in METRICS.items()
            if metric.default
            and (entry.simulated or not metric.simulated)
            and ("identity" not in metric.models or known or entry.simulated or entry.identities)
        ],
        "queries.by_name": {name: _query(query) for name, query in entry.queries.items()},
        "report.title": f"Counterfactuals on {entry.title or name}",
        **_of_sizes(entry.sizes),
        **entry.settings,
    }


@cache
def declared_paths() -> frozenset[str]:
    """Returns the paths of the keys whose default depends on the data set."""
    paths = set(dataset_defaults({})) | {f"{HVAE}.resolutions"} | set(_counted())
    return frozenset(paths.union(*(entry.settings for entry in DATASETS.values())))


def _entry(name: Any, section: Any) -> DatasetEntry:
    """Returns the declaration of a data set; what an invalid configuration declares is reported later."""
    if not isinstance(name, str) or name not in DATASETS:
        return DATASETS[DEFAULT_DATASET]
    if not DATASETS[name].declare:
        return DATASETS[name]
    try:
        return entry_of(name, DataSettings.model_validate_json(json.dumps(section or {}), strict=True))
    except (UserError, ValidationError, TypeError, ValueError, RecursionError):
        return DATASETS[name]


def _flips(entry: DatasetEntry, given: Mapping[str, Any]) -> bool:
    """Returns whether anything is flipped."""
    own = _at(given, "questions.flip.attributes")
    return bool(entry.flips if own is None else own)


def _resolutions(entry: DatasetEntry, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the resolutions of the hierarchical VAE for another image size or patch than those of its default."""
    network = Settings.model_fields["models"].default.hvae.network
    size = _at(given, "data.image_size", entry.settings.get("data.image_size", entry.size))
    patch = _at(given, f"{HVAE}.patch", network.patch)
    if not (isinstance(size, int) and isinstance(patch, int)) or size < 1 or patch < 1:
        return {}
    finest = size // patch
    if len(network.resolutions) != 4 or finest % 4 or size % patch or finest < 8:
        return {}
    return {f"{HVAE}.resolutions": [finest, finest // 2, finest // 4, 1]}


def _corrections(entry: DatasetEntry, given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns whether latents are centred and which corrections are fitted to the answers: all that networks allow."""
    found: dict[str, Any] = {}
    for name in ("vae", "hvae"):
        path = f"models.{name}"
        own = _at(given, f"{path}.network")
        own = own if isinstance(own, Mapping) else {}
        network = getattr(Settings.model_fields["models"].default, name).network.model_dump()
        network |= {"exposure": entry.exposure}
        if name == "hvae":
            network |= {key.rpartition(".")[2]: value for key, value in _resolutions(entry, given).items()}
        network |= own
        # The corrections of imported weights cannot be fitted.
        trained = _at(given, f"{path}.weights") is None
        try:
            moves = trained and transports(network, entry.classes)
        except (TypeError, ValueError, OverflowError, MemoryError):
            moves = False  # an invalid network, which is refused later
        exogenous = trained and network["prior"] == "exogenous"
        levels = trained and bool(network["exposure"])
        found |= {
            f"{path}.network.centred": exogenous,
            f"{path}.network.transport": moves,
            f"{path}.network.levels": levels,
            f"{path}.network.calibrate": bool(own.get("levels", levels)) and trained and entry.simulated,
            f"{path}.network.debias": network["debias"] if exogenous else 0.0,
        }
    return found


def _of_sizes(sizes: Mapping[str, int]) -> dict[str, Any]:
    """Returns the defaults that follow from the number of images of each split, if the files decide it."""
    if not sizes:
        return {}
    asked = max(1, int(ASKED * sizes["test"]))
    # A part of the judges' split selects the weights.
    batch = max(1, min(sizes["train"], int(TRAINED * sizes["judges"])))
    lowered = {path: min(default, asked) for path, default in _counted().items()}
    for path, default in _leaves(Settings()):
        if path.endswith("batch_size") and not path.startswith("answers.") and default:
            lowered[path] = min(default, batch)
    return lowered | {f"data.{split}": count for split, count in sizes.items()}


@cache
def _counted() -> dict[str, int]:
    """Returns the keys whose default is lowered to a number of images, with their defaults."""
    asked = {
        path: default
        for path, default in _leaves(Settings())
        if path.startswith("questions.") and path.endswith(".images")
    }
    return {f"data.{split}": getattr(DataSettings(), split) for split in SPLITS} | asked


def _query(query: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a query with all its keys."""
    from .queries import QuerySettings

    return QuerySettings(**query).model_dump(mode="json")


@cache
def _exposures() -> tuple[str, ...]:
    """Returns the paths of the keys `exposure` of all models."""
    return tuple(path for path, _ in _leaves(Settings()) if path.endswith(".network.exposure"))


def _leaves(section: Section, above: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the path and the default of every key."""
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            yield from _leaves(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _at(tree: Any, path: str, default: Any = None) -> Any:
    """Returns the value at a path of the user's configuration, or the default."""
    for key in path.split("."):
        if not isinstance(tree, Mapping) or key not in tree:
            return default
        tree = tree[key]
    return tree
