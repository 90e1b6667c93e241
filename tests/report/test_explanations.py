"""The explanations of the report: tables, figures and page, on synthetic scores and answers."""

import json
import re
import shutil
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.files import read_json
from counterfactory.metrics.summary import summary
from counterfactory.report.cells import Scores
from counterfactory.report.cost_quality import quality_picture, scale_picture
from counterfactory.report.examples import example_pictures, worst_picture
from counterfactory.report.explanations import explanation_costs, explanation_tables, flip_select
from counterfactory.report.flip_answers import read_flip_answers
from counterfactory.report.graph import graph_table, scored_pairs
from counterfactory.report.html import write_report
from counterfactory.report.narrative import explanation_sentences as sentences
from counterfactory.report.style import FAINT, method_colours, save_picture
from tests.report.named import NAMED
from tests.report.pretend import DATASET, make_figures, make_tables
from tests.report.test_html import Page

METHODS = ("copy", "vae", "dime", "dime_x", "truth")
ASKED = ("thick", "digit")
IMAGES = 4
NO_ANSWER = "the method does not answer this question"
# Number of flips (of four), and change of intensity when thick is flipped; the true change is 40 grey levels.
FLIPPED = {"copy": 0, "vae": 3, "dime": 1, "dime_x": 4, "truth": 4}
MOVED = {"vae": 35.0, "dime": 4.0, "dime_x": 20.0, "truth": 40.0}


def _answered(method: str, attribute: str, rank: int) -> bool:
    if method == "truth":
        return attribute == "thick"
    return rank < 2 if method == "dime" else True


def single_scores(method: str) -> pd.DataFrame:
    """Returns synthetic scores of single questions of one method."""
    rows = []
    for number, (rank, attribute) in enumerate((r, a) for r in range(IMAGES) for a in ASKED):
        there, flips = _answered(method, attribute, rank), rank < FLIPPED[method]
        values = {"flip_rate": float(flips), "l1": 0.0 if method == "copy" else 10.0 + rank}
        values |= {"mnac": 2.0 if flips else np.nan, "fs": 0.9 - 0.1 * rank if flips else np.nan}
        if attribute == "thick":
            moved = MOVED.get(method, np.nan) if flips else np.nan
            values |= {"moved_intensity": moved, "due_intensity": 40.0 + 0 * moved}
            values |= {"inconsistency_intensity": abs(moved - 40.0)}
        for metric, value in values.items():
            value = value if there else np.nan
            reason = "" if np.isfinite(value) else (NO_ANSWER if not there else "it did not flip")
            rows.append((number, "flip", attribute, "", 1, metric, value, reason))
    names = ["question", "suite", "intervention", "protocol", "cycles", "metric", "value", "reason"]
    return pd.DataFrame(rows, columns=names).assign(dataset="morphomnist", method=method, seed=0)


def all_scores() -> Scores:
    settings = SimpleNamespace(resamples=20, level=0.95, seed=0)
    tables = [summary(single_scores(method), settings) for method in METHODS]
    fid = tables[1].iloc[:1].assign(metric="fid", value=31.5, low=np.nan, high=np.nan, n=3)
    fid["reason"] = "of 3 images, fewer than 2,048: compare at equal n only"
    return Scores(pd.concat([*tables, fid], ignore_index=True))


