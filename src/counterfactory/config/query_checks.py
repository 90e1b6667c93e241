"""Says which queries ask what nobody can answer: names nobody knows, values that are none, what cannot be made."""

from collections.abc import Iterator
from difflib import get_close_matches

from ..data.registry import DATASETS
from .queries import GENERATORS, QuerySettings
from .settings import Settings

__all__ = ["asked_queries", "query_checks"]


def asked_queries(settings: Settings) -> dict[str, QuerySettings]:
    """Returns the queries that are asked: those whose generator's method is, if any image is asked for."""
    queries = settings.queries.by_name if settings.queries.images else {}
    return {
        name: query
        for name, query in queries.items()
        if query is not None and GENERATORS[query.generator] in settings.methods
    }


def query_checks(settings: Settings) -> Iterator[str]:
    """Yields what is wrong with the queries that are asked, one line a misfit."""
    entry = DATASETS[settings.dataset]
    attributes = {name: one for name, one in settings.attributes.items() if one is not None}
    sizes = {name: 2 for name in attributes}
    sizes |= {name: classes for name, classes in entry.variables.items() if classes}
    made = [*entry.variables, *(name for name, one in attributes.items() if one.of in entry.variables)]
    for name, query in asked_queries(settings).items():
        path = f"queries.by_name.{name}"
        if query.by == "do" and query.generator != "gan":
            yield f"{path}.by is 'do', which {query.generator} cannot; set generator: gan, or by: observe"
        facts = [("given", query.given)] + ([("premise", query.premise)] if query.by == "observe" else [])
        for part, asked in facts:
            for fact, value in asked.items():
                if fact not in sizes:
                    yield f"{path}.{part} names {fact!r}, which no classifier sees; {_near(fact, list(sizes))}"
                elif value not in range(sizes[fact]):
                    yield f"{path}.{part}.{fact} is {value}; choose one of 0 to {sizes[fact] - 1}"
        for fact, value in query.premise.items() if query.by == "do" else []:
            classes = entry.variables.get(fact, 0) or (2 if fact in attributes else 0)
            if fact not in made:
                yield f"{path}.premise names {fact!r}, which cannot be set; {_near(fact, made)}"
            elif classes and value not in range(classes):
                yield f"{path}.premise.{fact} is {value:g}; choose one of 0 to {classes - 1}"
        if all(query.given.get(fact) == value for fact, value in query.premise.items()):
            yield f"{path}.premise says what is given; say what is otherwise"
        if query.generator == "gan" and settings.queries.kernel != "sticky":
            yield f"queries.kernel is {settings.queries.kernel!r}, which {path} cannot have; set sticky"
    if any(query.generator == "dcgan" for query in asked_queries(settings).values()):
        prior = settings.models.dcgan.network.prior
        if settings.queries.kernel == "autoregressive" and prior != "normal":
            yield "queries.kernel is 'autoregressive', which needs models.dcgan.network.prior: normal; set either"


def _near(word: str, known: list[str]) -> str:
    return f"did you mean {get_close_matches(word, known, n=1, cutoff=0.0)[0]!r}? (choose from {', '.join(known)})"
