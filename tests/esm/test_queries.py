"""Queries about a hand-made world: a scene in which a smile depends on a person's mood."""

import math

import numpy as np
import pytest

from counterfactory.core.errors import UserError
from counterfactory.esm.queries import Query, ask, draw_actual
from counterfactory.scm.noise_kernels import build_kernel, symmetric_uniform

NAMES = ("happy", "smiling")


class Faces:
    """happy = [u0 > 0]; smiling = [happy and u1 > -0.5]; an image is these two and a background."""

    dimension, prior, intervenes = 3, staticmethod(symmetric_uniform), True

    def kernel(self, name, stickiness):
        return build_kernel(name, stickiness, "uniform")

    def facts(self, noise, do=None):
        do = do or {}
        happy = np.where(noise[:, 0] > 0, 1, 0) if "happy" not in do else do["happy"]
        smiling = happy * (noise[:, 1] > -0.5) if "smiling" not in do else do["smiling"]
        return np.stack([happy, smiling], 1)

    def images(self, noise, do=None):
        background = 127 + 100 * noise[:, 2:]
        pixels = np.concatenate([255 * self.facts(noise, do), background], 1)
        return pixels.astype(np.uint8)[:, None, None, :]

    def log_likelihood(self, facts):
        def likelihood(noise):
            read = self.facts(noise)
            agree = np.all([read[:, NAMES.index(name)] == value for name, value in facts.items()], axis=0)
            return np.where(agree, 0.0, -math.inf)

        return likelihood

    def act(self, premise, seeds):
        return {name: np.full(len(seeds), value) for name, value in premise.items()}


SAD = {"given": {"happy": 1, "smiling": 1}, "premise": {"smiling": 0}}
HAPPY = np.array([[0.4, 0.2, -0.3]])


def test_observing_revises_the_causes_and_doing_does_not():
    stickiness = [0.0, 0.5, 0.9]
    for by in ("observe", "do"):
        table, images = ask(Faces(), Query(**SAD, by=by), HAPPY, stickiness, 400, seed=0)
        assert len(table) == len(images) == 1 + 3 * 400
        assert images[0, 0, 0, :2].tolist() == [255, 255]
        assert (images[1:, 0, 0, 1] == 0).all()
        assert table["reached"].all()
        for s in stickiness:
            at = (table["stickiness"] == s).to_numpy()
            mood = images[at, 0, 0, 0].mean() / 255
            kept, lost = s + (1 - s) / 2, (1 - s) / 2  # P(happy'), P(not happy') given happy
            frowns = (1 - s) / 4  # P(u1' <= -0.5) given u1 > -0.5
            expected = kept * frowns / (lost + kept * frowns) if by == "observe" else kept
            assert mood == pytest.approx(expected, abs=0.075)
            if by == "observe" and s < 0.9:
                evidence = table["log_evidence"][at].iloc[0]
                assert evidence == pytest.approx(math.log(lost + kept * frowns), abs=0.2)


def test_values_that_are_set_are_in_the_table_and_equal_at_every_stickiness():
    class Drawn(Faces):
        def act(self, premise, seeds):
            return {"happy": np.array([seed % 2 for seed in seeds])}

    table, _ = ask(Drawn(), Query({}, {"happy": 1}, by="do"), HAPPY, [0.0, 0.9], 20, seed=0)
    by_s = [table[table["stickiness"] == s]["do_happy"].to_numpy() for s in (0.0, 0.9)]
    assert (by_s[0] == by_s[1]).all()
    assert set(by_s[0]) == {0, 1}
    assert table["do_happy"].isna().tolist() == [True] + 40 * [False]


def test_the_background_is_kept_as_often_as_the_stickiness_says():
    _, images = ask(Faces(), Query(**SAD), HAPPY, [0.9], 500, seed=1)
    same = images[1:, 0, 0, 2] == images[0, 0, 0, 2]
    assert same.mean() == pytest.approx(0.9, abs=0.05)


def test_an_answer_does_not_depend_on_the_other_actual_worlds():
    one, more = HAPPY, np.concatenate([HAPPY, -HAPPY])
    alone, together = (ask(Faces(), Query(**SAD), actual, [0.5], 5, seed=3) for actual in (one, more))
    rows = (together[0]["actual"] == 0).to_numpy()
    assert (together[1][rows] == alone[1]).all()


def test_actual_worlds_agree_with_the_evidence_or_are_not_found():
    world = Faces()
    noise, found = draw_actual(world, {"happy": 1, "smiling": 0}, 50, seed=0)
    assert found.all()
    assert (world.facts(noise) == [1, 0]).all()
    few, _ = draw_actual(world, {"happy": 1, "smiling": 0}, 3, seed=0)
    assert (few == noise[:3]).all()
    _, found = draw_actual(world, {"happy": 0, "smiling": 1}, 2, seed=0, tries=200)
    assert not found.any()


def test_a_generator_without_causes_does_not_intervene():
    world = Faces()
    world.intervenes = False
    with pytest.raises(UserError, match="by: do needs a generator with a causal model"):
        ask(world, Query(**SAD, by="do"), HAPPY, [0.5], 5, seed=0)
