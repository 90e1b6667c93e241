"""Every declared table and figure is written, also without content; damaged cost files do not stop the report."""

import csv
import json

import pytest

from counterfactory.core.files import read_json
from counterfactory.report.costs import read_costs
from counterfactory.report.distance import distance_picture
from counterfactory.report.layout import Cell, Column, Row, Table
from counterfactory.report.names import empty_reason
from counterfactory.report.narrative import cards, intervention_sentences
from tests.report.pretend import make_figures, make_tables


def test_a_table_without_content_states_the_reason(results, tables, tmp_path):
    out = make_tables(results, tmp_path, names=["headline", "codes", "explanations_cost", "flip_thick"])
    for name in ("codes", "explanations_cost", "flip_thick"):
        (row,) = csv.DictReader((out / f"{name}.csv").open())
        assert row["notice"] == empty_reason(name)
        assert empty_reason(name) in (out / f"{name}.md").read_text()
        assert (out / f"{name}.tex").stat().st_size > 100
    assert (out / "headline.csv").read_bytes() == (tables / "headline.csv").read_bytes()
    # The page shows tables with content only.
    assert (out / "index.json").read_bytes() == (tables / "index.json").read_bytes()


def test_tables_of_costs_exist_without_costs(results, tmp_path):
    out = make_tables(results, tmp_path, names=["cost", "explanations_cost"], costs=[])
    assert empty_reason("cost") in (out / "cost.csv").read_text()
    assert read_json(out / "cost.json")["key"] == "cost"


def test_a_figure_without_content_is_an_image_of_the_reason(results, tmp_path):
    changes = {"rows": [], "costs": [], "logs": [], "questions": tmp_path / "none"}
    out = make_figures(results, tmp_path / "figures", names=["distance", "graph", "training"], **changes)
    for name in ("graph", "training"):
        assert (out / f"{name}.png").stat().st_size > 500 and (out / name / "empty.svg").exists()
        assert (out / f"{name}.svg").exists()
    assert [picture["key"] for picture in read_json(out / "index.json")] == ["distance"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"questions": 1}', '{"questions": "x"}'])
def test_a_damaged_file_of_costs_is_skipped_with_one_line(results, tmp_path, capsys, text):
    paths = sorted(results.glob("answers/vae/seed0/*/*.cost.json"))
    bad = tmp_path / "vae" / "seed0" / "do" / "000000-000001.cost.json"
    bad.parent.mkdir(parents=True)
    bad.write_text(text)
    assert len(read_costs([*paths, bad, tmp_path / "vae" / "seed0" / "do" / "none.cost.json"])) == len(paths)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "000000-000001.cost.json" in lines[0] and "none.cost.json" in lines[1]
    assert json.loads(paths[0].read_text())["images"] > 0


def test_a_share_just_below_zero_has_no_minus_sign():
    columns = (
        Column("copy", "Copy", "floor"),
        Column("vae", "score", "VAE"),
        Column("vae_gap", "gap closed", "VAE", "%", "", 0),
        Column("truth", "Truth", "ceiling"),
    )
    row = Row(
        "do(thickness): thickness error, predicted (px) ↓",
        (Cell(0.5), Cell(0.501), Cell(-0.3), Cell(0.1)),
        key="thickness:predicted_thickness",
    )
    table = Table("distance", "Distance", columns, (row,))
    (sentence,) = intervention_sentences({"distance": table})
    assert "closes 0 % of the gap" in sentence and "-0" not in sentence
    assert cards(table)[0].dots[0].share == -0.3
    scores = type("Scores", (), {"methods": ["vae"], "values": lambda *_, **__: ["vae"]})()
    assert "-0 %" not in distance_picture(table, scores, {"vae": "#000000"}).panels[0].alt
