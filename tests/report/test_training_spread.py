from pathlib import Path
from statistics import mean, stdev

import pandas as pd
import pytest

from counterfactory.config import load_settings
from counterfactory.config.load import is_default
from counterfactory.core.errors import UserError
from counterfactory.methods.registry import METHODS
from counterfactory.report.caveats import caveats
from counterfactory.report.cells import Scores, read_scores
from counterfactory.report.names import table_names
from counterfactory.report.training_spread import (
    RELEASED,
    checksum,
    is_released,
    read_released,
    released_rows,
    spread_tables,
    write_released,
)
from tests.report.pretend import DATASET, pretend_results

ABOUT = {"command": "make run", "revision": "abc", "machine": "2 cores"}


@pytest.fixture(scope="module")
def table(tmp_path_factory) -> pd.DataFrame:
    """The scores of three training seeds; floor and ceiling have one."""
    results = pretend_results(
        tmp_path_factory.mktemp("three") / "morphomnist", seeds=(0, 1, 2), images=24, sweep=1
    )
    return read_scores(results / "scores" / "scores.csv").table


@pytest.fixture
def folder(table, tmp_path) -> Path:
    write_released(released_rows(table), ABOUT, "morphomnist", tmp_path / "released")
    return tmp_path / "released"


def test_cells_are_mean_and_standard_deviation_over_trainings(table, folder):
    headline = spread_tables(Scores(table), DATASET, folder)[0]
    assert headline.key == "spread" and [row.key for row in headline.rows] == ["vae", "hvae"]
    place = [column.key for column in headline.columns].index("do_thickness_marginal_predicted_thickness")
    for row in headline.rows:
        values = table.query(
            f"method == '{row.key}' and suite == 'do' and intervention == 'thickness' and protocol == 'marginal'"
            " and metric == 'predicted_thickness'"
        )["value"].tolist()
        cell = row.cells[place]
        assert len(values) == cell.seeds == 3
        assert cell.value == pytest.approx(mean(values), rel=1e-4)
        assert cell.spread == pytest.approx(stdev(values), rel=1e-3, abs=1e-4)
        assert cell.low is cell.high is None


def test_a_mean_over_interventions_varies_as_the_means_of_single_trainings(table, folder):
    headline = spread_tables(Scores(table), DATASET, folder)[0]
    place = [column.key for column in headline.columns].index("reverse_l1_10")
    rows = table.query("method == 'hvae' and suite == 'reverse' and cycles == 10 and metric == 'l1'")
    means = rows.groupby("seed")["value"].mean().tolist()
    cell = next(row for row in headline.rows if row.key == "hvae").cells[place]
    assert cell.value == pytest.approx(mean(means), rel=1e-4)
    assert cell.spread == pytest.approx(stdev(means), rel=1e-2, abs=1e-4)


def test_the_ceiling_is_kept_and_has_no_row(table, folder):
    assert "truth" in set(released_rows(table)["method"])
    assert all(
        row.role == "method" for one in spread_tables(Scores(table), DATASET, folder) for row in one.rows
    )


def test_no_training_is_named_the_best_one(table, folder):
    assert not any(
        cell.best
        for one in spread_tables(Scores(table), DATASET, folder)
        for row in one.rows
        for cell in row.cells
    )


def test_only_methods_of_the_run_have_a_row(table, folder):
    own = Scores(table[table["method"].isin(["copy", "hvae"]) & (table["seed"] == 0)])
    (headline,) = spread_tables(own, DATASET, folder)
    assert [row.key for row in headline.rows] == ["hvae"]


def test_two_seeds_are_too_few(table):
    with pytest.raises(UserError, match="3 training seeds"):
        released_rows(table[table["seed"] < 2])


def test_a_data_set_without_released_scores_has_no_table(table, tmp_path):
    assert spread_tables(Scores(table), DATASET, tmp_path) == []
    assert not is_released("morphomnist", tmp_path)


def test_the_checksum_follows_the_scores(table, folder, tmp_path):
    rows = released_rows(table)
    assert checksum("morphomnist", folder) == checksum("morphomnist", folder)
    write_released(rows.assign(value=rows["value"] + 1), ABOUT, "morphomnist", tmp_path / "other")
    assert checksum("morphomnist", folder) != checksum("morphomnist", tmp_path / "other")


def test_a_damaged_file_is_named(folder):
    (folder / "morphomnist.csv").write_text("method\nvae\n")
    with pytest.raises(UserError, match="morphomnist.csv"):
        read_released("morphomnist", folder)


def test_only_default_trainings_are_those_of_the_release():
    sections = ("data", "judges", "models")
    assert is_default(load_settings({}), *sections)
    same = {"methods": ["copy", "vae"], "data": {"digits": "package"}, "questions": {"do": {"images": 9}}}
    assert is_default(load_settings(same), *sections)
    assert not is_default(load_settings({"models": {"hvae": {"training": {"steps": 9}}}}), *sections)
    assert not is_default(load_settings({"training": {"steps": 9}}), *sections)
    assert not is_default(load_settings({"data": {"train": 900}}), *sections)
    assert is_default(load_settings({"dataset": "pendulum"}), *sections)


def test_the_tables_have_names_only_with_released_scores():
    settings = load_settings({})
    metrics = ["effectiveness", "axioms", "flip"]
    without = table_names(settings, ["do", "flip"], metrics)
    assert not any(name.startswith("spread") for name in without)
    assert [
        name for name in table_names(settings, ["do", "flip"], metrics, spread=True) if name not in without
    ] == ["spread", "spread_flip"]
    assert "spread_flip" not in table_names(settings, ["do"], metrics, spread=True)


def test_the_page_says_where_the_variation_over_trainings_is_shown(table, folder):
    found = {one.key: one for one in spread_tables(Scores(table), DATASET, folder)}
    assert any("variation over trainings show" in text for text in caveats(found, {"seeds": [0]}))
    assert any("Configure more seeds" in text for text in caveats({}, {"seeds": [0]}))
    assert not any("one training seed" in text for text in caveats(found, {"seeds": [0, 1]}))


@pytest.mark.parametrize("dataset", sorted(path.stem for path in RELEASED.glob("*.csv")))
def test_released_scores_are_of_three_trainings_each(dataset):
    scores, about = read_released(dataset)
    assert set(about) == {"command", "revision", "machine"} and "dirty" not in about["revision"]
    assert set(scores.methods) <= set(METHODS)
    rows = scores.table
    assert (rows[rows["method"] != "truth"].groupby("method")["seed"].nunique() >= 3).all()
    assert rows["value"].notna().all() and not rows.duplicated(list(rows.columns[:7])).any()
