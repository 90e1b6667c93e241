"""What the numbers mean, in plain language: sentences made from the tables, that say nothing else."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .layout import Cell, Row, Table, format_cell
from .style import method_colours
from .vocabulary import CEILING, FLOOR, method_title

__all__ = ["Card", "cards", "caveats", "explained", "sentences"]


@dataclass(frozen=True)
class Dot:
    """A method on a card: its name, colour, share of the way in per cent, and its score in words."""

    name: str
    colour: str
    share: float
    score: str
    best: bool


@dataclass(frozen=True)
class Card:
    """One question at a glance: what was set, what is scored, the ends of the scale, and where methods stand."""

    title: str
    score: str
    floor: str
    ceiling: str
    judged: bool
    dots: tuple[Dot, ...]


def _methods(distance: Table) -> list[str]:
    return [column.key.removesuffix("_way") for column in distance.columns if column.key.endswith("_way")]


def _number(cell: Cell, table: Table, column: int) -> str:
    return format_cell(cell, table.columns[column])[0]


def _asked(row: Row) -> tuple[str, str]:
    """Returns the intervention and the score of a row of the table of distances."""
    what, _, score = row.name.partition(": ")
    return what, score.rstrip(" ↓↑")


def _own(distance: Table) -> list[Row]:
    """Returns, of each intervention on one variable, the row of the predicted score of that variable."""
    return [row for row in distance.rows if row.key == "{0}:predicted_{0}".format(row.key.partition(":")[0])]


def cards(distance: Table | None) -> list[Card]:
    """Returns a card for each intervention on one variable.

    Arguments:
        distance: The table `distance`, if there is one.
    """
    if distance is None:
        return []
    methods = _methods(distance)
    colours = method_colours([FLOOR, *methods, CEILING])
    made = []
    for row in _own(distance):
        dots = []
        for k, name in enumerate(methods):
            score, share = row.cells[1 + 2 * k], row.cells[2 + 2 * k]
            if share.value is not None:
                text = _number(score, distance, 1 + 2 * k)
                dots.append(
                    Dot(method_title(name), colours[name], share.value, text, share.best or len(methods) == 1)
                )
        if not dots:
            continue
        what, score = _asked(row)
        floor, ceiling = (
            _number(row.cells[0], distance, 0),
            _number(row.cells[-1], distance, len(row.cells) - 1),
        )
        made.append(
            Card(
                what,
                score,
                floor,
                ceiling,
                bool(row.cells[-1].reason),
                tuple(sorted(dots, key=lambda dot: -dot.share)),
            )
        )
    return made


def sentences(tables: Mapping[str, Table]) -> list[str]:
    """Returns what the run shows, a sentence for each kind of question.

    Arguments:
        tables: The tables by key.
    """
    said = []
    distance, headline = tables.get("distance"), tables.get("headline")
    if distance is not None and _methods(distance):
        said += [text for row in _own(distance) for text in [_way(distance, row)] if text]
        said += _pixels(distance)
    if headline is not None:
        said += _kept(headline, "composition, L1", "Told to change nothing {times}")
        said += _kept(headline, "reversibility, L1", "Set to another value and back {times}")
    return said


def _way(distance: Table, row: Row) -> str:
    """Says how far the best method gets."""
    methods = _methods(distance)
    present = [k for k in range(len(methods)) if row.cells[2 + 2 * k].value is not None]
    if not present:
        return ""
    k = max(present, key=lambda k: row.cells[2 + 2 * k].value)
    what, score = _asked(row)
    score, unit = _name_and_unit(score)
    unit = f" {unit}" if unit else ""
    value, share = _number(row.cells[1 + 2 * k], distance, 1 + 2 * k), row.cells[2 + 2 * k].value
    floor, ceiling = _number(row.cells[0], distance, 0), _number(row.cells[-1], distance, len(row.cells) - 1)
    end = "what the judge gets on real images" if row.cells[-1].reason else "the true counterfactual"
    return (
        f"Under {what}, {method_title(methods[k])} has {_article(score.removesuffix(', predicted'))} of "
        f"{value}{unit}: {share:.0f} % of the way from copying the input ({floor}) to {end} ({ceiling})."
    )


def _name_and_unit(words: str) -> tuple[str, str]:
    """Parts `thickness error (px) ↓` into its name and its unit."""
    name, _, unit = words.rstrip(" ↓↑").partition(" (")
    return name, unit.rstrip(")")


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _pixels(distance: Table) -> list[str]:
    """Says how far the best methods' images are from the true ones."""
    methods = _methods(distance)
    parts, floors = [], []
    for row in distance.rows:
        present = [k for k in range(len(methods)) if row.cells[1 + 2 * k].value is not None]
        if row.key.endswith(":truth_l1") and present and "random" not in row.key:
            k = min(present, key=lambda k: row.cells[1 + 2 * k].value)
            what, _ = _asked(row)
            parts.append(
                f"{_number(row.cells[1 + 2 * k], distance, 1 + 2 * k)} under {what} "
                f"({method_title(methods[k])})"
            )
            floors.append(_number(row.cells[0], distance, 0))
    if not parts:
        return []
    return [
        f"Pixel by pixel, the nearest answers differ from the true image by {' and '.join(parts)} of 255 "
        f"grey levels; the input itself by {' and '.join(floors)}."
    ]


