"""Queries about a world that draws its images by hand: a scene whose smile follows a person's mood."""

import math

import numpy as np
import pytest

from counterfactory.errors import UserError
from counterfactory.esm.queries import Query, ask

NAMES = ("happy", "smiling")


class Faces:
    """happy = [u0 > 0]; smiling = [happy and u1 > -0.5]; an image is these two and a background."""

    dimension, prior, intervenes = 3, "uniform", True

    def facts(self, noise, do=None):
        do = do or {}
        happy = np.where(noise[:, 0] > 0, 1, 0) if "happy" not in do else np.full(len(noise), do["happy"])
        smiling = happy * (noise[:, 1] > -0.5) if "smiling" not in do else np.full(len(noise), do["smiling"])
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


SAD = {"given": {"happy": 1, "smiling": 1}, "premise": {"smiling": 0}}


def mean_mood(table, images, stickiness):
    rows = (table["stickiness"] == stickiness).to_numpy()
    return images[rows, 0, 0, 0].mean() / 255


def test_observing_revises_the_causes_and_doing_does_not():
    stickiness = [0.0, 0.5, 0.9]
    queries = {"seen": Query(**SAD), "made": Query(**SAD, by="do")}
    table, images = ask(Faces(), queries, stickiness, 400, seed=0)
    assert len(table) == len(images) == 2 * (1 + 3 * 400)
    for name in queries:
        own = (table["query"] == name).to_numpy()
        actual = own & table["stickiness"].isna().to_numpy()
        assert images[actual, 0, 0, :2].tolist() == [[255, 255]]
        copies = own & ~actual
        assert (images[copies, 0, 0, 1] == 0).all()
        assert table["reached"][copies].all()
        for s in stickiness:
            at = (own & (table["stickiness"] == s).to_numpy()).nonzero()[0]
            mood = images[at, 0, 0, 0].mean() / 255
            kept, lost = s + (1 - s) / 2, (1 - s) / 2  # P(happy'), P(not happy') given happy
            frowns = (1 - s) / 4  # P(u1' <= -0.5) given u1 > -0.5
            expected = kept * frowns / (lost + kept * frowns) if name == "seen" else kept
            assert mood == pytest.approx(expected, abs=0.075)
            if name == "seen" and s < 0.9:
                assert table["log_evidence"][at].iloc[0] == pytest.approx(
                    math.log(lost + kept * frowns), abs=0.2
                )


def test_the_background_is_kept_as_often_as_the_stickiness_says():
    table, images = ask(Faces(), {"q": Query(**SAD)}, [0.9], 500, seed=1)
    same = images[1:, 0, 0, 2] == images[0, 0, 0, 2]
    assert same.mean() == pytest.approx(0.9, abs=0.05)


def test_an_answer_does_not_depend_on_the_other_queries():
    one = {"q": Query(**SAD)}
    two = {"p": Query({"happy": 0}, {"happy": 1}), **one}
    alone, together = (ask(Faces(), queries, [0.5], 5, seed=3) for queries in (one, two))
    rows = (together[0]["query"] == "q").to_numpy()
    assert (together[1][rows] == alone[1]).all()


def test_evidence_that_is_never_found_is_said():
    table, images = ask(Faces(), {"odd": Query({"happy": 0, "smiling": 1}, {"happy": 1})}, [0.5], 5, seed=0)
    assert len(table) == len(images) == 1
    assert not table["reached"].item()


def test_a_generator_without_causes_does_not_intervene():
    world = Faces()
    world.intervenes = False
    with pytest.raises(UserError, match="made: by: do needs a generator with a causal model"):
        ask(world, {"made": Query(**SAD, by="do")}, [0.5], 5, seed=0)
