"""Sentences and cards of the page, generated from the tables."""

from collections.abc import Mapping
from dataclasses import dataclass

from .layout import Cell, Row, Table, format_cell, format_number
from .style import method_colours
from .vocabulary import CEILING, FLOOR, method_title

__all__ = ["Card", "Dot", "cards", "explanation_sentences", "intervention_sentences", "name_and_unit"]


@dataclass(frozen=True)
class Dot:
    """A method on a card.

    Arguments:
        name: Its title.
        colour: Its colour.
        share: The share of the gap between floor and ceiling that it closes, in per cent.
        score: Its score as shown.
        best: Whether it is printed in bold.
    """

    name: str
    colour: str
    share: float
    score: str
    best: bool


@dataclass(frozen=True)
class Card:
    """The result of one intervention.

    Arguments:
        title: The intervention.
        score: The score.
        floor: The score of the floor.
        ceiling: The score of the ceiling.
        judged: Whether the ceiling is the error of the judge on real images.
        dots: The methods, best first.
        leaders: The titles of the best method and of those within noise of it.
    """

    title: str
    score: str
    floor: str
    ceiling: str
    judged: bool
    dots: tuple[Dot, ...]
    leaders: str = ""


def _methods(distance: Table) -> list[str]:
    return [column.key.removesuffix("_gap") for column in distance.columns if column.key.endswith("_gap")]


def _number(cell: Cell, table: Table, column: int) -> str:
    return format_cell(cell, table.columns[column])[0]


def _value(cell: Cell) -> float:
    """Returns the value of a cell that has one."""
    assert cell.value is not None
    return cell.value


def _intervention_and_score(row: Row) -> tuple[str, str]:
    """Returns the intervention and the score of a row of the table `distance`."""
    what, _, score = row.name.partition(": ")
    return what, score.rstrip(" ↓↑")


def _effectiveness_rows(distance: Table) -> list[Row]:
    """Returns, for each intervention on one variable, the row of the predicted score of that variable."""
    return [row for row in distance.rows if row.key == "{0}:predicted_{0}".format(row.key.partition(":")[0])]


def cards(distance: Table | None) -> list[Card]:
    """Returns one card for each intervention on one variable.

    Arguments:
        distance: The table `distance`, if it exists.
    """
    if distance is None:
        return []
    methods = _methods(distance)
    colours = method_colours([FLOOR, *methods, CEILING])
    made = []
    for row in _effectiveness_rows(distance):
        dots = []
        for k, method in enumerate(methods):
            score, share = row.cells[1 + 2 * k], row.cells[2 + 2 * k]
            if share.value is not None:
                text = _number(score, distance, 1 + 2 * k)
                best = share.best or len(methods) == 1
                dots.append(Dot(method_title(method), colours[method], share.value, text, best))
        if not dots:
            continue
        what, name = _intervention_and_score(row)
        floor = _number(row.cells[0], distance, 0)
        ceiling = _number(row.cells[-1], distance, len(row.cells) - 1)
        dots.sort(key=lambda dot: -dot.share)
        leaders = _list([dot.name for dot in dots if dot.best] or [dots[0].name])
        made.append(Card(what, name, floor, ceiling, bool(row.cells[-1].reason), tuple(dots), leaders))
    return made


def intervention_sentences(tables: Mapping[str, Table]) -> list[str]:
    """Returns the results on interventions, one sentence per kind of question.

    Arguments:
        tables: The tables by key.
    """
    sentences = []
    distance, headline = tables.get("distance"), tables.get("headline")
    if distance is not None and _methods(distance):
        rows = _effectiveness_rows(distance)
        sentences += [text for row in rows for text in [_best_effectiveness(distance, row)] if text]
        sentences += _distance_to_truth(distance)
    if headline is not None:
        sentences += _drift(headline, "composition, L1", "After {count} null {interventions}")
        sentences += _drift(
            headline, "reversibility, L1", "After {count} {cycles} of an intervention and its inverse"
        )
    return sentences


def _best_effectiveness(distance: Table, row: Row) -> str:
    """Returns a sentence on the method that closes most of the gap, and on those within noise of it."""
    methods = _methods(distance)
    leaders = _leaders(distance, row)
    if not leaders:
        return ""
    k = leaders[0]
    what, score = _intervention_and_score(row)
    score, unit = name_and_unit(score)
    unit = f" {unit}" if unit else ""
    value, share = _number(row.cells[1 + 2 * k], distance, 1 + 2 * k), _value(row.cells[2 + 2 * k])
    floor, ceiling = _number(row.cells[0], distance, 0), _number(row.cells[-1], distance, len(row.cells) - 1)
    end = "the judge's score on real images" if row.cells[-1].reason else "the true counterfactual"
    if len(leaders) > 1:
        parts = [
            f"{method_title(methods[i])} ({_number(row.cells[1 + 2 * i], distance, 1 + 2 * i)}{unit}, "
            f"{format_number(_value(row.cells[2 + 2 * i]), 0)} %)"
            for i in leaders
        ]
        return (
            f"Under {what}, {_list(parts)} cannot be told apart by their {score.removesuffix(', predicted')} "
            f"(in brackets: the score, and the share of the gap closed between a copy of the input, {floor}, and "
            f"{end}, {ceiling})."
        )
    return (
        f"Under {what}, {method_title(methods[k])} has {_article(score.removesuffix(', predicted'))} of "
        f"{value}{unit}. It closes {format_number(share, 0)} % of the gap between a copy of the input ({floor}) and "
        f"{end} ({ceiling})."
    )


