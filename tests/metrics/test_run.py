"""Scoring: what a method leaves unanswered is absent with a reason, and mistakes are one line."""

from importlib import import_module

import numpy as np
import pandas as pd
import pytest

from counterfactory.core.checkpoint import save_missing
from counterfactory.core.errors import UserError
from counterfactory.metrics.axioms import l1_distance
from counterfactory.metrics.inputs import Score, SetScore
from counterfactory.metrics.registry import METRICS, Metric
from counterfactory.metrics.run import compute_reference, score
from counterfactory.metrics.summary import WHOLE, summarise


def test_unanswered_questions_are_absent(place, settings, tmp_path):
    questions = place.ask("null", [{}, {}, {}])
    answered = np.array([True, False, True])
    images = place.images[:3] * answered[:, None, None, None].astype(np.uint8)
    place.answer("vae", questions, images, answered=answered)
    score(
        "axioms",
        ["vae"],
        0,
        settings,
        place.data,
        place.questions,
        place.answers,
        tmp_path / "scores.parquet",
    )
    table = pd.read_parquet(tmp_path / "scores.parquet")
    np.testing.assert_array_equal(table["value"], [0.0, np.nan, 0.0])
    assert table["reason"].tolist() == ["", "the method does not answer this question", ""]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("axiom", "no such metric; the nearest is axioms"),
        ("effectiveness", "needs models"),
        ("lpips", "needs models"),
        ("axioms", "none of its suites \\(null, reverse\\) is asked"),
    ],
)
def test_mistakes(place, settings, tmp_path, metric, message):
    with pytest.raises(UserError, match=message) as caught:
        score(metric, ["copy"], 0, settings, place.data, {}, tmp_path, tmp_path / "scores.parquet")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "scores.parquet").exists()


def test_one_process_scores_every_method_by_the_suites_that_it_answers(place, settings, tmp_path):
    null, reverse = place.ask("null", [{}, {}]), place.ask("reverse", [{"intervention": "thickness"}])
    for method, shift in (("vae", 2), ("copy", 0)):
        place.answer(method, null, place.images[:2] + np.uint8(shift))
        place.answer(method, reverse, place.images[:1] + np.uint8(shift))
    methods = ["copy", "dime", "vae"]  # dime answers neither suite
    score(
        "axioms",
        methods,
        0,
        settings,
        place.data,
        place.questions,
        place.answers,
        tmp_path / "scores.parquet",
    )
    table = pd.read_parquet(tmp_path / "scores.parquet")
    assert list(zip(table["method"], table["suite"], table["value"], strict=True)) == [
        *[("copy", "null", 0.0)] * 2,
        ("copy", "reverse", 0.0),
        *[("vae", "null", 2.0)] * 2,
        ("vae", "reverse", 2.0),
    ]
    with pytest.raises(UserError, match="methods: vea: no such method; the nearest is vae"):
        score(
            "axioms",
            ["vea"],
            0,
            settings,
            place.data,
            place.questions,
            place.answers,
            tmp_path / "again.parquet",
        )


class Apart:
    """How far an answer is from the factual and from the true image."""

    @staticmethod
    def load(resources):
        return lambda answered: [
            Score("factual", l1_distance(answered.images, answered.factual)),
            Score("true", l1_distance(answered.images, answered.truth)),
        ]


def test_what_is_of_no_method_is_read_once_and_the_scores_are_those_of_each_method_alone(
    place, settings, tmp_path, monkeypatch
):
    monkeypatch.setitem(METRICS, "apart", Metric(("do", "null"), truth=True))
    monkeypatch.setattr("counterfactory.metrics.run.import_module", lambda name: Apart)
    methods = ("vae", "copy", "hvae")
    for asked in (place.ask("do", [{"index": 4}, {"index": 1}, {}]), place.ask("null", [{}, {"index": 5}])):
        for shift, method in enumerate((*methods, "truth")):
            place.answer(method, asked, place.images[: len(asked)] + np.uint8(shift))
    read, load = [], np.load
    monkeypatch.setattr(np, "load", lambda path, **given: read.append(path) or load(path, **given))

    def scores(methods, out):
        read.clear()
        place_of = (place.data, place.questions, place.answers, tmp_path / out)
        score("apart", methods, 0, settings, *place_of)
        return pd.read_parquet(tmp_path / out)

    alone = [scores([method], f"{method}.parquet") for method in methods]
    together = scores(methods, "all.parquet")
    pd.testing.assert_frame_equal(together, pd.concat(alone, ignore_index=True), check_exact=True)
    assert together["value"].nunique() > 5
    assert read.count(place.data / "test" / "images.npy") == 1
    true = [path for path in read if "truth" in path.parts]
    assert len(true) == len(set(true)) == 4  # two chunks of each suite


def test_the_tidy_table_keeps_a_methods_scores_together(place, settings, tmp_path):
    for suite, file in (("null", "one"), ("reverse", "two")):
        row = {"intervention": "thickness"} if suite == "reverse" else {}
        for method in ("copy", "vae"):
            place.answer(method, place.ask(suite, [row]), place.images[:1])
        asked = {suite: place.questions[suite]}
        score(
            "axioms",
            ["vae", "copy"],
            0,
            settings,
            place.data,
            asked,
            place.answers,
            tmp_path / f"{file}.parquet",
        )
    summarise(
        [tmp_path / "one.parquet", tmp_path / "two.parquet"], settings.bootstrap, tmp_path / "scores.csv"
    )
    table = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False)
    assert list(zip(table["method"], table["suite"], strict=True)) == [
        (method, suite) for method in ("vae", "copy") for suite in ("null", "reverse")
    ]


