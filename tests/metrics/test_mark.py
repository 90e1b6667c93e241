"""Marking: what a method leaves unanswered is absent with a reason, and mistakes are one line."""

import numpy as np
import pandas as pd
import pytest

from counterfactory.errors import UserError
from counterfactory.metrics import mark


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
        ("effectiveness", "needs judges"),
        ("lpips", "needs weights"),
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