def _leaders(distance: Table, row: Row) -> list[int]:
    """Returns the numbers of the method that closes most of the gap and of those within noise of it, best first."""
    shares = {k: row.cells[2 + 2 * k] for k in range(len(_methods(distance)))}
    present = sorted(
        (k for k, share in shares.items() if share.value is not None), key=lambda k: -_value(shares[k])
    )
    return [k for k in present if k == present[0] or shares[k].best]


def name_and_unit(words: str) -> tuple[str, str]:
    """Splits `thickness error (px) ↓` into its name and its unit."""
    name, _, unit = words.rstrip(" ↓↑").partition(" (")
    return name, unit.rstrip(")")


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _distance_to_truth(distance: Table) -> list[str]:
    """Returns a sentence on the smallest pixel distances to the true counterfactuals."""
    methods = _methods(distance)
    parts, floors = [], []
    for row in distance.rows:
        cells = {k: row.cells[1 + 2 * k] for k in range(len(methods))}
        values = {k: cell.value for k, cell in cells.items() if cell.value is not None}
        if row.key.endswith(":truth_l1") and values and "random" not in row.key:
            k = min(values, key=values.__getitem__)
            what, _ = _intervention_and_score(row)
            value = _number(row.cells[1 + 2 * k], distance, 1 + 2 * k)
            leaders = [method_title(methods[i]) for i in _leaders(distance, row)] or [
                method_title(methods[k])
            ]
            noise = ", within noise" if len(leaders) > 1 else ""
            parts.append(f"{value} under {what} ({_list(leaders)}{noise})")
            floors.append(_number(row.cells[0], distance, 0))
    if not parts:
        return []
    return [
        f"The smallest mean absolute pixel difference from the true counterfactual is {' and '.join(parts)}, in grey "
        f"levels of 0 to 255; that of the input is {' and '.join(floors)}."
    ]


def _drift(headline: Table, group: str, words: str) -> list[str]:
    """Returns a sentence on the change of the image after the largest number of cycles."""
    found = [j for j, column in enumerate(headline.columns) if column.group == group]
    rows = [
        row
        for row in headline.rows
        if found and row.role == "method" and row.cells[found[-1]].value is not None
    ]
    if not rows:
        return []
    j = found[-1]
    rows.sort(key=lambda row: _value(row.cells[j]))
    if float(_number(rows[-1].cells[j], headline, j).replace(",", "")) == 0:
        return []  # exact by construction: the abducted noise is kept as a whole
    best, *others = rows
    leaders = [row.name for row in rows if row is best or row.cells[j].best]
    times = int(headline.columns[j].title.split()[0])
    plural = "s" * (times > 1)
    start = words.format(count=times, interventions=f"intervention{plural}", cycles=f"cycle{plural}")
    rest = ", ".join(f"{row.name}: {_number(row.cells[j], headline, j)}" for row in others)
    text = (
        f"{start}, the image of {best.name} has changed by {_number(best.cells[j], headline, j)} grey levels"
    )
    if len(leaders) > 1:
        rest += f"; {_list(leaders)} differ within noise"
    return [f"{text} ({rest})." if rest else f"{text}."]


def explanation_sentences(tables: Mapping[str, Table]) -> list[str]:
    """Returns the results on explanations: flip rates, and consistency with the causal graph.

    Arguments:
        tables: The tables by key.
    """
    sentences = []
    flips = tables.get("flip") or next(
        (table for key, table in tables.items() if key.startswith("flip_")), None
    )
    if flips is not None:
        keys = [column.key for column in flips.columns]
        j = keys.index("flip_rate") if "flip_rate" in keys else -1
        rows = [
            row for row in flips.rows if j >= 0 and row.role == "method" and row.cells[j].value is not None
        ]
        rows.sort(key=lambda row: -_value(row.cells[j]))
        if rows:
            parts = [
                f"{row.name} {100 * _value(row.cells[j]):.0f} % (n = {row.cells[0].value:.0f})"
                for row in rows
            ]
            sentences.append(f"Share of answers that flip the prediction of the classifier: {_list(parts)}.")
    graph = tables.get("graph")
    if graph is not None:
        groups = dict.fromkeys(column.group for column in graph.columns)
        sentences += [text for group in groups for text in [_graph_consistency(graph, group)] if text]
    return sentences


def _graph_consistency(graph: Table, group: str) -> str:
    """Returns a sentence on how far the answers are from the causal graph, in one group of the table `graph`.

    Methods are listed and not ranked, because they flip different questions; those within noise are named.
    """
    columns = {
        column.key.rpartition("_")[2]: k for k, column in enumerate(graph.columns) if column.group == group
    }
    distance, count = (columns[name] for name in ("inconsistency", "n"))
    rows = [row for row in graph.rows if row.role == "method" and row.cells[distance].value is not None]
    if not rows:
        return ""
    rows.sort(key=lambda row: _value(row.cells[distance]))
    unit = graph.columns[distance].unit
    what, _, variable = group.partition(" flipped: ")
    parts = [
        f"{row.name} {_number(row.cells[distance], graph, distance)} (n = {row.cells[count].value:.0f})"
        for row in rows
    ]
    close = [row.name for row in rows if row.cells[distance].best]
    noise = f"; {_list(close)} differ within noise" if len(close) > 1 else ""
    return (
        f"Change of {variable} when {what} is flipped, mean distance from the change that the causal graph implies"
        f"{f' ({unit})' if unit else ''}: {_list(parts)}{noise}."
    )


def _list(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