def _kept(headline: Table, group: str, words: str) -> list[str]:
    """Says how far images drift over the most cycles."""
    found = [j for j, column in enumerate(headline.columns) if column.group == group]
    rows = [
        row
        for row in headline.rows
        if found and row.role == "method" and row.cells[found[-1]].value is not None
    ]
    if not rows:
        return []
    j = found[-1]
    best, *others = sorted(rows, key=lambda row: row.cells[j].value)
    times = int(headline.columns[j].title.split()[0])
    text = words.format(times="once" if times == 1 else f"{times} times over")
    rest = ", ".join(f"{row.name} by {_number(row.cells[j], headline, j)}" for row in others)
    text += f", an image of {best.name} drifts by {_number(best.cells[j], headline, j)} grey levels"
    return [f"{text} ({rest})." if rest else f"{text}."]


def explained(tables: Mapping[str, Table]) -> list[str]:
    """Returns what the explanations show: who flips, and who keeps to the causal graph.

    Arguments:
        tables: The tables by key.
    """
    said = []
    flips = tables.get("flip") or next(
        (table for key, table in tables.items() if key.startswith("flip_")), None
    )
    if flips is not None:
        keys = [column.key for column in flips.columns]
        j = keys.index("flip_rate") if "flip_rate" in keys else -1
        rows = [
            row for row in flips.rows if j >= 0 and row.role == "method" and row.cells[j].value is not None
        ]
        rows.sort(key=lambda row: -row.cells[j].value)
        if rows:
            parts = [
                f"{row.name} {100 * row.cells[j].value:.0f} % (n = {row.cells[0].value:.0f})" for row in rows
            ]
            said.append(
                f"Asked to turn the classifier over, methods do so in this share of their answers: {_list(parts)}."
            )
    graph = tables.get("graph")
    if graph is not None:
        groups = dict.fromkeys(column.group for column in graph.columns)
        said += [text for group in groups for text in [_beside_the_graph(graph, group)] if text]
    return said


def _beside_the_graph(graph: Table, group: str) -> str:
    """Says who comes nearest to what is due in one group of the table of the graph, and who stays furthest away."""
    columns = {
        column.key.rpartition("_")[2]: k for k, column in enumerate(graph.columns) if column.group == group
    }
    moved, due, side, count = (columns[name] for name in ("moved", "due", "side", "n"))
    rows = [row for row in graph.rows if row.role == "method" and row.cells[side].value is not None]
    if not rows:
        return ""
    rows.sort(key=lambda row: row.cells[side].value)
    unit = graph.columns[moved].unit
    what, _, variable = group.partition(" flipped: ")

    def told(row: Row) -> str:
        went, owed = (_number(row.cells[k], graph, k) for k in (moved, due))
        return (
            f"{row.name} moves it by {went}{f' {unit}' if unit else ''} on average where {owed} is due "
            f"(n = {row.cells[count].value:.0f})"
        )

    last = f"; furthest away, {told(rows[-1])}" if len(rows) > 1 else ""
    return f"When {what} is flipped, what happens to {variable}? Nearest to the true graph, {told(rows[0])}{last}."


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"


def caveats(tables: Mapping[str, Table], config: Mapping[str, Any]) -> list[str]:
    """Returns what a reader should hold against the numbers.

    Arguments:
        tables: The tables by key.
        config: The configuration of the run.
    """
    said = []
    seeds = config.get("seeds", [0])
    if len(seeds) == 1:
        said.append(
            "One training seed: intervals say how sure a number is for these trained networks, not how "
            "much another training would move it. Name more seeds in the configuration to see that."
        )
    judges = tables.get("judges")
    if judges is not None:
        parts = [
            f"{name} {format_cell(row.cells[0], judges.columns[0])[0]}{f' {unit}' if unit else ''}"
            for row in judges.rows
            for name, unit in [_name_and_unit(row.name)]
            if row.cells[0].value is not None
        ]
        if parts:
            said.append(
                f"Predicted scores are read by networks that err themselves ({', '.join(parts)} on real "
                "test images). A method may gain by images that a judge likes; the measured scores and the "
                "distance to the truth do not ask any judge."
            )
    measured = tables.get("main_measured")
    if measured is not None:
        ceiling = next((row for row in measured.rows if row.role == "ceiling"), None)
        parts = [
            f"{column.title.removesuffix(' to target')} {format_cell(cell, column)[0]} {column.unit} under "
            f"{column.group}"
            for column, cell in zip(measured.columns, ceiling.cells if ceiling else (), strict=False)
            if column.title.endswith(" to target")
            and cell.value is not None
            and f"({column.title.split(' ')[0]})" in column.group
        ]
        if parts:
            said.append(
                "Measuring has an error of its own: even the true counterfactual is off its target "
                f"({', '.join(parts)}). The columns that end in to truth leave that error out."
            )
    predicted = tables.get("main_effectiveness")
    if predicted is not None:
        ceiling = next((row for row in predicted.rows if row.role == "ceiling"), None)
        lost = dict.fromkeys(
            column.group
            for column, cell in zip(predicted.columns, ceiling.cells if ceiling else (), strict=False)
            if cell.value is None
        )
        if lost:
            said.append(
                f"There is no true counterfactual under {' and '.join(lost)}, so nothing there has a rendered "
                "ceiling or a distance to the truth."
            )
    answers = config.get("answers", {})
    if "residual_temperature" in answers:
        carried = answers["residual_temperature"]
        share = {0: "none", 1: "all"}.get(carried, f"{carried:g}")
        said.append(
            f"Composition depends on how much of the abducted pixel noise is carried over: here {share} of it. "
            "Published values often carry a tenth."
        )
    if any(key.startswith("published_") for key in tables):
        said.append(
            "Published values were made with other judges, other questions and other sizes of data. Unless "
            "a table says comparable, read them as an order of magnitude."
        )
    return said
