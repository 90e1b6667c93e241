import csv
import io
import json
import math
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import yaml

from counterfactory.core.files import read_json
from counterfactory.data.morphomnist import log_density
from counterfactory.report.cells import Scores, read_scores
from counterfactory.report.checks import identity_table, mechanisms_table, read_judges
from counterfactory.report.distance import distance_table
from counterfactory.report.layout import Table
from counterfactory.report.published import PUBLISHED
from counterfactory.report.score_tables import codes_table, headline_table, main_tables
from tests.report.named import NAMED
from tests.report.pretend import DATASET, NO_ANSWER, QUALITY, make_tables


def read(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text())))


NAMES = [
    "headline",
    "main",
    "distance",
    "do_thickness",
    "do_intensity",
    "do_digit",
    "do_random",
    "reversibility",
]
NAMES += ["judges", "mechanisms", "published", "cost"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["csv", "md", "tex"])
def test_every_table_is_written_in_every_format(tables, name, kind):
    assert (tables / f"{name}.{kind}").stat().st_size > 100


def test_the_main_table_has_one_row_per_method(tables):
    rows = read(tables / "main.csv")
    assert [row["method"] for row in rows] == ["copy", "vae", "hvae", "truth"]
    for column in (
        "do_thickness_marginal_predicted_thickness",
        "do_digit_marginal_predicted_digit",
        "do_intensity_marginal_measured_intensity_truth",
        "do_thickness_marginal_truth_lpips",
        "do_random_marginal_parents_intensity",
        "null_l1_1",
        "null_lpips_10",
        "reverse_l1_10",
    ):
        assert column in rows[0] and f"{column}_low" in rows[0], column


def test_numbers_equal_those_of_the_scores(results, tables):
    scores = read_scores(results / "scores" / "scores.csv").table
    row = scores.query(
        "method == 'vae' and suite == 'do' and intervention == 'intensity' and protocol == 'marginal'"
        " and metric == 'predicted_intensity'"
    ).iloc[0]
    written = next(row for row in read(tables / "main.csv") if row["method"] == "vae")
    for end in ("", "_low", "_high"):
        found = float(written[f"do_intensity_marginal_predicted_intensity{end}"])
        assert found == row[{"": "value", "_low": "low", "_high": "high"}[end]]


def test_only_methods_are_bold_and_missing_numbers_have_footnotes(tables):
    lines = (tables / "headline.md").read_text().splitlines()
    rows = {line.split("|")[1].strip(): line for line in lines if line.startswith("| ")}
    assert "**" not in rows["Copy (floor)"] and "**" not in rows["Truth (ceiling)"]
    assert rows["HVAE"].count("**") >= 2 * 7
    assert "–<sup>a</sup>" in rows["Truth (ceiling)"] and f"<sup>a</sup> {NO_ANSWER}" in "\n".join(lines)


def test_methods_with_codes_have_a_table_of_codes(results):
    """DCI scores exist for methods with codes only."""
    scores = read_scores(results / "scores" / "scores.csv").table
    assert not codes_table(Scores(scores), DATASET).columns
    one = scores.query("method == 'hvae' and suite == 'null' and metric == 'l1' and cycles == 1").iloc[:1]
    values = {"dci_disentanglement": 0.9, "dci_completeness": 0.4, "dci_informativeness": 0.8}
    more = [
        one.assign(metric=name, value=value, low=math.nan, high=math.nan) for name, value in values.items()
    ]
    table = codes_table(Scores(pd.concat([scores, *more], ignore_index=True)), DATASET)
    assert [column.title for column in table.columns] == [
        "disentanglement",
        "completeness",
        "informativeness",
    ]
    assert [(row.key, [cell.value for cell in row.cells]) for row in table.rows] == [
        ("hvae", [0.9, 0.4, 0.8])
    ]


def test_errors_in_published_units_have_their_own_table(results):
    scores = read_scores(results / "scores" / "scores.csv").table
    rows = scores.query("suite == 'do' and metric == 'predicted_thickness'")
    more = rows.assign(metric="normalised_thickness", value=rows["value"] / 2.4)
    tables = {table.key: table for table in main_tables(Scores(pd.concat([scores, more])), DATASET)}
    assert {column.unit for column in tables["main_normalised"].columns} == {"published units"}
    assert "main_other" not in tables


def test_only_the_table_of_costs_depends_on_times(results, tables, tmp_path):
    costs = []
    for path in sorted(results.glob("answers/*/*/*/*.cost.json")):
        cost = read_json(path)
        other = tmp_path / path.relative_to(results)
        other.parent.mkdir(parents=True, exist_ok=True)
        other.write_text(
            str(cost | {"seconds": cost["seconds"] * 3.7}).replace("'", '"').replace("None", "null")
        )
        costs.append(other)
    again = make_tables(results, tmp_path / "again", costs=costs)
    names = sorted(path.name for path in tables.iterdir())
    assert names == sorted(path.name for path in again.iterdir())
    differing = {name for name in names if (tables / name).read_bytes() != (again / name).read_bytes()}
    assert differing == {"cost.csv", "cost.md", "cost.tex", "cost.json"}


