import csv
import io

import pytest

from counterfactory.report.layout import Cell, Column, Row, Table
from counterfactory.report.write import escape_latex, to_csv, to_latex, to_markdown

TABLE = Table(
    "demo",
    "50 % of a_b",
    (Column("x", "error", "do(t)", "px", "lower", 2), Column("device", "device", text=True)),
    (
        Row("Copy", (Cell(1 / 3, 0.3, 0.4), Cell(text="cpu")), "floor", "copy"),
        Row("A & B", (Cell(0.25, best=True), Cell(text="cuda:0")), "method", "a_b"),
        Row("C", (Cell(reason="no truth: {x}"), Cell(text="a|b")), "method", "c"),
    ),
    "Caption with 5 µm.",
)


@pytest.mark.parametrize(
    ("text", "latex"),
    [
        ("50 % of a_b & $c #1", r"50 \% of a\_b \& \$c \#1"),
        ("{~^\\}", r"\{\textasciitilde{}\textasciicircum{}\textbackslash{}\}"),
        ("a ↓ b ± c", r"a $\downarrow$ b $\pm$ c"),
        ("x < y | z", r"x \textless{} y \textbar{} z"),
    ],
)
def test_latex_is_escaped(text, latex):
    assert escape_latex(text) == latex


def test_csv_has_full_precision_and_reasons():
    rows = list(csv.DictReader(io.StringIO(to_csv([TABLE]))))
    assert [row["method"] for row in rows] == ["copy", "a_b", "c"]
    assert float(rows[0]["x"]) == 1 / 3 and float(rows[0]["x_low"]) == 0.3
    assert rows[1]["x_low"] == "" and rows[2]["x"] == ""
    assert rows[2]["absent"] == "x: no truth: {x}"
    assert rows[0]["device"] == "cpu" and "device_low" not in rows[0]


def test_csv_has_spreads_for_several_seeds():
    table = Table(
        "t", "t", (Column("x", "x"),), (Row("a", (Cell(1.0, spread=0.5, seeds=3),), "method", "a"),)
    )
    row = next(csv.DictReader(io.StringIO(to_csv([table]))))
    assert (row["x_spread"], row["x_seeds"]) == ("0.5", "3") and "x_low" not in row


def test_markdown_has_bold_values_dashes_and_footnotes():
    text = to_markdown([TABLE])
    assert "| Copy (floor) | 0.33 [0.30, 0.40] | cpu |" in text
    assert "| A & B | **0.25** | cuda:0 |" in text
    assert r"| C | –<sup>a</sup> | a\|b |" in text
    assert "<sup>a</sup> no truth: {x}" in text
    assert "do(t): error (px) ↓" in text


def test_markdown_escapes_html():
    evil = "<script>&lt;|\nx"
    column = Column("x", evil, evil, "px", "lower", 2)
    rows = (Row(evil, (Cell(reason=evil),), "method", "c"), Row("b", (Cell(1.0),), "method", "b"))
    text = to_markdown([Table("demo", evil, (column,), rows, evil, notes=(evil,), stub=evil)])
    assert "<" not in text.replace("<sup>", "").replace("</sup>", "")
    assert text.count("&lt;script&gt;&amp;lt;") == 8
    assert r"| &lt;script&gt;&amp;lt;\| x | –<sup>a</sup> |" in text


def test_latex_has_no_empty_line_in_a_caption():
    assert escape_latex("a\n\nb") == "a  b"


def test_latex_has_equal_rows_and_balanced_braces():
    text = to_latex([TABLE])
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    assert all(line.count(" & ") == 2 for line in body.splitlines() if line.endswith(r"\\"))
    bare = text.replace(r"\{", "").replace(r"\}", "")
    assert bare.count("{") == bare.count("}")
    assert r"A \& B & \textbf{0.25} & cuda:0 \\" in text
    assert r"C & --\textsuperscript{a} & a\textbar{}b \\" in text
    assert r"\caption{50 \% of a\_b. Caption with 5 µm.}" in text
    assert r"\multicolumn{1}{c}{do(t)}" in text and r"\cmidrule(lr){2-2}" in text
