"""TODO models.judges.model."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.distributions import Distribution

from ...core.checkpoint import load_network
from ...core.device import choose_device
from ...data.dataset import Dataset, Variable, encode_parents
from ...nets.pixels import to_pixels
from .network import JudgeNetwork

__all__ = ["BATCH", "Judge", "Parents", "load_judge"]


Parents = Mapping[str, np.ndarray] | pd.DataFrame


BATCH = 500  # images in one forward pass of a trained judge


@dataclass(frozen=True)
class Judge:
    """A trained judge, called with images.

    Arguments:
        model: The network, in evaluation mode.
        variable: What it predicts.
        context: The other parents it must be told, if any.
        device: Where it runs.
    """

    model: JudgeNetwork
    variable: Variable
    context: tuple[Variable, ...]
    device: str

    @torch.inference_mode()
    def __call__(self, images: np.ndarray, parents: Parents | None = None) -> np.ndarray:
        """Predicts the variable.

        Arguments:
            images: Uint8 images with shape (N, C, H, W).
            parents: Columns that hold at least the parents named by `context`, in physical units, each (N,).

        Returns:
            Float64 predictions with shape (N,): the mean in physical units, or the likeliest class.
        """
        told = _encode_context(self.context, parents)
        predictions = []
        for start in range(0, len(images), BATCH):
            batch = torch.from_numpy(np.array(images[start : start + BATCH])).to(self.device)
            rows = None if told is None else torch.from_numpy(told[start : start + BATCH]).to(self.device)
            predictions.append(_point(self.model(to_pixels(batch), rows), self.variable).cpu().double())
        return torch.cat(predictions).numpy() if predictions else np.empty(0)


def load_judge(folder: Path | str, device: str = "cpu") -> Judge:
    """Loads the judge that :func:`train_judge` wrote in `folder`.

    Arguments:
        folder: The judge's folder.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: If it is missing or damaged.
    """
    device = choose_device(device)
    model, meta = load_network(folder, JudgeNetwork, device)
    return Judge(
        model, Variable(**meta["variable"]), tuple(Variable(**effect) for effect in meta["context"]), device
    )


def _encode_context(context: tuple[Variable, ...], parents: Parents | None) -> np.ndarray | None:
    """Returns the context's columns as networks see them, (N, K), or None where there is no context."""
    if not context:
        return None
    if parents is None:
        raise ValueError(f"this judge must be told {', '.join(variable.name for variable in context)}")
    return encode_parents(Dataset("", context, (), (), False), parents)


def _point(distribution: Distribution, variable: Variable) -> Tensor:
    """Returns the prediction in physical units, or the likeliest class, (B,)."""
    if variable.classes:
        return distribution.logits.argmax(1)
    return variable.low + 0.5 * (distribution.mean + 1.0) * (variable.high - variable.low)