def test_cost_is_per_image(tables):
    for row in read(tables / "cost.csv"):
        assert float(row["milliseconds_per_image"]) == pytest.approx(QUALITY[row["method"]][4])
    rows = {row["method"]: row for row in read(tables / "cost.csv")}
    assert float(rows["hvae"]["network_calls_per_image"]) == 4.0
    assert rows["copy"]["network_calls_per_image"] == "" and "not counted" in rows["copy"]["absent"]
    assert float(rows["hvae"]["training_minutes"]) == pytest.approx(8.4)


def test_the_closed_gap_is_a_ratio_of_differences(results):
    scores = read_scores(results / "scores" / "scores.csv")
    judges = read_judges(sorted(results.glob("models/judges/*/model.json")))
    table = distance_table(scores, DATASET, judges)
    rows = {row.key: row for row in table.rows}
    floor, _, _, score, share, ceiling = rows["thickness:predicted_thickness"].cells
    assert share.value == pytest.approx(100 * (floor.value - score.value) / (floor.value - ceiling.value))
    assert share.best and not rows["thickness:predicted_thickness"].cells[2].best
    # No true counterfactual exists under do(digit): the error of the judge on real images is the ceiling.
    end = rows["digit:predicted_digit"].cells[-1]
    assert end.value == 0.981 and "judge" in end.reason
    # Intensity has no effect on thickness; thickness affects intensity.
    assert "intensity:predicted_thickness" not in rows and "thickness:predicted_intensity" in rows
    assert "thickness:predicted_digit" not in rows


def test_a_ceiling_of_other_questions_is_not_used(results):
    table = read_scores(results / "scores" / "scores.csv").table
    assert "random:predicted_thickness" in {
        row.key for row in distance_table(Scores(table), DATASET, {}).rows
    }
    part = (table["method"] == "truth") & (table["intervention"] == "random")
    table.loc[part, "n"] -= 1
    assert "random:predicted_thickness" not in {
        row.key for row in distance_table(Scores(table), DATASET, {}).rows
    }


def test_two_seeds_have_a_spread_and_untrained_methods_an_interval(two_seeds, tmp_path):
    rows = {row["method"]: row for row in read(make_tables(two_seeds, tmp_path) / "headline.csv")}
    column = "do_thickness_marginal_predicted_thickness"
    assert float(rows["vae"][f"{column}_spread"]) > 0 and rows["vae"][f"{column}_seeds"] == "2"
    assert rows["copy"][f"{column}_spread"] == "" and float(rows["copy"][f"{column}_low"]) > 0
    assert "95 % intervals over questions and 2 training seeds" in (tmp_path / "headline.md").read_text()


def test_published_values_are_paired_with_this_run(tables):
    rows = read(tables / "published.csv")
    assert all(
        row["source"] and row["protocol_in_words"] and row["comparable"] in ("yes", "no") for row in rows
    )
    hvae = [row for row in rows if row["method"] == "HVAE" and row["intervention"] == "thickness"]
    assert {row["metric"]: float(row["published"]) for row in hvae}["predicted_thickness"] == 0.086
    assert all(float(row["ours"]) > 0 for row in hvae)
    gan = next(row for row in rows if row["method"] == "GAN")
    assert gan["ours"] == "" and gan["ours_absent"] == "not in this run"
    text = (tables / "published.md").read_text()
    assert "HVAE, published" in text and "HVAE, this run" in text and "GAN, this run" not in text
    assert "slide values, under-review deck 2024" in text


def test_a_study_is_shown_for_its_data_sets_only(results, tmp_path):
    content = yaml.safe_load(PUBLISHED.read_text())
    content["studies"][0]["datasets"] = ["pendulum"]
    file = tmp_path / "published.yaml"
    file.write_text(yaml.safe_dump(content))
    shown = {row["study"] for row in read(make_tables(results, tmp_path, published=file) / "published.csv")}
    always = [study for study in content["studies"] if not study.get("only_with_ours")]
    mine = [study for study in always if "morphomnist" in study.get("datasets", ["morphomnist"])]
    assert shown == {study["title"] for study in mine} and content["studies"][0] not in mine


def test_an_unknown_score_is_shown(results):
    scores = read_scores(results / "scores" / "scores.csv").table
    new = scores[scores["metric"] == "truth_l1"].assign(metric="roundness_of_all")
    tables = {
        table.key: table
        for table in main_tables(Scores(pd.concat([scores, new], ignore_index=True)), DATASET)
    }
    assert (
        tables["main_other"].columns[0].title == "roundness of all"
        and tables["main_other"].columns[0].better == ""
    )
    assert "main_other" not in {table.key for table in main_tables(Scores(scores), DATASET)}


