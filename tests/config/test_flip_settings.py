"""The suite flip and its explainers in the configuration: contradictions are errors of one line; number of chunks."""

import pytest

from counterfactory.config import load_settings
from counterfactory.config.cross_checks import warnings_of
from counterfactory.core.errors import UserError


def refused(given: dict) -> str:
    with pytest.raises(UserError) as error:
        load_settings(given)
    return str(error.value)


def flip(**keys) -> dict:
    return {"questions": {"flip": keys}}


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (
            flip(attributes=["thickness"]),
            "contains 'thickness', which the classifier does not predict; did you mean 'thick'?",
        ),
        (
            flip(attributes=["smile"]),
            "questions.flip.attributes contains 'smile'; choose from thick, bright, slanted, wide, tall, long, ",
        ),
        (flip(attributes=["thick", "thick"]), "questions.flip.attributes contains 'thick' twice"),
        (flip(attributes=[]), "questions.flip.attributes is empty"),
        (
            flip(targets={"digit": {3: 3}}),
            "questions.flip.targets.digit has 3: 3; choose two different classes of 0 to 9",
        ),
        (flip(targets={"digit": {3: 10}}), "questions.flip.targets.digit has 3: 10"),
        (
            flip(targets={"thick": {0: 1}}),
            "questions.flip.targets contains 'thick', which has not more than two classes; choose from digit",
        ),
        (flip(images=2001), "questions.flip.images is 2,001, but data.test has only 2,000 images"),
        (
            {"answers": {"dime": {"timestep_respacing": 501}}},
            "answers.dime.timestep_respacing is 501, but models.ddpm",
        ),
        (
            {"answers": {"fastdime": {"start_step": 200}}},
            "answers.fastdime.start_step is 200; choose a step below 100",
        ),
        (
            {"answers": {"dime_x": {"restart_step": 26}}},
            "answers.dime_x.restart_step is 26; choose a step below 26",
        ),
        (
            {"answers": {"fastdime": {"dilation": 4}}},
            "answers.fastdime.dilation is 4; it must be an odd number",
        ),
        (
            {"answers": {"dime": {"perceptual": "vgg16"}}},
            "answers.dime.perceptual is 'vgg16'; did you mean 'vgg19'",
        ),
    ],
)
def test_refuses(given, text):
    assert text in refused(given)


def test_what_nobody_uses_is_not_looked_at():
    load_settings({"methods": ["copy", "truth"], "answers": {"dime": {"start_step": 200}}})
    load_settings({"questions": {"flip": {"images": 0}}, "answers": {"chunks": 999}})


def test_more_chunks_than_questions_is_said_and_does_no_harm():
    asked = list(warnings_of(load_settings({"answers": {"chunks": 13, "dime": {"images": 2}}})))
    assert asked == [
        "answers.chunks is 13, but dime answers 12 questions of the suite flip: 12 chunks are used"
    ]
    assert not list(warnings_of(load_settings({"answers": {"chunks": 360, "dime": {"images": None}}})))
    assert not list(
        warnings_of(load_settings({"answers": {"chunks": 361}, "questions": {"flip": {"images": 0}}}))
    )


def test_counts():
    settings = load_settings({})
    variables = {"thickness": 0, "intensity": 0, "digit": 10}
    asked = settings.questions.flip
    assert settings.questions.count("flip") == asked.count(variables) == 3 * (100 + 20)
    assert [asked.count(variables, images) for images in (0, 5, 30, 999)] == [0, 3 * 10, 3 * 50, 3 * 120]
