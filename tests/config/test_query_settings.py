"""Queries in the configuration: the queries that are answered, and errors of one line."""

import pytest

from counterfactory.config import load_settings
from counterfactory.config.queries import asked_queries
from counterfactory.core.errors import UserError

BOTH = {"methods": ["gan", "gan_esm"]}


def test_a_query_is_asked_where_its_generator_is():
    assert asked_queries(load_settings({})) == {}
    assert set(asked_queries(load_settings({"methods": ["gan_esm"]}))) == {"thicker_seen", "other_digit"}
    both = asked_queries(load_settings(BOTH))
    assert set(both) == {"thicker_seen", "other_digit", "thicker_made", "brighter_seen", "brighter_made"}
    assert asked_queries(load_settings(BOTH | {"queries": {"images": 0}})) == {}
    left = asked_queries(load_settings(BOTH | {"queries": {"by_name": {"other_digit": None}}}))
    assert "other_digit" not in left


@pytest.mark.parametrize(
    ("query", "said"),
    [
        (
            {"premise": {"thick": 1}, "by": "do"},
            "by is 'do', but dcgan supports observations only; set generator: gan",
        ),
        (
            {"premise": {"thik": 1}},
            "contains 'thik', which the classifier does not predict; did you mean 'thick'",
        ),
        ({"given": {"dgit": 3}, "premise": {"thick": 1}}, "given contains 'dgit'.*did you mean 'digit'"),
        ({"premise": {"digit": 10}}, "premise.digit is 10; choose one of 0 to 9"),
        ({"given": {"thick": 2}, "premise": {"bright": 1}}, "given.thick is 2; choose one of 0 to 1"),
        ({"given": {"thick": 1}, "premise": {"thick": 1}}, "premise equals the evidence"),
        ({"premise": {}}, "premise equals the evidence"),
        ({"premise": {"slanted": 1}, "by": "do", "generator": "gan"}, "'slanted', which cannot be set"),
        ({"premise": {"thick": 0.5}}, "premise.thick is 0.5; choose one of 0 to 1"),
        ({"premise": {"thick": 1}, "by": "see"}, "choose from observe, do"),
        ({"given": {"thick": 0}}, "premise is missing; add it"),
        ({"premis": {"thick": 1}}, "premis is not a key; did you mean 'premise'"),
    ],
)
def test_a_mistake_is_one_line_naming_the_key_and_the_mend(query, said):
    with pytest.raises(UserError, match=said) as refused:
        load_settings(BOTH | {"queries": {"by_name": {"mine": query}}})
    assert all(line.startswith("config: ") for line in str(refused.value).splitlines())
    assert "queries.by_name.mine" in str(refused.value)


def test_variables_can_be_set_to_values():
    query = {"premise": {"thickness": 3.5}, "by": "do", "generator": "gan"}
    read = load_settings(BOTH | {"queries": {"by_name": {"mine": query}}})
    assert read.queries.by_name["mine"].premise == {"thickness": 3.5}


def test_kernels_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match="set sticky"):
        load_settings(BOTH | {"queries": {"kernel": "autoregressive"}})
    uniform = {"models": {"dcgan": {"network": {"prior": "uniform"}}}}
    with pytest.raises(UserError, match="requires models.dcgan.network.prior: normal"):
        load_settings({"methods": ["gan_esm"], "queries": {"kernel": "autoregressive"}} | uniform)


def test_the_six_queries_of_faces_are_those_of_the_data_set():
    faces = {"dataset": "celeba", "methods": ["gan_esm"]}
    queries = load_settings(faces).queries.by_name
    assert set(queries) == {"moustache", "lipstick", "man", "bald", "glasses", "smile"}
    assert queries["bald"].given == {"Male": 1, "Young": 1} and queries["bald"].generator == "dcgan"
    # They are about faces, so another data set refuses them.
    moustache = {"given": {"Male": 0}, "premise": {"Mustache": 1}}
    with pytest.raises(UserError, match="'M(ale|ustache)', which the classifier does not predict"):
        load_settings(BOTH | {"queries": {"by_name": {"moustache": moustache}}})
