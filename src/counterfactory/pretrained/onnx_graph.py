"""Reads a classifier from an ONNX file as a list of operators and their weights, without executing anything.

Only the operators of :data:`OPERATORS` are supported, with constant weights; a file with another one is refused by its
name. :class:`counterfactory.models.classifier.graph.GraphNetwork` evaluates the list. Requires the package `onnx`.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..core.errors import BadFile, UserError
from ..core.foreign.archives import reason
from ..core.names import shortened
from .foreign_state import interpreting

__all__ = ["OPERATORS", "read_onnx"]

OPERATORS = (
    *("Conv", "Gemm", "MatMul", "BatchNormalization", "Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip"),
    *("MaxPool", "AveragePool", "GlobalAveragePool", "Flatten", "Reshape", "ReduceMean", "Concat"),
    *("Add", "Sub", "Mul", "Div", "Identity", "Dropout"),
)
"""The operators of ONNX that are supported."""

_LARGEST = 2**30  # bytes
_WIDE = 512  # the largest kernel, stride, dilation and padding in px; larger ones could fill the memory
_SIZES = ("kernel_shape", "strides", "dilations", "pads")


def read_onnx(path: Path | str) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Reads a graph of one input and one output.

    Arguments:
        path: The file.

    Returns:
        The nodes in the order of the file, each with `op`, `inputs`, `output` and `attributes`, and the weights by
        name. The input of the graph is called `input`, its output `output`.

    Raises:
        UserError: If `onnx` is not installed, or an operator is not supported.
        BadFile: If the file is damaged, refers to other files, or has several inputs or outputs.
    """
    try:
        import onnx
        from onnx.numpy_helper import to_array
    except ImportError as error:
        raise UserError(
            f"onnx cannot be imported ({error}); install counterfactory[faces] to read {path}"
        ) from None
    path = Path(path)
    if path.stat().st_size > _LARGEST:
        raise BadFile(f"{path}: has more than {_LARGEST} bytes; name another file")
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        graph = model.graph
        # Only tensors in the file itself: an external tensor can name any path.
        if any(one.data_location or one.external_data for one in graph.initializer):
            raise ValueError("its tensors are in other files")
        arrays = {one.name: np.array(to_array(one)) for one in graph.initializer}
        unknown = [
            node.op_type for node in graph.node if node.op_type not in (*OPERATORS, "Constant") or node.domain
        ]
        if unknown:
            raise UserError(
                f"{path}: the operator {shortened(unknown[0])} is not supported; supported: {', '.join(OPERATORS)}"
            )
        onnx.checker.check_model(model)
        nodes = [
            (node.op_type, list(node.input), list(node.output), _attributes(node, onnx, to_array))
            for node in graph.node
        ]
        inputs = [one.name for one in graph.input if one.name not in arrays]
        outputs = [one.name for one in graph.output]
    except UserError:
        raise
    except Exception as error:  # a damaged file may raise anything
        raise BadFile(f"{path}: not an ONNX graph ({reason(error)}); name another file") from None
    if len(inputs) != 1 or len(outputs) != 1:
        raise BadFile(
            f"{path}: has {len(inputs)} inputs and {len(outputs)} outputs; a classifier has one of each"
        )
    with interpreting(path, "a supported ONNX graph"):
        return _graph(nodes, arrays, inputs[0], outputs[0])


def _graph(
    nodes: Sequence[tuple[str, list[str], list[str], dict[str, Any]]],
    arrays: dict[str, np.ndarray],
    start: str,
    end: str,
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """Returns nodes and weights by our names."""
    names = {start: "input", end: "output"}
    found: list[dict[str, Any]] = []
    for op, needed, made, attributes in nodes:
        if op == "Constant":
            value = attributes.get("value", attributes.get("value_ints", attributes.get("value_float")))
            arrays[made[0]] = np.array(value)
            continue
        for key in _SIZES:
            if not all(0 <= one <= _WIDE for one in attributes.get(key, ())):
                raise ValueError(f"{op} has the {key} {attributes[key][:4]}")
        names.setdefault(made[0], f"n{len(found)}")
        found.append({"op": op, "inputs": needed, "output": made[0], "attributes": attributes})
    weights: dict[str, Tensor] = {}
    for node in found:
        for number, name in enumerate(node["inputs"]):
            if name in arrays:
                names.setdefault(name, f"w{len(weights)}")
                array = arrays[name]
                if array.dtype.kind not in "fiu" or not array.size or not np.isfinite(array).all():
                    raise ValueError(f"{name} does not hold finite numbers")
                weights[names[name]] = torch.from_numpy(
                    array.astype(np.float32 if array.dtype.kind == "f" else np.int64)
                )
            elif name and name not in names:
                raise ValueError(f"{node['op']} uses {name}, which nothing computes")
            node["inputs"][number] = names.get(name, "")
        node["output"] = names[node["output"]]
    return found, weights


def _attributes(node: Any, onnx: Any, to_array: Any) -> dict[str, Any]:
    """Returns the attributes of a node as numbers, strings and lists."""
    found = {}
    for one in node.attribute:
        value = onnx.helper.get_attribute_value(one)
        if isinstance(value, bytes):
            value = value.decode()
        elif hasattr(value, "data_type"):
            if value.data_location or value.external_data:
                raise ValueError("its tensors are in other files")
            value = to_array(value).tolist()
        elif not isinstance(value, int | float | str):
            value = [item if isinstance(item, int | float) else str(item) for item in value]
        found[one.name] = value
    return found
