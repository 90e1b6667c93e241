"""Renames the weights of the published predictors of single variables, which become judges or predictors here.

- causal-gen (De Sousa Ribeiro et al., 2023, arXiv:2306.15764): networks `encoder_<letter>` in the checkpoint of the
  parents' mechanisms, with two outputs (a, b) for a continuous variable: mean tanh(a), standard deviation softplus(b).
- counterfactual-benchmark (Melistas et al., 2024, arXiv:2403.20287): one Lightning checkpoint per variable, with one
  linear output for a continuous variable. The predictors of attributes of faces are of two other architectures
  (:mod:`counterfactory.models.judges.attribute_networks`).

Except those of attributes of faces, they have leaky ReLUs of slope 0.01. The number of outputs distinguishes the two
originals. With another slope or head the weights would fit by shape, but the predictions would differ.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..core.errors import BadFile
from .foreign_state import interpreting, renamed

__all__ = ["KIND", "SLOPE", "describe_predictor", "networks_in", "rename_predictor", "stem"]

State = dict[str, Tensor]

KIND = "a published predictor"
"""The kind of these weights, for messages."""

SLOPE = 0.01
"""The slope of the leaky ReLU of the predictors of causal-gen and of Melistas et al. (Morpho-MNIST)."""

_CONVOLUTIONS = (0, 4, 7, 10, 13, 16)
"""The numbers of the convolutions in the published trunk; a batch normalization follows each."""

_DENSE = (0, 1, 3)
"""The numbers of the layers with weights in the published head."""


def networks_in(state: Mapping[str, Tensor]) -> dict[str, State]:
    """Returns the weights of each predictor in a state dictionary, by its prefix; one without a prefix is called ""."""
    prefixes = dict.fromkeys(key[: -len("cnn.0.weight")] for key in state if key.endswith("cnn.0.weight"))
    return {
        prefix.rstrip("."): {
            key.removeprefix(prefix): one
            for key, one in state.items()
            if key.startswith((f"{prefix}cnn.", f"{prefix}fc."))
        }
        for prefix in prefixes
    }


def stem(side: int) -> dict[str, int]:
    """Returns the arguments of the first layer of causal-gen's predictors for images of a height and width in px."""
    return {"stem_stride": 2 if side > 64 else 1, "stem_pool": 2 if side > 32 else 1}


def describe_predictor(
    state: Mapping[str, Tensor], side: int, classes: int, origin: Path | str
) -> dict[str, Any]:
    """Returns the arguments of the network of a predictor.

    Arguments:
        state: The weights of one predictor.
        side: The height and width of the images in px.
        classes: The number of classes of its variable; 0 for a continuous one.
        origin: The file, for error messages.

    Returns:
        The arguments of :class:`counterfactory.models.judges.network.JudgeNetwork`, or, with the key `architecture`,
        those of :class:`counterfactory.models.judges.attribute_networks.AttributeNetwork`. `context` is the number of
        further inputs.

    Raises:
        BadFile: If these are not the weights of a known predictor, or of one of another kind of variable.
    """
    with interpreting(origin, KIND):
        first, channels = state["cnn.0.weight"].shape[:2]
        inputs = state["fc.0.weight"].shape[1]
        outputs = state["fc.3.weight"].shape[0]
        attribute = "cnn.0.bias" in state
        architecture = "simple" if "cnn.1.weight" in state else "complex"
        last = 8 * first
        if attribute:
            last = state["cnn.15.weight" if architecture == "simple" else "cnn.8.weight"].shape[0]
        if inputs < last:
            raise ValueError(
                f"its first dense layer has {inputs} inputs, but its convolutions have {last} outputs"
            )
    if attribute:
        if classes != 2 or outputs != 1:
            raise BadFile(
                f"{origin}: predicts one attribute with two values; name the file of another variable"
            )
        return {"architecture": architecture, "channels": channels, "context": inputs - last}
    if outputs != (classes or outputs) or (not classes and outputs > 2):
        kind = f"{classes} classes" if classes else "a continuous variable"
        raise BadFile(f"{origin}: has {outputs} outputs, but predicts {kind}; name the file of this variable")
    return {
        "channels": channels,
        "classes": classes,
        "width": first,
        "context": inputs - last,
        "slope": SLOPE,
        "linear": not classes and outputs == 1,
        **stem(side),
    }


def rename_predictor(state: Mapping[str, Tensor], network: Mapping[str, Any]) -> State:
    """Returns the weights of one predictor by the names of its network here.

    Arguments:
        state: The published weights of one predictor.
        network: What :func:`describe_predictor` returned.
    """
    if "architecture" in network:
        return dict(state)
    names = {
        f"cnn.{number + offset}": f"trunk.{stage}.{offset}"
        for stage, number in enumerate(_CONVOLUTIONS)
        for offset in (0, 1)
    }
    return renamed(state, names | {f"fc.{number}": f"head.{number}" for number in _DENSE})
