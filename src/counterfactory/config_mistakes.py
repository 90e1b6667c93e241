"""Says what is wrong with a configuration: one line that names the key and the nearest valid choice."""

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping
from textwrap import shorten
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from .methods.registry import METHODS, SUITES

if TYPE_CHECKING:
    from .config import Settings

__all__ = ["explain", "misfits"]

DIGITS = {"train": 60_000, "test": 10_000}
"""How many digits MNIST has to fill the splits with."""

Location = tuple[int | str, ...]

_WORDS = {
    "int_type": "be a whole number",
    "int_from_float": "be a whole number",
    "float_type": "be a number",
    "bool_type": "be true or false",
    "string_type": "be text",
    "string_too_short": "not be empty",
    "list_type": "be a list, such as [a, b]",
    "tuple_type": "be a list, such as [a, b]",
}
"""What pydantic calls its types, in the words of YAML."""


def explain(error: ValidationError, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    """Says the first mistake in one line.

    Arguments:
        error: What pydantic found.
        given: The whole configuration that it was found in.
        defaults: The whole configuration by default, for the keys that there are.
    """
    # A key that does not exist explains more than what it left unset, so those go first.
    mistakes = sorted(error.errors(), key=lambda mistake: mistake["type"] != "extra_forbidden")
    mistake = mistakes[0]
    path = _dotted(mistake["loc"])
    value = shorten(repr(_at(given, mistake["loc"])), 60)
    kind = mistake["type"]
    if kind == "extra_forbidden":
        keys = _at(defaults, mistake["loc"][:-1])
        text = f"{path} is not a key; {_nearest_key(mistake['loc'], list(keys), defaults)}"
    elif kind == "literal_error":
        choices = re.findall(r"'([^']*)'", mistake["ctx"]["expected"]) or [mistake["ctx"]["expected"]]
        text = f"{path} is {value}; {_nearest(str(_at(given, mistake['loc'])), choices)}"
    elif kind == "missing":
        text = f"{path} is missing; give it"
    elif kind in ("model_type", "model_attributes_type", "dict_type"):
        text = f"{path} is {value}; it must hold keys and values"
    else:
        message = _WORDS.get(kind) or mistake["msg"].removeprefix("Input ").removeprefix("should ")
        text = f"{path} is {value}; it should {message}"
    more = len(mistakes) - 1
    return " ".join(text.split()) + (f" (and {more} more mistake{'s' * (more > 1)})" if more else "")


def _dotted(location: Location) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in location).lstrip(".")


def _at(tree: Any, location: Location) -> Any:
    for part in location:
        try:
            tree = tree[part]
        except (KeyError, IndexError, TypeError):
            return None
    return tree


def _nearest(word: str, choices: list[str]) -> str:
    near = difflib.get_close_matches(word, choices, n=1)
    every = f"choose from {', '.join(choices)}"
    return f"did you mean '{near[0]}'? ({every})" if near else every


def _nearest_key(location: Location, siblings: list[str], defaults: Mapping[str, Any]) -> str:
    *above, key = map(str, location)
    near = difflib.get_close_matches(key, siblings, n=1)
    if near:
        return f"did you mean '{near[0]}'?"
    # The right key in the wrong section: those further down in this very section come first.
    elsewhere = [path for path in _paths(defaults) if path.split(".")[-1] == key]
    inside = [path for path in elsewhere if path.split(".")[: len(above)] == above]
    if elsewhere:
        return f"did you mean {' or '.join(repr(path) for path in (inside if above and inside else elsewhere)[:3])}?"
    return f"choose from {', '.join(siblings)}"


def _paths(tree: Mapping[str, Any], above: str = "") -> Iterable[str]:
    for key, value in tree.items():
        yield f"{above}{key}"
        if isinstance(value, Mapping):
            yield from _paths(value, f"{above}{key}.")


def misfits(settings: "Settings") -> Iterator[str]:
    """Yields what is wrong between values that are right each by itself."""
    data, questions = settings.data, settings.questions
    lists = {
        "seeds": settings.seeds,
        "methods": settings.methods,
        "marks.metrics": settings.marks.metrics,
        "questions.do.interventions": questions.do.interventions,
        "questions.do.protocols": questions.do.protocols,
        "questions.null.cycles": questions.null.cycles,
        "questions.reverse.interventions": questions.reverse.interventions,
        "questions.reverse.cycles": questions.reverse.cycles,
    }
    for path, values in lists.items():
        twice = [value for position, value in enumerate(values) if value in values[:position]]
        if twice:
            yield f"{path} names {twice[0]!r} twice; name it once"
    drawn = data.train + data.valid + data.judges
    if drawn > DIGITS["train"]:
        yield (
            f"data.train + data.valid + data.judges is {drawn:,}, but MNIST's training set has {DIGITS['train']:,} "
            "digits; lower one of them"
        )
    if data.test > DIGITS["test"]:
        yield f"data.test is {data.test:,}, but MNIST's test set has {DIGITS['test']:,} digits; lower it"
    for suite in SUITES:
        images = getattr(questions, suite).images
        if images > data.test:
            yield f"questions.{suite}.images is {images:,}, but data.test has only {data.test:,} images; lower it"
    if not any(questions.count(suite) for suite in SUITES if suite != "sweep"):
        yield "questions ask nothing: every suite has no image, intervention, protocol or cycle; give one"
    trainings = {"judges": (settings.judges.training, "judges")}
    for name in sorted({model for method in settings.methods for model in METHODS[method].models}):
        trainings[f"models.{name}"] = (getattr(settings.models, name).training, "train")
    for path, (training, split) in trainings.items():
        size = getattr(data, split)
        if training.batch_size > size:
            yield (
                f"{path}.training.batch_size is {training.batch_size:,}, but data.{split} has only {size:,} images; "
                "lower it"
            )
        if path != "judges" and training.scale_release < training.scale_hold:
            yield f"{path}.training.scale_release is less than scale_hold; make it at least {training.scale_hold:g}"
    network = settings.models.hvae.network
    for name in ("widths", "encoder_blocks", "decoder_blocks"):
        length = len(getattr(network, name))
        if length != len(network.resolutions):
            yield (
                f"models.hvae.network.{name} has {length} entries, but models.hvae.network.resolutions has "
                f"{len(network.resolutions)}; give one for each resolution"
            )
    if network.resolutions[0] * network.patch != data.image_size:
        yield (
            f"models.hvae.network.resolutions[0] is {network.resolutions[0]}, but data.image_size / patch is "
            f"{data.image_size / network.patch:g}; make them equal"
        )
    if settings.answers.effect != "direct":
        for name in sorted(trainings.keys() - {"judges"}):
            if getattr(settings.models, name.removeprefix("models.")).network.prior == "exogenous":
                yield (
                    f"answers.effect is {settings.answers.effect!r}, which needs {name}.network.prior: conditional; "
                    "set that, or effect: direct"
                )
