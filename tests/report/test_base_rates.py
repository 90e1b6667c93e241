"""Base rates of queries in words."""

import pandas as pd

from counterfactory.report.base_rates import BaseRate, base_rate, verdict

PEOPLE = pd.DataFrame(
    {"Male": [0, 0, 0, 0, 1, 1], "Mustache": [0, 0, 0, 1, 1, 0], "Young": [1, 1, 0, 0, 1, 0]}
)


def test_the_base_rate_is_a_conditional_share():
    assert base_rate({"given": {"Male": 0}, "premise": {"Mustache": 1}}, PEOPLE) == BaseRate(4, 1)
    found = base_rate({"given": {"Male": 1, "Young": 1}, "premise": {"Mustache": 1}}, PEOPLE)
    assert found == BaseRate(1, 1) and found.share == 1.0


def test_what_the_premise_changes_is_no_condition():
    assert base_rate({"given": {"Male": 0, "Young": 1}, "premise": {"Male": 1}}, PEOPLE) == BaseRate(3, 1)


def test_nothing_is_left_as_a_condition():
    found = base_rate({"given": {"Male": 0}, "premise": {"Male": 1}}, PEOPLE)
    assert found == BaseRate(6, 2, conditional=False)
    assert verdict(found, [], []) == "In the train split, 2 of 6 images show the premise (33 %)."


def test_a_fact_about_no_column_has_no_rate():
    assert base_rate({"given": {}, "premise": {"thick": 1}}, PEOPLE) is None


def test_the_verdict_says_what_the_generator_cannot_do():
    rare = BaseRate(3000, 0)
    assert verdict(rare, [0.0, 0.2], []).endswith(
        "0 of 3,000 images with the other evidence show the premise (none). The generator cannot: at no stickiness do "
        "half of the answers show the premise (at most 20%)."
    )
    assert "only by changing the other evidence, which 10% keep" in verdict(rare, [0.9, 0.2], [0.1, 0.9])
    assert "means little here" in verdict(rare, [0.9], [0.9])
    assert verdict(BaseRate(100, 50), [0.9], [0.9]).endswith("(50 %).")
