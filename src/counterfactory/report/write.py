"""Writes tables as CSV, Markdown and LaTeX.

CSV contains numbers in full precision, with one column each for value, ends of the interval and spread. Markdown and
LaTeX contain rounded numbers, the best value in bold, and a footnote for each missing number.
"""

import csv
import io
import re
from collections.abc import Sequence
from itertools import groupby

from .layout import Cell, Column, Table, footnotes, format_cell

__all__ = ["ARROWS", "BLANK", "column_head", "escape_latex", "to_csv", "to_latex", "to_markdown"]

ARROWS = {"lower": "↓", "higher": "↑", "": ""}
BLANK = "–"

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
    "→": r"$\rightarrow$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "−": r"$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "–": "--",
    "—": "---",
    "…": r"\ldots{}",
    "\n": " ",  # an empty line would end a caption
    "\u00a0": "~",
    "\u202f": r"\,",
}
_ENTITY = re.compile(r"&(?=#?\w+;)")
_LATEX_PATTERN = re.compile("|".join(map(re.escape, _LATEX)))


def escape_latex(text: str) -> str:
    r"""Returns `text` escaped for LaTeX: `50 % of a_b` becomes `50 \% of a\_b`."""
    return _LATEX_PATTERN.sub(lambda match: _LATEX[match.group()], text)


def column_head(column: Column) -> str:
    """Returns the heading of a column with its unit and the arrow of its direction."""
    unit = f" ({column.unit})" if column.unit else ""
    arrow = f" {ARROWS[column.better]}" if column.better else ""
    return f"{column.title}{unit}{arrow}"


def _exact(value: float | None) -> str:
    return "" if value is None else repr(float(value))


def to_csv(tables: Sequence[Table]) -> str:
    """Returns tables as CSV, each with its own header, separated by an empty line.

    The last column, `absent`, holds the reasons of empty cells.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for k, table in enumerate(tables):
        if k:
            file.write("\n")
        several = any(cell.spread is not None for row in table.rows for cell in row.cells)
        interval = any(cell.low is not None for row in table.rows for cell in row.cells)
        parts = ["low", "high"] * interval + ["spread", "seeds"] * several
        numbers = [column for column in table.columns if not column.text]
        head = [table.stub]
        for column in table.columns:
            head += [column.key] + ([f"{column.key}_{part}" for part in parts] if column in numbers else [])
        writer.writerow([*head, "absent"])
        for row in table.rows:
            line, absent = [row.key or row.name], []
            for cell, column in zip(row.cells, table.columns, strict=True):
                line.append(cell.text or _exact(cell.value))
                if column in numbers:
                    line += [_exact(cell.low), _exact(cell.high)] * interval
                    line += [_exact(cell.spread), str(cell.seeds) if cell.value is not None else ""] * several
                if cell.reason:
                    absent.append(f"{column.key}: {cell.reason}")
            writer.writerow([*line, "; ".join(absent)])
    return file.getvalue()


def _markdown_cell(cell: Cell, column: Column, letters: dict[str, str]) -> str:
    value, uncertainty = format_cell(cell, column)
    value, uncertainty = _escape_cell(value), _escape_cell(uncertainty)
    value = f"**{value}**" if cell.best else value or BLANK
    value += f"<sup>{letters[cell.reason]}</sup>" if cell.reason else ""
    return f"{value} {uncertainty}".strip()


def _escape(text: str) -> str:
    """Returns `text` with HTML escaped, because Markdown renders tags and entities."""
    return _ENTITY.sub("&amp;", text).replace("<", "&lt;").replace(">", "&gt;")


def _escape_cell(text: str) -> str:
    """Returns `text` escaped for a cell of a Markdown table."""
    return _escape(text).replace("|", "\\|").replace("\n", " ")


def to_markdown(tables: Sequence[Table]) -> str:
    """Returns tables as GitHub Markdown, each with title, caption, notes and footnotes."""
    parts = []
    for table in tables:
        letters = footnotes(table)
        lines = [f"### {_escape(table.title)}", ""]
        if table.caption:
            lines += [_escape(table.caption), ""]
        heads = [
            f"{column.group}: {column_head(column)}" if column.group else column_head(column)
            for column in table.columns
        ]
        lines.append("| " + " | ".join(map(_escape_cell, [table.stub, *heads])) + " |")
        lines.append(
            "|"
            + "|".join([" :-- ", *(" :-- " if column.text else " --: " for column in table.columns)])
            + "|"
        )
        for row in table.rows:
            name = f"{row.name} ({row.role})" if row.role in ("floor", "ceiling") else row.name
            cells = [
                _markdown_cell(cell, column, letters)
                for cell, column in zip(row.cells, table.columns, strict=True)
            ]
            lines.append("| " + " | ".join([_escape_cell(name), *cells]) + " |")
        if letters:
            scored = (f"<sup>{letter}</sup> {_escape(reason)}" for reason, letter in letters.items())
            lines += ["", "  \n".join(scored)]
        for note in table.notes:
            lines += ["", _escape(note)]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _latex_cell(cell: Cell, column: Column, letters: dict[str, str]) -> str:
    value, uncertainty = (escape_latex(part) for part in format_cell(cell, column))
    value = rf"\textbf{{{value}}}" if cell.best else value or "--"
    value += rf"\textsuperscript{{{letters[cell.reason]}}}" if cell.reason else ""
    return rf"{value} {{\scriptsize {uncertainty}}}" if uncertainty else value


def to_latex(tables: Sequence[Table]) -> str:
    r"""Returns tables as LaTeX `table` environments, which require the package `booktabs`."""
    parts = ["% needs \\usepackage{booktabs}\n"]
    for table in tables:
        letters = footnotes(table)
        shape = "l" + "".join("l" if column.text else "r" for column in table.columns)
        caption = " ".join(part for part in (f"{table.title}.", table.caption) if part)
        lines = [
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(caption)}}}",
            rf"\label{{tab:{table.key}}}",
        ]
        lines.append(rf"\begin{{tabular}}{{{shape}}}")
        lines.append(r"\toprule")
        if any(column.group for column in table.columns):
            heads, rules, start = [""], [], 2
            for group, members in groupby(table.columns, key=lambda column: column.group):
                width = len(list(members))
                heads.append(rf"\multicolumn{{{width}}}{{c}}{{{escape_latex(group)}}}")
                if group:
                    rules.append(rf"\cmidrule(lr){{{start}-{start + width - 1}}}")
                start += width
            lines += [" & ".join(heads) + r" \\", " ".join(rules)]
        lines.append(
            " & ".join(escape_latex(head) for head in [table.stub, *map(column_head, table.columns)]) + r" \\"
        )
        lines.append(r"\midrule")
        for row in table.rows:
            name = f"{row.name} ({row.role})" if row.role in ("floor", "ceiling") else row.name
            cells = [
                _latex_cell(cell, column, letters)
                for cell, column in zip(row.cells, table.columns, strict=True)
            ]
            lines.append(" & ".join([escape_latex(name), *cells]) + r" \\")
        lines += [r"\bottomrule", r"\end{tabular}"]
        below = [
            rf"\textsuperscript{{{letter}}} {escape_latex(reason)}" for reason, letter in letters.items()
        ]
        below += [escape_latex(note) for note in table.notes]
        if below:
            lines.append(r"\par\smallskip{\footnotesize " + r" \\ ".join(below) + "}")
        lines += [r"\end{table}", ""]
        parts.append("\n".join(lines))
    return "\n".join(parts)
