"""Composition and reversibility: exact on constructed images."""

import numpy as np

from counterfactory.metrics.axioms import l1_distance


def test_l1_is_in_grey_levels_and_does_not_wrap():
    black, white = np.zeros((2, 3, 4, 4), np.uint8), np.full((2, 3, 4, 4), 255, np.uint8)
    assert l1_distance(black, white).tolist() == l1_distance(white, black).tolist() == [255.0, 255.0]
    half = black.copy()
    half[0, :, :2] = 10
    assert l1_distance(black, half).tolist() == [5.0, 0.0]


def test_a_shift_of_three_grey_levels_scores_three(place, settings):
    null = place.write_questions(
        "null", [{"cycles": 1}, {"cycles": 10, "index": 0}, {"cycles": 10, "index": 1}]
    )
    factual = place.images[[0, 0, 1]]
    place.write_answers("vae", null, factual + np.array([0, 3, 3], np.uint8)[:, None, None, None], seed=4)
    reverse = place.write_questions("reverse", [{"intervention": "thickness"}])
    place.write_answers("vae", reverse, place.images[:1] - np.uint8(7), seed=4)
    table = place.score("axioms", ["vae"], settings, seed=4)
    assert table["value"].tolist() == [0.0, 3.0, 3.0, 7.0]
    assert table["suite"].tolist() == ["null"] * 3 + ["reverse"]
    assert set(table["metric"]) == {"l1"} and set(table["seed"]) == {4} and set(table["dataset"]) == {"toy"}
    assert (table["reason"] == "").all()
