"""Checks whether questions, attributes and queries refer to what the data set has."""

from collections.abc import Iterator
from typing import Any

from ..data.outputs import Outputs, outputs_of
from ..questions.registry import SUITES
from .error_messages import nearest, shown
from .model_checks import used_models, used_networks
from .queries import QuerySettings, asked_queries
from .settings import Settings

__all__ = ["question_errors"]


def question_errors(settings: Settings) -> Iterator[str]:
    """Yields one line for each contradiction, with the keys and the remedy."""
    yield from _interventions(settings)
    yield from _images(settings)
    yield from _attributes(settings)
    if settings.questions.flip.images:
        yield from _flip(settings)
    for name, query in asked_queries(settings).items():
        yield from _evidence(settings, f"queries.by_name.{name}", query)
        yield from _intervention(settings, f"queries.by_name.{name}", query)
        yield from _premise(f"queries.by_name.{name}", query)
    yield from _kernel(settings)


def _outputs(settings: Settings) -> Outputs:
    """Returns what the classifier and the oracle will predict."""
    return outputs_of(settings.attributes, settings.entry.variables, settings.entry.labels)


def _interventions(settings: Settings) -> Iterator[str]:
    variables, questions = settings.entry.classes, settings.questions
    asked: dict[str, list[Any]] = {
        "do": questions.do.interventions,
        "reverse": questions.reverse.interventions,
    }
    for suite, interventions in asked.items():
        for one in interventions:
            together = not isinstance(one, str)
            known = [*variables, "random"] if suite == "do" and not together else list(variables)
            for name in one if together else [one]:
                if name not in known:
                    yield (
                        f"questions.{suite}.interventions contains {shown(name)}, which is no variable of "
                        f"{settings.dataset}; {nearest(name, known)}"
                    )
    joint = [one for one in asked["do"] if not isinstance(one, str)]
    for number, one in enumerate(joint):
        if any(set(one) == set(other) for other in joint[:number]):
            yield f"questions.do.interventions sets {', '.join(one)} together twice; remove one"
    for name, values in questions.do.values.items():
        if name not in variables:
            yield (
                f"questions.do.values contains {shown(name)}, which is no variable of {settings.dataset}; "
                f"{nearest(name, variables)}"
            )
        for value in values if variables.get(name) else []:
            if value not in range(variables[name]):
                yield f"questions.do.values.{name} contains {value:g}; choose from 0 to {variables[name] - 1}"


def _images(settings: Settings) -> Iterator[str]:
    questions, test = settings.questions, settings.data.test
    for suite in SUITES:
        images = getattr(questions, suite).images
        if images > test:
            yield f"questions.{suite}.images is {images:,}, but data.test has only {test:,} images; lower it"
    if not any(questions.count(suite, settings.entry) for suite in SUITES if suite != "sweep"):
        yield "questions: there are none, since every suite has no image, intervention, protocol or cycle; add one"


def _attributes(settings: Settings) -> Iterator[str]:
    if not {*used_models(settings), *used_networks(settings)} & {"classifier", "oracle"}:
        return
    entry = settings.entry
    annotated = {one.name: "variable" for one in entry.variables} | {
        one.name: "label" for one in entry.labels
    }
    quantities = [*annotated, *(name for name in entry.measured if name not in annotated)]
    if not _outputs(settings).sizes:
        yield "attributes: there are none, or all are null; name one, such as thick: {of: thickness, above: 2.5}"
    for name, attribute in settings.attributes.items():
        if attribute is None:
            continue
        if name in annotated:
            yield (
                f"attributes.{name} has the name of a {annotated[name]} of {settings.dataset}; choose another name"
            )
        if attribute.of not in quantities:
            yield (
                f"attributes.{name}.of is {shown(attribute.of)}, which is no quantity of {settings.dataset}; set "
                f"attributes.{name}: null, or choose from {', '.join(quantities)}"
            )


def _flip(settings: Settings) -> Iterator[str]:
    flip, outputs = settings.questions.flip, _outputs(settings)
    sizes, variables = outputs.sizes, settings.entry.classes
    for name in flip.attributes:
        if name not in sizes:
            reason = ", which the classifier does not predict" if name in variables else ""
            yield f"questions.flip.attributes contains {shown(name)}{reason}; {nearest(name, sizes)}"
    several = {variable.name: variable.classes for variable in outputs.categorical}
    for name, targets in flip.targets.items():
        if name not in several:
            reason = "has not more than two classes" if name in sizes else "is no variable"
            yield f"questions.flip.targets contains {shown(name)}, which {reason}; {nearest(name, several)}"
            continue
        for label, target in targets.items():
            if label == target or not {label, target} <= set(range(several[name])):
                yield (
                    f"questions.flip.targets.{name} has {label}: {target}; choose two different classes of 0 to "
                    f"{several[name] - 1}"
                )
    if not flip.attributes and settings.entry.flips:
        yield "questions.flip.attributes is empty: name an attribute, or set questions.flip.images to 0"


def _evidence(settings: Settings, path: str, query: QuerySettings) -> Iterator[str]:
    """Checks what is observed: evidence, and the premise of an observation."""
    sizes = _outputs(settings).sizes
    observed = [("given", query.given)] + ([("premise", query.premise)] if query.by == "observe" else [])
    for part, facts in observed:
        for name, value in facts.items():
            if name not in sizes:
                remedy = nearest(name, sizes)
                yield f"{path}.{part} contains {shown(name)}, which the classifier does not predict; {remedy}"
            elif value not in range(sizes[name]):
                yield f"{path}.{part}.{name} is {value}; choose one of 0 to {sizes[name] - 1}"


def _intervention(settings: Settings, path: str, query: QuerySettings) -> Iterator[str]:
    """Checks the premise of an intervention."""
    if query.by != "do":
        return
    if query.generator != "gan":
        yield (
            f"{path}.by is 'do', but {query.generator} supports observations only; set generator: gan, or by: observe"
        )
    variables, binary = settings.entry.classes, _outputs(settings).binary
    choices = dict.fromkeys([*variables, *(name for name, one in binary.items() if one.of in variables)])
    for name, value in query.premise.items():
        classes = variables.get(name, 0) or (2 if name in binary else 0)
        if name not in choices:
            yield f"{path}.premise contains {shown(name)}, which cannot be set; {nearest(name, choices)}"
        elif classes and value not in range(classes):
            yield f"{path}.premise.{name} is {value:g}; choose one of 0 to {classes - 1}"


def _premise(path: str, query: QuerySettings) -> Iterator[str]:
    if all(query.given.get(name) == value for name, value in query.premise.items()):
        yield f"{path}.premise equals the evidence; change a value"


def _kernel(settings: Settings) -> Iterator[str]:
    kernel, queries = settings.queries.kernel, asked_queries(settings)
    for name, query in queries.items():
        if query.generator == "gan" and kernel != "sticky":
            yield f"queries.kernel is {kernel!r}, but queries.by_name.{name} over gan requires sticky; set sticky"
    over_dcgan = any(query.generator == "dcgan" for query in queries.values())
    if over_dcgan and kernel == "autoregressive" and settings.models.dcgan.network.prior != "normal":
        yield "queries.kernel is 'autoregressive', which requires models.dcgan.network.prior: normal; set either"