def costs() -> pd.DataFrame:
    calls = {"copy": None, "vae": 3.0, "dime": 1771.0, "dime_x": 60.0, "truth": None}
    rows = [
        {"method": m, "seed": 0, "suite": s, "questions": 8, "answered": 4, "images": 4, "seconds": 2.0,
         "network_calls": None if calls[m] is None else 4 * calls[m], "peak_rss_mb": 300.0, "device": "cpu"}
        for m in METHODS for s in ("flip", "do")
    ]  # fmt: skip
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def flipped(results, tmp_path_factory):
    """Synthetic results with synthetic answers to the suite `flip`."""
    folder = shutil.copytree(results, tmp_path_factory.mktemp("flip") / "morphomnist")
    images = np.load(folder / "data" / "test" / "images.npy")
    pairs = [(rank, attribute) for rank in range(IMAGES) for attribute in ASKED]
    questions = pd.DataFrame(
        {
            "question": range(len(pairs)), "suite": "flip", "index": [rank for rank, _ in pairs],
            "intervention": [a for _, a in pairs], "protocol": "", "cycles": 1, "seed": 0, "steps": "[{}]",
            "attribute": [a for _, a in pairs], "label": [1 if a == "thick" else 7 for _, a in pairs],
            "target": [0 if a == "thick" else 3 for _, a in pairs], "repeat": 0,
        }
    )  # fmt: skip
    questions.to_parquet(folder / "questions" / "flip.parquet", index=False)
    tables = [pd.read_csv(folder / "scores" / "scores.csv", keep_default_na=False, na_values={"value": [""]})]
    spent, singles = costs(), {"flip": [], "graph_consistency": []}
    for method in METHODS:
        out = folder / "answers" / method / "seed0" / "flip"
        out.mkdir(parents=True)
        there = np.array([_answered(method, a, rank) for rank, a in pairs])
        made = images[questions["index"]].copy()
        if method != "copy":
            made[:, :, 8:12, 8:12] = 255
        made[~there] = 0
        np.save(out / "000000-000008.npy", made)
        table = questions.assign(answered=there)
        if method.startswith("dime"):
            missed = np.array([rank >= FLIPPED[method] for rank, _ in pairs])
            table["scale"] = np.where(there & ~missed, [8.0 + rank for rank, _ in pairs], np.nan)
        table.to_parquet(out / "000000-000008.parquet", index=False)
        cost = (
            spent[(spent["method"] == method) & (spent["suite"] == "flip")]
            .iloc[0]
            .drop(["method", "suite", "seed"])
        )
        (out / "000000-000008.cost.json").write_text(cost.to_json())
        for metric in ("flip", "graph_consistency"):
            rows = single_scores(method)
            is_graph = rows["metric"].str.contains("_intensity")
            singles[metric].append(
                rows[is_graph if metric == "graph_consistency" else ~is_graph].assign(method=method, seed=0)
            )
    for metric, rows in singles.items():
        path = folder / "scores" / metric / "seed0.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        pd.concat(rows, ignore_index=True).to_parquet(path, index=False)
    pd.concat([*tables, all_scores().table]).to_csv(folder / "scores" / "scores.csv", index=False)
    return folder


def explained(flipped):
    rows = sorted(flipped.glob("scores/*/seed0.parquet"))
    return read_flip_answers(
        flipped / "questions", flipped / "answers", flipped / "data", rows, list(METHODS)
    )


def _cell(table, row, key):
    cells = next(one.cells for one in table.rows if one.key == row)
    return cells[[column.key for column in table.columns].index(key)]


def test_every_group_of_scores_has_a_number_of_answers():
    both, thick, digit = explanation_tables(all_scores(), DATASET), None, None
    thick, digit = both
    assert [thick.key, digit.key] == ["flip_thick", "flip_digit"]  # a mean over one thing is no mean
    groups = {column.group for column in thick.columns}
    assert all(any(c.group == group and c.title == "n" for c in thick.columns) for group in groups)
    assert _cell(thick, "dime", "flip_rate_n").value == 2 and _cell(thick, "dime", "flip_rate").value == 0.5
    assert _cell(thick, "dime", "fs_n").value == 1 and _cell(thick, "vae", "fs_n").value == 3
    assert _cell(thick, "copy", "fs_n").value == 0 and _cell(thick, "copy", "fs").reason


def test_a_distance_that_depends_on_n_has_a_reason():
    thick = explanation_tables(all_scores(), DATASET)[0]
    assert _cell(thick, "vae", "fid").value == 31.5 and _cell(thick, "vae", "fid_n").value == 3
    assert "equal n" in _cell(thick, "vae", "fid").reason


def test_missing_attributes_methods_and_scores_have_a_note():
    table = all_scores().table
    away, constant = "identity.network.weights: 'away.pkl' is not a file", "the classifier says no to thick"
    table.loc[(table["method"] == "dime") & (table["intervention"] == "digit"), ["value", "reason"]] = (
        np.nan,
        "no weights",
    )
    table.loc[table["intervention"] == "thick", ["value", "reason"]] = np.nan, constant
    table.loc[table["metric"] == "fs", ["value", "reason"]] = np.nan, away
    # The floor has an L1 distance of 0 for every question.
    table.loc[(table["intervention"] == "thick") & (table["metric"] == "l1"), "value"] = 0.0
    thick, digit = explanation_tables(Scores(table), DATASET)
    assert thick.notes[2:] == ("thick: the classifier says no to thick.",)
    assert digit.notes[2:] == ("DiME: no weights.", f"Truth: {NO_ANSWER}.", f"FS: {away}.")


