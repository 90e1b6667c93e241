"""Tables and figures of queries and of the dependence structure of generators."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.files import write_array, write_json, write_table
from counterfactory.report.costs import cost_table
from counterfactory.report.html import write_report
from counterfactory.report.queries import query_pictures, query_tables, query_words, read_queries
from counterfactory.report.structure import read_structure, structure_pictures, structure_tables
from counterfactory.report.style import FAINT, save_picture
from counterfactory.report.write import to_markdown
from tests.report.pretend import DATASET, make_figures, make_tables, render

STICKY = (0.0, 0.5, 0.9)
SEEN = {"name": "thicker", "given": {"digit": 3, "thick": 0}, "premise": {"thick": 1}, "by": "observe"}
SEEN |= {"generator": "dcgan", "actual": "test", "unanswered": ""}


@pytest.fixture
def asked(tmp_path):
    """The scores of two queries, one of which has no answers."""
    folder = tmp_path / "queries" / "seed0"
    rows, images = [], []
    for actual in range(3):
        rows.append({"index": actual, "actual": actual, "stickiness": np.nan, "sample": 0, "reached": True})
        rows += [
            {
                "index": actual,
                "actual": actual,
                "stickiness": s,
                "sample": k,
                "reached": s < 0.9 or actual < 2,
            }
            for s in STICKY
            for k in range(2)
        ]
        images += [render(3, 2.0, 150)] * (1 + 2 * len(STICKY))
    write_table(folder / "thicker.parquet", pd.DataFrame(rows))
    write_array(folder / "thicker.npy", np.stack(images))
    write_json(folder / "thicker.json", SEEN)
    values = {"valid": 1.0, "l1": 12.5, "log_evidence": -2.0, "moved_thickness": 0.6}
    scores = [
        {"stickiness": s, "metric": metric, "value": value - s, "low": value - 1, "high": value + 1, "n": 3}
        for s in STICKY
        for metric, value in values.items()
    ]
    scores.append({"stickiness": np.nan, "metric": "inversion_l1", "value": 1.7, "low": 1, "high": 2, "n": 3})
    scores.append(
        {"stickiness": 0.0, "metric": "frechet", "value": 7.0, "low": np.nan, "high": np.nan, "n": 72}
    )
    write_table(folder / "scores" / "thicker.parquet", pd.DataFrame(scores).assign(query="thicker"))
    write_json(
        folder / "none.json", SEEN | {"name": "none", "unanswered": "models.dcgan: its training failed"}
    )
    write_table(folder / "none.parquet", pd.DataFrame(columns=["index"]))
    write_array(folder / "none.npy", np.zeros((0, 1, 32, 32), np.uint8))
    write_table(folder / "scores" / "none.parquet", pd.DataFrame(columns=list(scores[0])))
    test = tmp_path / "data" / "test"
    write_array(test / "images.npy", np.stack([render(3, 2.0, 150)] * 3))
    write_table(test / "attributes.parquet", pd.DataFrame({"thickness": [2.0] * 3}))
    return read_queries([folder / "scores" / "thicker.parquet", folder / "scores" / "none.parquet"]), tmp_path


def test_a_query_is_shown_in_words():
    assert query_words(SEEN, DATASET) == "given digit 3, not thick: what if it were observed to be thick?"
    made = {"given": {}, "premise": {"digit": 1, "thickness": 3.5}, "by": "do"}
    assert query_words(made, DATASET) == "given any image: what if it were set to be digit 1, thickness 3.5?"


def test_a_query_table_has_one_row_per_stickiness(asked):
    table, failed = query_tables(asked[0], DATASET)
    assert [row.name for row in table.rows] == ["0", "0.5", "0.9"]
    keys = [column.key for column in table.columns]
    assert keys == ["valid", "l1", "frechet", "moved_thickness", "log_evidence"]
    assert [row.cells[keys.index("l1")].value for row in table.rows] == [12.5, 12.0, 11.6]
    assert [row.cells[keys.index("frechet")].value for row in table.rows] == [7.0, None, None]
    assert "3 actual images, 2 answers per image" in table.caption
    assert "Reconstruction error of the generator: 1.70 grey levels" in table.caption
    assert "its training failed" in to_markdown([failed])


def test_figures_of_queries(asked):
    queries, folder = asked
    curves, grid = query_pictures(queries, DATASET, folder / "data")
    assert [panel.name for panel in curves.panels] == [
        "valid",
        "l1",
        "frechet",
        "moved_thickness",
        "log_evidence",
    ]
    assert "thicker from 12.5 to 11.6" in curves.panels[1].alt
    assert "at s = 0, 0.5, 0.9" in grid.panels[0].alt
    for picture in (curves, grid):
        entry = save_picture(picture, folder / "figures")
        assert all((folder / "figures" / panel["file"]).stat().st_size > 2000 for panel in entry["panels"])
    # Three actual images, each with its reconstruction and three answers; every tile has a frame.
    drawn = (folder / "figures" / entry["panels"][0]["file"]).read_text()
    assert drawn.count(f'style="fill: none; stroke: {FAINT}') == 3 * 5
    assert query_pictures([], DATASET, folder / "data") == []


@pytest.fixture
def shown(tmp_path):
    """Real images with a dependence of intensity on thickness, and generated images without it."""
    rng = np.random.default_rng(0)
    tables = []
    for source, slope in (("real", 40.0), ("gan", 0.0)):
        thickness = rng.uniform(1, 5, 600)
        intensity = 100 + slope * (thickness - 3) + rng.normal(0, 3, 600)
        columns = {"thickness": thickness, "intensity": intensity, "digit": rng.integers(0, 10, 600)}
        columns |= {"thick": (thickness > 3).astype(int), "bright": (intensity > 100).astype(int)}
        tables.append(pd.DataFrame(columns).assign(source=source))
    write_table(tmp_path / "shown.parquet", pd.concat(tables, ignore_index=True))
    return read_structure([tmp_path / "shown.parquet"])


def test_the_structure_table_detects_a_missing_dependence(shown):
    table, attributes = structure_tables(shown, DATASET)
    real, gan = table.rows
    keys = [column.key for column in table.columns]
    assert real.cells[keys.index("thickness_intensity_r")].value > 0.98
    assert abs(gan.cells[keys.index("thickness_intensity_r")].value) < 0.15
    assert real.cells[keys.index("thickness_intensity_off")].value is None
    assert gan.cells[keys.index("thickness_intensity_off")].value == pytest.approx(40, abs=4)
    shares = {
        row.key: dict(zip([c.key for c in attributes.columns], row.cells, strict=True))
        for row in attributes.rows
    }
    assert shares["thick"]["bright_real"].value > 0.95
    assert shares["thick"]["bright_gan"].value == pytest.approx(0.5, abs=0.1)
    (picture,) = structure_pictures(shown, DATASET)
    assert [panel.name for panel in picture.panels] == ["thickness_intensity", "digit"]


def test_there_are_no_tables_without_generators():
    assert read_queries([]) == []
    assert query_tables([], DATASET) == []
    assert structure_tables(read_structure([]), DATASET) == structure_pictures({}, DATASET) == []


def test_a_failed_training_has_a_note(tmp_path):
    path = tmp_path / "models" / "gan" / "seed1" / "model.json"
    write_json(path, {"training": {"seconds": 60.0}, "failures": ["collapse"]})
    columns = [
        "method",
        "questions",
        "answered",
        "images",
        "seconds",
        "network_calls",
        "peak_rss_mb",
        "device",
    ]
    cost = pd.DataFrame([["gan", 5, 0, 0, 1.0, np.nan, 9.0, "cpu"]], columns=columns)
    assert "gan seed1 (collapse)" in cost_table(cost, [path]).notes[-1]
    write_json(path, {"training": {"seconds": 60.0}, "failures": []})
    assert len(cost_table(cost, [path]).notes) == 1


@pytest.mark.slow
def test_the_page_shows_queries_and_structure(asked, shown, results, tables, figures, few, tmp_path):
    _, folder = asked
    files = {"queries": sorted(folder.glob("queries/seed0/scores/*.parquet"))}
    files["structure"] = [folder / "shown.parquet"]
    pages = {}
    for name, own_tables, own_figures in (
        ("without", tables, figures),
        (
            "with",
            make_tables(results, tmp_path / "t", **files),
            make_figures(results, tmp_path / "f", **few, **files),
        ),
    ):
        write_report(
            own_tables, own_figures, {"methods": ["copy", "truth"]}, None, tmp_path / f"{name}.html", {}
        )
        pages[name] = (tmp_path / f"{name}.html").read_text()
    for words in (
        "<h2>Queries</h2>",
        "observed to be thick?",
        "Dependence structure of generated images",
    ):
        assert words in pages["with"]
        assert words not in pages["without"]


def test_an_actual_image_that_the_generator_made_is_shown_once(asked):
    [seen, *_], folder = asked
    made = replace(seen, table=seen.table.assign(index=-1))
    drawn = {}
    for name, query in (("real", seen), ("made", made)):
        _, grid = query_pictures([query], DATASET, folder / "data")
        entry = save_picture(grid, folder / name)
        drawn[name] = (folder / name / entry["panels"][0]["file"]).read_text()
        assert ("which the generator made" in grid.caption) == (name == "made")
    frames = {name: text.count(f'style="fill: none; stroke: {FAINT}') for name, text in drawn.items()}
    assert frames == {"real": 3 * 5, "made": 3 * 4}
