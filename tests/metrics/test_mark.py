"""Marking: what a method leaves unanswered is absent with a reason, and mistakes are one line."""

import numpy as np
import pandas as pd
import pytest

from counterfactory.errors import UserError
from counterfactory.metrics import mark, refer
from counterfactory.metrics.answered import Mark, SetMark
from counterfactory.metrics.registry import METRICS, Metric
from counterfactory.metrics.summary import WHOLE, summarise


def test_unanswered_questions_are_absent(place, settings, tmp_path):
    questions = place.ask("null", [{}, {}, {}])
    answered = np.array([True, False, True])
    images = place.images[:3] * answered[:, None, None, None].astype(np.uint8)
    answers = place.answer("partly", questions, images, answered=answered)
    mark("axioms", "partly", 0, settings, place.data, place.questions, answers, tmp_path / "marks.parquet")
    table = pd.read_parquet(tmp_path / "marks.parquet")
    np.testing.assert_array_equal(table["value"], [0.0, np.nan, 0.0])
    assert table["reason"].tolist() == ["", "the method does not answer this question", ""]


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("axiom", "no such metric; the nearest is axioms"),
        ("effectiveness", "needs models"),
        ("lpips", "needs models"),
        ("truth", "needs truth"),
        ("axioms", "none of its suites \\(null, reverse\\) is asked"),
    ],
)
def test_mistakes(place, settings, tmp_path, metric, message):
    with pytest.raises(UserError, match=message) as caught:
        mark(metric, "copy", 0, settings, place.data, {}, tmp_path, tmp_path / "marks.parquet")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "marks.parquet").exists()


def test_answers_to_other_questions_are_refused(place, settings, tmp_path):
    answers = place.answer("copy", place.ask("null", [{}, {}]), place.images[:2])
    place.ask("null", [{}, {"index": 5}])
    with pytest.raises(UserError, match="not the answers to these 2 questions"):
        mark("axioms", "copy", 0, settings, place.data, place.questions, answers, tmp_path / "marks.parquet")


class Half:
    """A metric of one mark of the whole set and one a question."""

    @staticmethod
    def load(resources):
        assert resources.seed == 3 and resources.classifier == resources.models / "classifier" / "seed3"
        return lambda answered: [
            Mark("each", np.array([1.0, 3.0, np.nan]), np.array(["", "", "too dark"], dtype=object)),
            SetMark("half", ("bright", "", 1), 0.5, 2, 0.25, 0.75, "of 2 images: mind that"),
            SetMark("none", ("bright", "", 1), np.nan, 0, reason="nothing flipped"),
        ]


def test_a_mark_of_a_whole_set_reaches_the_tidy_table(place, settings, tmp_path, monkeypatch):
    monkeypatch.setitem(METRICS, "half", Metric(("flip",), models=("classifier",)))
    monkeypatch.setattr("counterfactory.metrics.import_module", lambda name: Half)
    row = {"intervention": "bright", "attribute": "bright", "label": 0, "target": 1, "repeat": 0}
    answers = place.answer("vae", place.ask("flip", [row] * 3), place.images[:3])
    out = tmp_path / "marks.parquet"
    mark("half", "vae", 3, settings, place.data, place.questions, answers, out, models=tmp_path / "models")
    assert pd.read_parquet(out)["question"].tolist() == [0, 1, 2, WHOLE, WHOLE]
    summarise([out], settings.bootstrap, tmp_path / "marks.csv")
    each, half, none = pd.read_csv(tmp_path / "marks.csv", keep_default_na=False).itertuples()
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
        refer("flip", settings, tmp_path, tmp_path, tmp_path, tmp_path / "out")