def test_answers_to_other_questions_are_refused(place, settings, tmp_path):
    place.answer("copy", place.ask("null", [{}, {}]), place.images[:2])
    place.ask("null", [{}, {"index": 5}])
    with pytest.raises(UserError, match="not the answers to these 2 questions"):
        score(
            "axioms",
            ["copy"],
            0,
            settings,
            place.data,
            place.questions,
            place.answers,
            tmp_path / "scores.parquet",
        )


class Half:
    """A metric of one score of the whole set and one a question."""

    @staticmethod
    def load(resources):
        assert resources.seed == 3 and resources.classifier == resources.models / "classifier" / "seed3"
        return lambda answered: [
            Score("each", np.array([1.0, 3.0, np.nan]), np.array(["", "", "too dark"], dtype=object)),
            SetScore("half", ("bright", "", 1), 0.5, 2, 0.25, 0.75, "of 2 images: mind that"),
            SetScore("none", ("bright", "", 1), np.nan, 0, reason="nothing flipped"),
        ]


def test_a_score_of_a_whole_set_reaches_the_tidy_table(place, settings, tmp_path, monkeypatch):
    monkeypatch.setitem(METRICS, "half", Metric(("flip",), models=("classifier",)))
    monkeypatch.setattr("counterfactory.metrics.run.import_module", lambda name: Half)
    row = {"intervention": "bright", "attribute": "bright", "label": 0, "target": 1, "repeat": 0}
    place.answer("vae", place.ask("flip", [row] * 3), place.images[:3], seed=3)
    out = tmp_path / "scores.parquet"
    score(
        "half",
        ["vae"],
        3,
        settings,
        place.data,
        place.questions,
        place.answers,
        out,
        models=tmp_path / "models",
    )
    assert pd.read_parquet(out)["question"].tolist() == [0, 1, 2, WHOLE, WHOLE]
    summarise([out], settings.bootstrap, tmp_path / "scores.csv")
    each, half, none = pd.read_csv(tmp_path / "scores.csv", keep_default_na=False).itertuples()
    assert (each.metric, float(each.value), each.n, each.reason) == (
        "each",
        2.0,
        2,
        "1 of 3 absent: too dark",
    )
    assert (half.metric, half.method, half.seed, half.suite, half.intervention) == (
        "half",
        "vae",
        3,
        "flip",
        "bright",
    )
    assert (float(half.value), float(half.low), float(half.high), half.n) == (0.5, 0.25, 0.75, 2)
    assert half.reason == "of 2 images: mind that"
    assert (none.value, none.low, none.n, none.reason) == ("", "", 0, "nothing flipped")


def test_only_some_metrics_compute_something_beforehand(settings, tmp_path):
    with pytest.raises(UserError, match="computes nothing beforehand"):
        compute_reference("flip", settings, tmp_path, tmp_path, tmp_path, tmp_path / "out")


def test_a_metric_whose_weights_are_missing_is_absent_with_the_reason(place, settings, tmp_path, capsys):
    save_missing(
        tmp_path / "models" / "lpips" / settings.lpips.net,
        "lpips",
        "scores.lpips.weights: 'away' is not a file",
    )
    questions = (
        place.ask("null", [{}, {}]),
        place.ask("do", [{"intervention": "thickness"}, {"intervention": "digit"}]),
    )
    for asked in questions:
        place.answer("copy", asked, place.images[:2])
        place.answer("truth", asked, place.images[:2])
    out = tmp_path / "scores.parquet"
    score(
        "lpips",
        ["copy"],
        0,
        settings,
        place.data,
        place.questions,
        place.answers,
        out,
        models=tmp_path / "models",
    )
    table = pd.read_parquet(out)
    assert table[["suite", "intervention", "metric"]].values.tolist() == [
        ["do", "thickness", "truth_lpips"],
        ["do", "digit", "truth_lpips"],
        ["null", "none", "lpips"],
    ]
    assert table["value"].isna().all() and (table["n"] == 0).all() and (table["question"] == WHOLE).all()
    assert set(table["reason"]) == {"scores.lpips.weights: 'away' is not a file"}
    assert capsys.readouterr().err.splitlines() == [
        "score lpips: absent: scores.lpips.weights: 'away' is not a file"
    ]
    summarise([out], settings.bootstrap, tmp_path / "scores.csv")
    assert (pd.read_csv(tmp_path / "scores.csv")["n"] == 0).all()


def test_every_metric_that_asks_for_pretrained_weights_names_its_scores():
    for name, needs in METRICS.items():
        if {"lpips", "inception", "identity"} & set(needs.models):
            assert set(import_module(f"counterfactory.metrics.{name}").SCORES) == set(needs.suites)


def test_a_reason_of_the_method_own_is_told(place, settings, tmp_path):
    questions = place.ask("null", [{}, {}])
    told = questions.assign(reason=["", "out of weights"])
    place.answer("vae", told, place.images[:2], answered=np.array([True, False]))
    score(
        "axioms",
        ["vae"],
        0,
        settings,
        place.data,
        place.questions,
        place.answers,
        tmp_path / "scores.parquet",
    )
    assert pd.read_parquet(tmp_path / "scores.parquet")["reason"].tolist() == ["", "out of weights"]
