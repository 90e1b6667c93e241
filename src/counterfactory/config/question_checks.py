"""Checks whether questions, attributes and queries refer to what the data set has."""

from collections.abc import Iterator

from ..questions.registry import SUITES
from .attributes import AttributeSettings
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


def _kept(settings: Settings) -> dict[str, AttributeSettings]:
    """Returns the attributes that are not removed by null."""
    return {name: attribute for name, attribute in settings.attributes.items() if attribute is not None}


def _classes(settings: Settings) -> dict[str, int]:
    """Returns the number of classes of the categorical variable that the classifier predicts, if there is one."""
    variable = settings.entry.classified
    return {variable.name: variable.classes} if variable else {}


def _interventions(settings: Settings) -> Iterator[str]:
    variables = list(settings.entry.classes)
    for suite, known in {"do": [*variables, "random"], "reverse": variables}.items():
        for name in getattr(settings.questions, suite).interventions:
            if name not in known:
                yield (
                    f"questions.{suite}.interventions contains {shown(name)}, which is no variable of "
                    f"{settings.dataset}; {nearest(name, known)}"
                )


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
    entry, kept = settings.entry, _kept(settings)
    quantities = [*entry.classes, *(name for name in entry.measured if name not in entry.classes)]
    if not kept:
        yield "attributes: there are none, or all are null; name one, such as thick: {of: thickness, above: 2.5}"
    for name, attribute in kept.items():
        if name in entry.classes:
            yield f"attributes.{name} has the name of a variable of {settings.dataset}; choose another name"
        if attribute.of not in quantities:
            yield (
                f"attributes.{name}.of is {shown(attribute.of)}, which is no quantity of {settings.dataset}; set "
                f"attributes.{name}: null, or choose from {', '.join(quantities)}"
            )


def _flip(settings: Settings) -> Iterator[str]:
    flip, kept, classes = settings.questions.flip, _kept(settings), _classes(settings)
    variables = settings.entry.classes
    choices = [name for name, attribute in kept.items() if variables.get(attribute.of) == 0]
    for name in flip.attributes:
        if name not in choices and name not in classes:
            if name in kept:
                reason = f", whose quantity {shown(kept[name].of)} is no parent"
            else:
                reason = ", which the classifier does not predict" if name in variables else ""
            known = ", ".join([*choices, *classes]) or "none"
            yield f"questions.flip.attributes contains {shown(name)}{reason}; choose from {known}"
    if flip.digit and "digit" not in classes:
        found = "the classifier does not predict the digit" if "digit" in variables else "there is no digit"
        yield f"questions.flip.digit is true, but in {settings.dataset} {found}; set it to false"
    elif flip.digit and "digit" in flip.attributes:
        yield "questions.flip.digit is true, but attributes contains digit already; set it to false"
    most = max(classes.values(), default=0)
    for label, target in flip.targets.items():
        if label == target or not (0 <= label < most and 0 <= target < most):
            yield f"questions.flip.targets has {label}: {target}; choose two different classes of 0 to {most - 1}"
    if not flip.attributes and not flip.digit and settings.entry.flips:
        yield "questions.flip has no question: add an attribute, set digit: true, or set images: 0"


def _evidence(settings: Settings, path: str, query: QuerySettings) -> Iterator[str]:
    """Checks what is observed: evidence, and the premise of an observation."""
    sizes = dict.fromkeys(_kept(settings), 2) | _classes(settings)
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
    variables, kept = settings.entry.classes, _kept(settings)
    choices = [*variables, *(name for name, attribute in kept.items() if attribute.of in variables)]
    for name, value in query.premise.items():
        classes = variables.get(name, 0) or (2 if name in kept else 0)
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