def test_floor_and_ceiling_are_not_bold():
    thick = explanation_tables(all_scores(), DATASET)[0]
    assert [row.role for row in thick.rows] == ["floor", "method", "method", "method", "ceiling"]
    assert [row.key for row in thick.rows for cell in [_cell(thick, row.key, "flip_rate")] if cell.best] == [
        "dime_x"
    ]


def test_means_are_over_attributes_that_the_ceiling_answers():
    assert flip_select(all_scores(), "flip_rate").interventions == ("thick",)
    without = Scores(all_scores().table.query("method != 'truth'"))
    assert flip_select(without, "flip_rate").interventions == ASKED
    mean = explanation_tables(without, DATASET)[0]
    assert mean.key == "flip" and _cell(mean, "vae", "flip_rate").value == 0.75
    assert _cell(mean, "vae", "flip_rate_n").value == 2 * IMAGES
    assert "a dash if a method lacks one of them" in mean.caption
    # Only thick has an FID, so its mean is that of thick.
    assert _cell(mean, "vae", "fid").value == 31.5
    assert "FID: mean over thick only; no method has a value for digit." in mean.notes
    assert not any("flip rate" in note for note in mean.notes)


def test_the_graph_table_has_measured_and_true_change():
    scores = all_scores()
    assert scored_pairs(scores, DATASET) == [("thick", "intensity")]
    table = graph_table(scores, DATASET)
    assert _cell(table, "dime_x", "thick_intensity_moved").value == 20.0
    assert _cell(table, "dime_x", "thick_intensity_due").value == 40.0
    assert _cell(table, "dime_x", "thick_intensity_inconsistency").value == 20.0
    # Methods with different numbers of flips are not compared.
    assert not any(_cell(table, name, "thick_intensity_inconsistency").best for name in ("vae", "dime_x"))
    assert _cell(table, "truth", "thick_intensity_inconsistency").value == 0
    assert (
        "thickness affects intensity" in table.caption
        and "thickness and digit have no cause" in table.caption
    )
    assert "copy" not in [row.key for row in table.rows]  # it flips nothing
    assert sentences({"graph": table}) == [
        "Change of intensity when thick is flipped, mean distance from the change that the causal graph implies (grey "
        "levels): VAE 5.00 (n = 3), DiME-X (ours) 20.00 (n = 4) and DiME 36.00 (n = 1)."
    ]


def test_there_are_no_explanation_tables_without_flips(results):
    scores = Scores(all_scores().table.query("suite != 'flip'"))
    assert explanation_tables(scores, DATASET) == [] and graph_table(scores, DATASET) is None
    assert sentences({}) == [] and explanation_costs(costs().query("suite == 'do'"), []) is None
    assert (
        read_flip_answers(results / "questions", results / "answers", results / "data", [], list(METHODS))
        is None
    )


def test_costs_of_explanations_are_per_answer_of_the_suite():
    table = explanation_costs(costs(), list(METHODS))
    assert _cell(table, "dime", "network_calls_per_answer").value == 1771.0
    assert _cell(table, "dime", "seconds_per_answer").value == 0.5
    assert _cell(table, "copy", "network_calls_per_answer").reason == "calls no network"


def test_examples_show_the_same_images_for_every_method(flipped):
    thick, digit = example_pictures(explained(flipped), DATASET, 3)
    assert (thick.key, digit.key) == ("flip_thick", "flip_digit") and len(thick.panels) == 1
    assert "thick → not" in thick.panels[0].alt and "7 → 3" in digit.panels[0].alt
    assert "VAE, DiME, DiME-X (ours), Truth" in thick.panels[0].alt and "Truth" not in digit.panels[0].alt
    assert "DiME misses 1" in thick.panels[0].alt


