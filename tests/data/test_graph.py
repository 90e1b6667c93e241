from dataclasses import replace

import pytest

from counterfactory.core.errors import UserError
from counterfactory.data.dataset import Dataset, Variable
from counterfactory.data.graph import ancestors, causes, descendants, effects, topological_order


def graph(names: str, *edges: str) -> Dataset:
    variables = tuple(Variable(name, "continuous") for name in names)
    return Dataset("letters", variables, tuple((edge[0], edge[1]) for edge in edges), (1, 1, 1), False)


DIAMOND = graph("dcba", "ab", "ac", "bd", "cd")


def test_causes_come_before_effects():
    assert topological_order(DIAMOND) == ("a", "c", "b", "d")


def test_order_without_edges_is_the_variables_order():
    assert topological_order(graph("zyx")) == ("z", "y", "x")


def test_order_does_not_depend_on_the_order_of_edges():
    shuffled = replace(DIAMOND, edges=DIAMOND.edges[::-1])
    assert topological_order(shuffled) == topological_order(DIAMOND)


def test_relatives():
    assert causes(DIAMOND, "d") == ("c", "b")
    assert effects(DIAMOND, "a") == ("c", "b")
    assert ancestors(DIAMOND, "d") == {"a", "b", "c"}
    assert descendants(DIAMOND, "a") == {"b", "c", "d"}
    assert ancestors(DIAMOND, "a") == descendants(DIAMOND, "d") == frozenset()


def test_relatives_are_transitive_only_along_arrows():
    chain = graph("abcd", "ab", "bc", "dc")
    assert ancestors(chain, "c") == {"a", "b", "d"}
    assert descendants(chain, "a") == {"b", "c"}
    assert descendants(chain, "d") == {"c"}


@pytest.mark.parametrize("edges", [("ab", "bc", "ca"), ("aa",)])
def test_cycles_are_refused_and_named(edges):
    with pytest.raises(UserError, match="letters: the edges form a cycle, .*a.*; remove one") as error:
        topological_order(graph("abc", *edges))
    cycle = str(error.value).split("cycle, ")[1].split(";")[0].split(" -> ")
    assert cycle[0] == cycle[-1]
    assert all(first + second in edges for first, second in zip(cycle, cycle[1:], strict=False))


def test_unknown_and_doubled_names_are_refused():
    with pytest.raises(UserError, match="the edge a -> q names q"):
        topological_order(graph("ab", "aq"))
    with pytest.raises(UserError, match="two variables are called a"):
        topological_order(graph("aba"))
    with pytest.raises(UserError, match="q: not a variable"):
        causes(DIAMOND, "q")
