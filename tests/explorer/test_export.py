"""Exported graphs of the mechanisms of the parents: one type throughout, for every kind of cause and effect."""

import onnx
import pytest

from counterfactory.data.dataset import Dataset, Variable
from counterfactory.report.explorer.export import export_parents
from counterfactory.scm.model import ParentsSCM

pytestmark = pytest.mark.slow

VARIABLES = {
    "continuous": lambda name: Variable(name, "continuous", low=-2.0, high=4.0),
    "categorical": lambda name: Variable(name, "categorical", classes=3),
}


@pytest.mark.parametrize("effect", VARIABLES)
@pytest.mark.parametrize("cause", VARIABLES)
def test_operators_have_inputs_of_one_type(cause, effect):
    variables = (VARIABLES[cause]("cause"), VARIABLES[effect]("effect"))
    dataset = Dataset("toy", variables, (("cause", "effect"),), (1, 8, 8), False)
    scm = ParentsSCM(dataset, bins=4, hidden=(4,))
    model = onnx.load_from_string(export_parents(scm))
    # The full check refuses an operator whose inputs differ in type, as browsers do.
    onnx.checker.check_model(model, full_check=True)
    assert {one.type.tensor_type.elem_type for one in model.graph.output} == {onnx.TensorProto.FLOAT}
