"""Loads a trained judge or predictor and applies it to images."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from ...core.checkpoint import load_network
from ...core.device import INFERENCE_BATCH, choose_device
from ...core.errors import reading
from ...data.dataset import Dataset, Variable, encode_parents
from ...nets.pixels import pixel_batches
from .attribute_networks import AttributeNetwork
from .network import JudgeNetwork

__all__ = ["Judge", "Parents", "build_judge", "encode_context", "load_judge", "point_prediction"]

Parents: TypeAlias = Mapping[str, np.ndarray] | pd.DataFrame
"""Columns of variables in physical units, each (N,)."""


@dataclass(frozen=True)
class Judge:
    """A trained judge or predictor. Calling it predicts its variable.

    Arguments:
        model: The network, in evaluation mode.
        variable: The variable that it predicts.
        context: The variables that are inputs beside the image, if any.
        device: The device of the network.
    """

    model: JudgeNetwork | AttributeNetwork
    variable: Variable
    context: tuple[Variable, ...]
    device: str

    @torch.inference_mode()
    def __call__(self, images: np.ndarray, parents: Parents | None = None) -> np.ndarray:
        """Predicts the variable.

        Arguments:
            images: Uint8 images with shape (N, C, H, W).
            parents: The columns of at least the variables in `context`, in physical units, each (N,).

        Returns:
            Float64 predictions with shape (N,): the mean in physical units, or the most likely class.

        Raises:
            ValueError: If the network requires a context and there are no parents.
        """
        context = encode_context(self.context, parents)
        predictions = []
        for number, batch in enumerate(pixel_batches(images, self.device)):
            start = number * INFERENCE_BATCH
            rows = None
            if context is not None:
                rows = torch.from_numpy(context[start : start + INFERENCE_BATCH]).to(self.device)
            predictions.append(point_prediction(self.model(batch, rows), self.variable).cpu().double())
        return torch.cat(predictions).numpy() if predictions else np.empty(0)


def build_judge(architecture: str = "", **network: Any) -> JudgeNetwork | AttributeNetwork:
    """Returns the network of a judge, without its weights; `architecture` names one of an attribute of faces."""
    if architecture in ("simple", "complex"):
        return AttributeNetwork(architecture, **network)  # type: ignore[arg-type]
    return JudgeNetwork(**network)


def load_judge(folder: Path | str, device: str = "cpu", expected: str = "") -> Judge:
    """Loads a judge or predictor that :func:`counterfactory.models.judges.train.train_judge` wrote.

    Arguments:
        folder: Its folder.
        device: `auto`, `cpu` or `cuda`.
        expected: The name that it must have, such as `judge of thickness` or `predictor of digit`; by default any.

    Raises:
        UserError: If it is missing, damaged, or not the expected one.
    """
    device = choose_device(device)
    model, meta = load_network(folder, build_judge, device, expected)
    with reading(Path(folder) / "model.json", "does not describe a judge", "delete it and train again"):
        variable = Variable(**meta["variable"])
        context = tuple(Variable(**effect) for effect in meta["context"])
    return Judge(model, variable, context, device)


def encode_context(context: tuple[Variable, ...], parents: Parents | None) -> np.ndarray | None:
    """Returns the encoded variables of a context, float32 (N, K), or None if there is no context.

    Raises:
        ValueError: If there is a context and there are no parents.
    """
    if not context:
        return None
    if parents is None:
        names = ", ".join(variable.name for variable in context)
        raise ValueError(f"this judge requires the variables {names} as inputs")
    return encode_parents(Dataset("", context, (), (0, 0, 0), False), parents)


def point_prediction(distribution: Distribution, variable: Variable) -> Tensor:
    """Returns the mean of a predicted distribution in physical units, or the most likely class, (B,)."""
    if isinstance(distribution, Categorical):
        return distribution.logits.argmax(1)
    return variable.low + 0.5 * (distribution.mean + 1.0) * (variable.high - variable.low)