def test_a_metric_that_was_not_computed_has_no_columns(results):
    scores = read_scores(results / "scores" / "scores.csv").table
    scores = Scores(scores[~scores["metric"].str.contains("lpips")])
    assert not [
        column for table in main_tables(scores, DATASET) for column in table.columns if "lpips" in column.key
    ]


def test_a_single_method_is_not_bold(results):
    scores = read_scores(results / "scores" / "scores.csv").table
    for methods in (["copy", "hvae", "truth"], ["copy", "truth"], ["hvae"]):
        some = Scores(scores[scores["method"].isin(methods)])
        table = headline_table(some, DATASET)
        assert [row.key for row in table.rows] == methods
        assert not any(cell.best for row in table.rows for cell in row.cells)
        assert len(distance_table(some, DATASET, {}).rows) == 0 or "copy" in methods


def test_the_index_contains_all_tables_in_order(tables):
    listed = [Table.from_dict(fields) for fields in read_json(tables / "index.json")]
    keys = [table.key for table in listed]
    assert keys[:2] == ["headline", "distance"] and len(keys) == len(set(keys))
    assert {"main_effectiveness", "main_axioms", "judges", "mechanisms", "published_1"} <= set(
        keys
    ) and "cost" not in keys


def test_mechanisms_are_compared_with_the_true_process(results, tables):
    rows = {row["mechanism"]: row for row in read(tables / "mechanisms.csv")}
    attributes = pd.read_parquet(results / "data" / "test" / "attributes.parquet")
    density = log_density(attributes["thickness"], attributes["intensity"])
    low, high = DATASET.variable("thickness").low, DATASET.variable("thickness").high
    true = -density["thickness"].mean() - math.log((high - low) / 2)
    assert float(rows["thickness"]["true"]) == pytest.approx(true)
    assert float(rows["digit"]["true"]) == pytest.approx(math.log(10))
    for row in rows.values():
        assert float(row["difference"]) == pytest.approx(float(row["fitted"]) - float(row["true"]))
    assert float(rows["total"]["true"]) == pytest.approx(
        sum(float(row["true"]) for name, row in rows.items() if name != "total")
    )


def test_an_unknown_process_has_no_difference():
    table = mechanisms_table([{"nll": {"thickness": 0.5}}, {"nll": {"thickness": 0.7}}], {})
    fitted, true, difference = table.rows[0].cells
    assert fitted.value == pytest.approx(0.6) and fitted.spread == pytest.approx(0.1 * 2**0.5)
    assert true.value is None and "not known" in difference.reason


def test_the_identity_network_has_a_table_of_its_verification(results, tmp_path):
    part = {
        "auc": 0.99,
        "true_accept": 0.93,
        "false_accept": 0.01,
        "auc_matched": 0.98,
        "false_accept_matched": 0.02,
    }
    measured = part | {"false_accept": 0.008, "sources": 600}
    meta = {"threshold": 0.8137, "verification": {"valid": part | {"sources": 500}, "measured": measured}}
    path = tmp_path / "model.json"
    path.write_text(json.dumps(meta))
    out = make_tables(results, tmp_path / "tables", identity=[path])
    text = (out / "identity.md").read_text()
    assert "threshold of FVA, 0.814, accepts" in text
    assert "| held out, evaluation only | 0.9900 | 0.930 | 0.0080 | 0.9800 | 0.0200 | 600 |" in text
    assert "identity" in {table["key"] for table in json.loads((out / "index.json").read_text())}
    assert not (make_tables(results, tmp_path / "without") / "identity.md").exists()


def _identity(dataset):
    part = dict.fromkeys(("auc", "true_accept", "false_accept", "auc_matched", "false_accept_matched"), 0.5)
    part["sources"] = 4
    table = identity_table({"threshold": 0.8, "verification": {"valid": part, "measured": part}}, dataset)
    text = " ".join((table.caption, table.stub, *(f"{one.group} {one.title}" for one in table.columns)))
    return text, [column.group for column in table.columns]


def test_the_identity_table_calls_individuals_and_matched_variables_as_they_are():
    text, groups = _identity(NAMED)  # images of leaves
    assert (
        "Pairs of images of one individual, compared with pairs of different individuals, none of which"
        in text
    )
    assert "person" not in text and "photograph" not in text
    # A continuous variable is not matched.
    assert groups[3] == groups[4] == "equal holes and season" and "length" not in text
    text, groups = _identity(replace(NAMED, name="celeba"))
    assert "photographs of one person" in text and "different persons, none of whom" in text
    continuous = replace(NAMED, variables=NAMED.variables[2:])
    assert _identity(continuous)[1][3] == "any other image (there are no classes to match)"
    text, groups = _identity(DATASET)
    assert "renderings of one digit" in text and groups[3] == "equal thickness and intensity"