def test_figures_of_explanations_call_classes_by_their_names(flipped):
    answers = explained(flipped)
    answers.questions["attribute"] = answers.questions["attribute"].replace(
        {"thick": "holes", "digit": "season"}
    )
    season = answers.questions["attribute"] == "season"
    answers.questions.loc[season, ["label", "target"]] = (2, 0)
    holes, seasons = example_pictures(answers, NAMED, 3)
    assert holes.title == "Explanations: holes flipped" and "yes → no" in holes.panels[0].alt
    assert seasons.title == "Explanations: another season" and "summer → autumn" in seasons.panels[0].alt
    assert "→ not" not in holes.panels[0].alt and "2 → 0" not in seasons.panels[0].alt


def test_every_tile_of_explanations_has_a_frame(flipped, tmp_path):
    answers = explained(flipped)
    (thick, _), worst = example_pictures(answers, DATASET, 3), worst_picture(answers)
    frame = f'style="fill: none; stroke: {FAINT}'
    for picture in (thick, worst):
        save_picture(picture, tmp_path)
    answered = sum(_answered(method, "thick", rank) for method in METHODS[1:] for rank in range(3))
    # Three factual images; an answer and its difference, or one grey tile.
    tiles = 3 + 2 * answered + (3 * len(METHODS[1:]) - answered)
    assert (tmp_path / "flip_thick" / "01.svg").read_text().count(frame) == tiles
    assert (tmp_path / "explanations_worst" / "vae.svg").read_text().count(frame) == 3 * 6


def test_the_worst_answers_are_failures_then_the_least_similar(flipped):
    picture = worst_picture(explained(flipped))
    assert [panel.name for panel in picture.panels] == ["vae", "dime", "dime_x"]
    vae, _, dime_x = (panel.alt for panel in picture.panels)
    assert vae.startswith("Worst answers of VAE: thick no flip, digit no flip, thick FS 0.70")
    assert dime_x.startswith("Worst answers of DiME-X (ours): thick FS 0.60")


def test_flip_rate_against_scale_includes_failures(flipped):
    picture = scale_picture(explained(flipped), method_colours(METHODS))
    assert [panel.name for panel in picture.panels] == list(ASKED)
    assert "DiME 50 % at 8, 50 % at 8" in picture.panels[0].alt
    assert (
        "DiME-X (ours) 25 % at 8, 100 % at 11" in picture.panels[0].alt and "VAE" not in picture.panels[0].alt
    )


def test_scores_are_drawn_against_network_calls():
    table = explanation_costs(costs(), list(METHODS))
    picture = quality_picture(all_scores(), table, DATASET, method_colours(METHODS))
    assert [panel.name for panel in picture.panels] == ["flip_rate", "l1", "fs", "mnac"]
    assert "DiME 1.77e+03 calls, 0.5" in picture.panels[0].alt and "Copy" not in picture.panels[0].alt


def test_the_page_separates_published_explanations_of_other_data(flipped, tmp_path):
    tables = make_tables(flipped, tmp_path / "tables")
    figures = make_figures(flipped, tmp_path / "figures")
    keys = [picture["key"] for picture in read_json(figures / "index.json")]
    wanted = ["flip_thick", "flip_digit", "graph"]
    wanted += [f"explanations_{name}" for name in ("scale", "quality", "worst")]
    assert [key for key in keys if key in wanted] == wanted
    config = {"methods": list(METHODS), "seeds": [0]}
    write_report(tables, figures, config, None, tmp_path / "report.html", {})
    text = (tmp_path / "report.html").read_text()
    page = Page(text)
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    assert {"explanations", "t-graph", "t-flip_thick", "t-explanations_cost", "f-explanations_worst"} <= ids
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch(r"h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    here = text[text.index('id="explanations"') : text.index('id="errors"')]
    assert "on another data set" in here and "CelebA" in here and "MaskDiME" in here
    assert "MaskDiME" not in text[text.index('id="errors"') :].split("Configuration and run")[0]
    # Explainers do not answer interventions, so they have no columns in these tables.
    do = json.loads((tables / "index.json").read_text())
    assert not any(
        "dime" in column["key"]
        for table in do
        if table["key"] == "do_thickness"
        for column in table["columns"]
    )
