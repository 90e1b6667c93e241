"""Scoring by one metric: all methods in one process, missing scores with reasons, one-line errors."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.checkpoint import save_missing
from counterfactory.core.errors import BadFile, UserError
from counterfactory.core.files import write_array, write_table
from counterfactory.metrics.axioms import l1_distance
from counterfactory.metrics.inputs import Score, SetScore
from counterfactory.metrics.registry import METRICS, Metric
from counterfactory.metrics.resources import Resources
from counterfactory.metrics.run import compute_reference
from counterfactory.metrics.summary import WHOLE, summarise


def use(monkeypatch, name, module, metric):
    """Registers a metric whose module is `module`."""
    monkeypatch.setitem(METRICS, name, metric)
    monkeypatch.setattr("counterfactory.metrics.run.imported", lambda name: module)


def test_unanswered_questions_have_no_score(place, settings):
    questions = place.write_questions("null", [{}, {}, {}])
    answered = np.array([True, False, True])
    images = place.images[:3] * answered[:, None, None, None].astype(np.uint8)
    place.write_answers("vae", questions, images, answered=answered)
    table = place.score("axioms", ["vae"], settings)
    np.testing.assert_array_equal(table["value"], [0.0, np.nan, 0.0])
    assert table["reason"].tolist() == ["", "the method does not answer this question", ""]


def test_the_reason_of_a_method_is_kept(place, settings):
    questions = place.write_questions("null", [{}, {}]).assign(reason=["", "out of weights"])
    place.write_answers("vae", questions, place.images[:2], answered=np.array([True, False]))
    assert place.score("axioms", ["vae"], settings)["reason"].tolist() == ["", "out of weights"]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("axiom", "scores.metrics: axiom: no such metric; did you mean 'axioms'?"),
        ("correlation", "requires --reference"),
        ("lpips", "lpips"),
        ("axioms", "no questions of its suites \\(null, reverse\\)"),
    ],
)
def test_errors_are_one_line(place, settings, metric, message):
    with pytest.raises(UserError, match=message) as caught:
        place.score(metric, ["copy"], settings, suites={})
    assert "\n" not in str(caught.value)
    assert not (place.folder / "scores.parquet").exists()


def test_one_process_scores_every_method_on_the_suites_that_it_answers(place, settings):
    null, reverse = (
        place.write_questions("null", [{}, {}]),
        place.write_questions("reverse", [{"intervention": "thickness"}]),
    )
    for method, shift in (("vae", 2), ("copy", 0)):
        place.write_answers(method, null, place.images[:2] + np.uint8(shift))
        place.write_answers(method, reverse, place.images[:1] + np.uint8(shift))
    table = place.score("axioms", ["copy", "dime", "vae"], settings)  # dime answers neither suite
    assert list(zip(table["method"], table["suite"], table["value"], strict=True)) == [
        *[("copy", "null", 0.0)] * 2,
        ("copy", "reverse", 0.0),
        *[("vae", "null", 2.0)] * 2,
        ("vae", "reverse", 2.0),
    ]
    with pytest.raises(UserError, match="methods: vea: no such method; did you mean 'vae'"):
        place.score("axioms", ["vea"], settings)


class Distances:
    """The distances to the factual and to the true image."""

    @staticmethod
    def load(resources):
        return lambda answers: [
            Score("factual", l1_distance(answers.images, answers.factual)),
            Score("true", l1_distance(answers.images, answers.truth)),
        ]


def test_methods_share_what_is_read_and_have_the_same_scores_as_alone(place, settings, monkeypatch):
    use(monkeypatch, "distances", Distances, Metric(("do", "null"), truth=True))
    methods = ("vae", "copy", "hvae")
    for questions in (
        place.write_questions("do", [{"index": 4}, {"index": 1}, {}]),
        place.write_questions("null", [{}, {"index": 5}]),
    ):
        for shift, method in enumerate((*methods, "truth")):
            place.write_answers(method, questions, place.images[: len(questions)] + np.uint8(shift))
    read, load = [], np.load
    monkeypatch.setattr(np, "load", lambda path, **more: read.append(path) or load(path, **more))
    alone = [place.score("distances", [method], settings) for method in methods]
    read.clear()
    together = place.score("distances", methods, settings)
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True), check_exact=True)
    assert together["value"].nunique() > 5
    assert read.count(place.data / "test" / "images.npy") == 1
    true = [path for path in read if "truth" in path.parts]
    assert len(true) == len(set(true)) == 4  # two chunks per suite


def test_a_metric_with_any_suite(place, settings, monkeypatch):
    """A metric needs no change outside its module and its line for the suites `flip` and `sweep`."""
    use(monkeypatch, "distances", Distances, Metric(("flip", "sweep"), truth=True))
    flip = {"intervention": "bright", "attribute": "bright", "label": 0, "target": 1, "repeat": 0}
    for suite, row in (("flip", flip), ("sweep", {"intervention": "thickness"})):
        questions = place.write_questions(suite, [row] * 2)
        for method in ("vae", "truth"):
            place.write_answers(method, questions, place.images[:2])
    table = place.score("distances", ["vae"], settings)
    assert table["suite"].tolist() == ["flip"] * 4 + ["sweep"] * 4 and (table["value"] == 0.0).all()


def test_the_tidy_table_is_ordered_by_method(place, settings, tmp_path):
    for suite, file in (("null", "one"), ("reverse", "two")):
        row = {"intervention": "thickness"} if suite == "reverse" else {}
        for method in ("copy", "vae"):
            place.write_answers(method, place.write_questions(suite, [row]), place.images[:1])
        suites = {suite: place.questions[suite]}
        place.score("axioms", ["vae", "copy"], settings, suites=suites, out=tmp_path / f"{file}.parquet")
    summarise(
        [tmp_path / "one.parquet", tmp_path / "two.parquet"], settings.bootstrap, tmp_path / "scores.csv"
    )
    table = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)
    assert list(zip(table["method"], table["suite"], strict=True)) == [
        (method, suite) for method in ("vae", "copy") for suite in ("null", "reverse")
    ]


def test_answers_to_other_questions_are_refused(place, settings):
    place.write_answers("copy", place.write_questions("null", [{}, {}]), place.images[:2])
    place.write_questions("null", [{}, {"index": 5}])
    with pytest.raises(UserError, match="not the answers to these 2 questions"):
        place.score("axioms", ["copy"], settings)


def test_damaged_questions_are_refused(place, settings):
    questions = place.write_questions("null", [{}, {}])
    place.write_answers("copy", questions, place.images[:2])
    path = place.questions["null"]
    for table, message in (
        (questions.drop(columns="index"), "no column index"),
        (questions.assign(index=["0", "one"]), "column index is not of integers"),
        (questions.assign(index=[0, 6]), "row 6 of the test split, which has 6 images"),
        (questions.assign(index=[0, -1]), "row -1 of the test split"),
        (questions.assign(steps=0), "column steps is not of text"),
        (questions.assign(true_digit="7"), "column true_digit is not of numbers"),
        (questions.assign(suite="reverse"), "not the questions of the suite null"),
    ):
        write_table(path, table)
        with pytest.raises(UserError, match=message) as caught:
            place.score("axioms", ["copy"], settings)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_damaged_answers_are_refused(place, settings):
    questions = place.write_questions("null", [{}])
    folder = place.write_answers("copy", questions, place.images[:1])
    chunk = folder / "null" / "000000-000001"
    table = pd.read_parquet(chunk.with_suffix(".parquet"))
    for damaged, message in (
        (table.drop(columns="answered"), "no column answered"),
        (table.assign(thickness="thin"), "column thickness is not of numbers"),
    ):
        write_table(chunk.with_suffix(".parquet"), damaged)
        with pytest.raises(UserError, match=message):
            place.score("axioms", ["copy"], settings)
    write_table(chunk.with_suffix(".parquet"), table)
    write_array(chunk.with_suffix(".npy"), place.images[:1, :, :16])
    with pytest.raises(UserError, match="shape"):
        place.score("axioms", ["copy"], settings)


def test_answers_of_another_method_or_seed_are_noticed(place, settings):
    questions = place.write_questions("null", [{}])
    chunk = place.write_answers("vae", questions, place.images[:1]) / "null" / "000000-000001.parquet"
    table = pd.read_parquet(chunk)
    for origin, message in (
        ({"method": "hvae", "seed": 0}, "has answers of hvae/seed0, not of vae/seed0"),
        ({"method": "vae", "seed": 1}, "has answers of vae/seed1, not of vae/seed0"),
    ):
        table.attrs = origin
        write_table(chunk, table)
        with pytest.raises(BadFile, match=message):
            place.score("axioms", ["vae"], settings)
    table.attrs = {"method": "vae", "seed": 0}
    write_table(chunk, table)
    assert place.score("axioms", ["vae"], settings)["value"].tolist() == [0.0]


class Half:
    """A metric with one score of the whole set and one per question."""

    @staticmethod
    def load(resources):
        assert resources.seed == 3 and resources.classifier == resources.models / "classifier" / "seed3"
        return lambda answers: [
            Score("each", np.array([1.0, 3.0, np.nan]), np.array(["", "", "too dark"], dtype=object)),
            SetScore("half", ("bright", "", 1), 0.5, 2, 0.25, 0.75, "of 2 images: compare with care"),
            SetScore("none", ("bright", "", 1), np.nan, 0, reason="nothing flipped"),
        ]


def test_a_score_of_a_whole_set_reaches_the_tidy_table(place, settings, tmp_path, monkeypatch):
    use(monkeypatch, "half", Half, Metric(("flip",), models=("classifier",)))
    row = {"intervention": "bright", "attribute": "bright", "label": 0, "target": 1, "repeat": 0}
    place.write_answers("vae", place.write_questions("flip", [row] * 3), place.images[:3], seed=3)
    out = tmp_path / "scores" / "half" / "seed3.parquet"
    assert place.score("half", ["vae"], settings, 3, out=out)["question"].tolist() == [0, 1, 2, WHOLE, WHOLE]
    summarise([out], settings.bootstrap, tmp_path / "scores.csv")
    each, half, none = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False).itertuples()
    assert (each.metric, float(each.value), each.n) == ("each", 2.0, 2)
    assert each.reason == "1 of 3 absent: too dark"
    assert (half.metric, half.method, half.seed, half.suite) == ("half", "vae", 3, "flip")
    assert half.intervention == "bright" and half.reason == "of 2 images: compare with care"
    assert (float(half.value), float(half.low), float(half.high), half.n) == (0.5, 0.25, 0.75, 2)
    assert (none.value, none.low, none.n, none.reason) == ("", "", 0, "nothing flipped")


def test_scores_of_another_metric_or_seed_are_noticed(place, settings, tmp_path):
    place.write_answers("copy", place.write_questions("null", [{}]), place.images[:1])
    folder = tmp_path / "scores"
    place.score("axioms", ["copy"], settings, out=folder / "axioms" / "seed0.parquet")
    summarise([folder / "axioms" / "seed0.parquet"], settings.bootstrap, tmp_path / "scores.csv")
    place.score("axioms", ["copy"], settings, out=folder / "lpips" / "seed0.parquet")
    with pytest.raises(BadFile, match="lpips/seed0.parquet: has the scores of the metric axioms"):
        summarise([folder / "lpips" / "seed0.parquet"], settings.bootstrap, tmp_path / "scores.csv")
    place.score("axioms", ["copy"], settings, out=folder / "axioms" / "seed1.parquet")
    with pytest.raises(BadFile, match="seed1.parquet: has the scores of seed0"):
        summarise([folder / "axioms" / "seed1.parquet"], settings.bootstrap, tmp_path / "scores.csv")


def test_only_some_metrics_have_a_reference(settings, tmp_path):
    resources = Resources(settings, tmp_path, tmp_path)
    with pytest.raises(UserError, match="flip: this metric has no reference"):
        compute_reference("flip", {}, resources, tmp_path / "out")
    with pytest.raises(UserError, match="no questions of its suites"):
        compute_reference("fid", {"do": tmp_path}, resources, tmp_path / "out")


def test_a_metric_without_its_weights_has_missing_scores_with_the_reason(place, settings, tmp_path, capsys):
    reason = "scores.lpips.weights: 'away' is not a file"
    save_missing(tmp_path / "models" / "lpips" / settings.lpips.net, "lpips", reason)
    null = place.write_questions("null", [{}, {}])
    do = place.write_questions("do", [{"intervention": "thickness"}, {"intervention": "digit"}])
    for questions in (null, do):
        place.write_answers("copy", questions, place.images[:2])
        place.write_answers("truth", questions, place.images[:2])
    table = place.score("lpips", ["copy"], settings)
    assert table[["suite", "intervention", "metric"]].values.tolist() == [
        ["do", "thickness", "truth_lpips"],
        ["do", "digit", "truth_lpips"],
        ["null", "none", "lpips"],
    ]
    assert table["value"].isna().all() and (table["n"] == 0).all() and (table["question"] == WHOLE).all()
    assert set(table["reason"]) == {reason}
    assert capsys.readouterr().err.splitlines() == [f"score lpips: absent: {reason}"]
    summarise([place.folder / "scores.parquet"], settings.bootstrap, tmp_path / "scores.csv")
    assert (pd.read_csv(tmp_path / "scores.csv")["n"] == 0).all()


def test_metrics_with_pretrained_weights_declare_their_scores():
    for name, needs in METRICS.items():
        if {"lpips", "inception", "identity"} & set(needs.models):
            assert set(import_module(f"counterfactory.metrics.{name}").SCORES) == set(needs.suites)
