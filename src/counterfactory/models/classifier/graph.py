"""Evaluates a list of operators that :func:`counterfactory.pretrained.onnx_graph.read_onnx` read from an ONNX file."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GraphNetwork"]

Attributes = dict[str, Any]


def _padding(attributes: Attributes) -> list[int]:
    """Returns the padding of the two sides of width and height, in the order of `torch.nn.functional.pad`."""
    if attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise ValueError(f"auto_pad {attributes['auto_pad']} is not supported")
    top, left, bottom, right = attributes.get("pads", [0, 0, 0, 0])
    return [left, right, top, bottom]


def _convolve(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    return F.conv2d(
        F.pad(x, _padding(a)),
        weight,
        bias,
        a.get("strides", 1),
        0,
        a.get("dilations", 1),
        a.get("group", 1),
    )


def _gemm(a: Attributes, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    x = x.t() if a.get("transA") else x
    product = a.get("alpha", 1.0) * (x @ (weight.t() if a.get("transB") else weight))
    return product if bias is None else product + a.get("beta", 1.0) * bias


def _normalise(
    a: Attributes, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    return F.batch_norm(x, mean, variance, scale, bias, False, 0.0, a.get("epsilon", 1e-5))


def _max_pool(a: Attributes, x: Tensor) -> Tensor:
    padded = F.pad(x, _padding(a), value=-torch.inf)
    return F.max_pool2d(
        padded, a["kernel_shape"], a.get("strides", 1), 0, a.get("dilations", 1), bool(a.get("ceil_mode", 0))
    )


def _average_pool(a: Attributes, x: Tensor) -> Tensor:
    if any(_padding(a)) and not a.get("count_include_pad"):
        raise ValueError("AveragePool with padding that is not counted is not supported")
    return F.avg_pool2d(
        F.pad(x, _padding(a)), a["kernel_shape"], a.get("strides", 1), 0, bool(a.get("ceil_mode", 0))
    )


def _reshape(a: Attributes, x: Tensor, shape: Tensor) -> Tensor:
    sizes = shape.tolist()
    # The batch is the first axis, whatever its size was when the file was written.
    return x.reshape(len(x), *(x.shape[k] if size == 0 else size for k, size in enumerate(sizes) if k))


def _mean(a: Attributes, x: Tensor, axes: Tensor | None = None) -> Tensor:
    chosen: list[int] = a["axes"] if axes is None else axes.tolist()
    return x.mean(tuple(chosen), keepdim=bool(a.get("keepdims", 1)))


def _clip(a: Attributes, x: Tensor, low: Tensor | None = None, high: Tensor | None = None) -> Tensor:
    return x.clamp(low if low is not None else a.get("min"), high if high is not None else a.get("max"))


_EVALUATE: dict[str, Callable[..., Tensor]] = {
    "Conv": _convolve,
    "Gemm": _gemm,
    "MatMul": lambda a, x, y: x @ y,
    "BatchNormalization": _normalise,
    "Relu": lambda a, x: F.relu(x),
    "LeakyRelu": lambda a, x: F.leaky_relu(x, a.get("alpha", 0.01)),
    "Sigmoid": lambda a, x: torch.sigmoid(x),
    "Tanh": lambda a, x: torch.tanh(x),
    "Clip": _clip,
    "MaxPool": _max_pool,
    "AveragePool": _average_pool,
    "GlobalAveragePool": lambda a, x: x.mean((2, 3), keepdim=True),
    "Flatten": lambda a, x: x.flatten(a.get("axis", 1)),
    "Reshape": _reshape,
    "ReduceMean": _mean,
    "Concat": lambda a, *parts: torch.cat(parts, a["axis"]),
    "Add": lambda a, x, y: x + y,
    "Sub": lambda a, x, y: x - y,
    "Mul": lambda a, x, y: x * y,
    "Div": lambda a, x, y: x / y,
    "Identity": lambda a, x: x,
    "Dropout": lambda a, x, *rest: x,
}


class GraphNetwork(nn.Module):
    """A network given by a list of operators.

    Arguments:
        nodes: The operators, as :func:`counterfactory.pretrained.onnx_graph.read_onnx` returns them.
        shapes: The shape and the type (`float32` or `int64`) of each weight, by name.
    """

    def __init__(self, nodes: Sequence[dict[str, Any]], shapes: dict[str, tuple[Sequence[int], str]]) -> None:
        super().__init__()
        self.nodes = list(nodes)
        for name, (shape, dtype) in shapes.items():
            self.register_buffer(name, torch.zeros(tuple(shape), dtype=getattr(torch, dtype)))

    def values(self, images: Tensor) -> dict[str, Tensor]:
        """Returns the results of all operators, by name, of images with shape (B, C, H, W)."""
        found: dict[str, Tensor] = dict(self.named_buffers()) | {"input": images}
        for node in self.nodes:
            arguments = [found[name] if name else None for name in node["inputs"]]
            found[node["output"]] = _EVALUATE[node["op"]](node["attributes"], *arguments)
        return {node["output"]: found[node["output"]] for node in self.nodes}

    def forward(self, images: Tensor) -> Tensor:
        """Returns the logits (B, K) of images with shape (B, C, H, W)."""
        return self.values(images)["output"]
