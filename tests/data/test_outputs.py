"""What classifier and oracle predict: the order of outputs, and which quantity decides each."""

from types import SimpleNamespace

from counterfactory.data.outputs import Threshold, outputs_of
from counterfactory.data.variable import Variable

VARIABLES = (
    Variable("digit", "categorical", classes=10),
    Variable("Male", "categorical", classes=2, names=("no", "yes")),
    Variable("age", "continuous", low=0, high=100),
    Variable("colour", "categorical", classes=4),
)
LABELS = (Variable("Smiling", "categorical", classes=2), Variable("hair", "categorical", classes=3))


def test_attributes_then_binary_variables_and_labels_then_classes():
    old = SimpleNamespace(of="age", above=60.0)
    outputs = outputs_of({"old": old, "left_out": None}, VARIABLES, LABELS)
    assert outputs.sizes == {"old": 2, "Male": 2, "Smiling": 2, "digit": 10, "colour": 4, "hair": 3}
    assert list(outputs.sizes) == ["old", "Male", "Smiling", "digit", "colour", "hair"]
    assert outputs.binary == {
        "old": old,
        "Male": Threshold("Male", 0.5),
        "Smiling": Threshold("Smiling", 0.5),
    }
    assert [outputs.quantity(name) for name in ("old", "Male", "digit")] == ["age", "Male", "digit"]


def test_nothing_to_predict():
    assert outputs_of({"left_out": None}, VARIABLES[2:3]).sizes == {}
