"""What foreign weights can cause becomes one line; errors of the program are not hidden."""

import pytest
import torch
from torch import nn

from counterfactory.core.errors import BadFile, UserError
from counterfactory.pretrained.foreign_state import checked, fitted, interpreting, renamed


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (KeyError("stem.weight"), "it has no stem.weight"),
        (IndexError("too many"), "too many"),
        (ValueError("wrong"), "wrong"),
        (RuntimeError("Error(s) in loading:\n\tsize mismatch for a"), "size mismatch for a"),
        (ZeroDivisionError("division by zero"), "division by zero"),
        (MemoryError(), "MemoryError"),
    ],
)
def test_foreign_errors_become_one_line(error, cause):
    with pytest.raises(BadFile) as raised, interpreting("x.pt", "a network"):
        raise error
    assert str(raised.value) == f"x.pt: not the weights of a network ({cause}); name another file"


@pytest.mark.parametrize("error", [TypeError("x"), AttributeError("x"), NameError("x"), AssertionError("x")])
def test_errors_of_the_program_are_not_hidden(error):
    with pytest.raises(type(error)), interpreting("x.pt", "a network"):
        raise error
    with pytest.raises(BadFile, match="x.onnx"), interpreting("x.onnx", "a graph", (type(error),)):
        raise error


def test_one_line_errors_pass_through():
    with pytest.raises(UserError, match="^option a: is b$"), interpreting("x.pt", "a network"):
        raise UserError("option a: is b")


def test_names_that_collide_are_refused():
    one = torch.zeros(1)
    assert renamed({"a.weight": one, "b.weight": one}, {"a": "c"}).keys() == {"c.weight", "b.weight"}
    assert renamed({"a": one, "b": one}, lambda key, _: None if key == "a" else key).keys() == {"b"}
    with pytest.raises(ValueError, match=r"a.weight occurs twice"):
        renamed({"c.weight": one, "a.weight": one}, {"a": "c"})


def test_sizes_are_compared_before_memory_is_allocated():
    built: list[torch.device] = []

    def build() -> nn.Module:
        network = nn.Linear(10**7, 10**7)  # 400 TB
        built.append(network.weight.device)
        return network

    with pytest.raises(BadFile, match=r"weight has the shape \(2, 2\), not \(10000000, 10000000\)"):
        fitted(build, lambda: nn.Linear(2, 2).state_dict(), "x.pt", "a network")
    assert [one.type for one in built] == ["meta"]


def test_weights_fit_with_all_their_numbers():
    other = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    state = other.state_dict()

    def build() -> nn.Module:
        return nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))

    network = fitted(build, lambda: state, "x.pt", "a network")
    assert all(torch.equal(one, state[key]) for key, one in network.state_dict().items())
    assert not network.training
    old = {key: one for key, one in state.items() if not key.endswith("num_batches_tracked")}
    assert fitted(build, lambda: old, "x.pt", "a network")
    for wrong, line in (
        ({key: one for key, one in state.items() if key != "0.bias"}, "it has no 0.bias"),
        (state | {"2.bias": torch.zeros(1)}, "it has 2.bias, which this network does not have"),
        (state | {"0.bias": torch.zeros(3, dtype=torch.int64)}, "0.bias holds int64 numbers"),
    ):
        with pytest.raises(BadFile, match=line):
            fitted(build, lambda wrong=wrong: wrong, "x.pt", "a network")


def test_numbers_that_are_not_finite_are_refused():
    assert checked(lambda: torch.ones(2), "x.pt", "a network")[0].sum() == 2
    with pytest.raises(BadFile, match="numbers that are not finite"):
        checked(lambda: [torch.ones(2), torch.tensor(torch.nan)], "x.pt", "a network")
