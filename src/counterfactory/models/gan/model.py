"""Builds and loads adversarial networks."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.checkpoint import load_model
from ...core.errors import UserError
from ...data.dataset import Dataset
from ..image.model import exposed_columns
from .network import Gan

__all__ = ["build_gan", "load_gan"]


def build_gan(name: str, dataset: Dataset, network: Mapping[str, Any]) -> Gan:
    """Returns the untrained networks `gan` (conditional, with an encoder) or `dcgan` (images only) for a data set.

    Arguments:
        name: `gan` or `dcgan`.
        dataset: The data set.
        network: The settings `models.<name>.network`.

    Raises:
        UserError: If there is no such model, or its sizes do not fit the images.
    """
    if name not in ("gan", "dcgan"):
        raise UserError(f"models: {name}: no such adversarial model; choose gan or dcgan")
    conditional = name == "gan"
    own = {"exposure": exposed_columns(dataset, network), "encoder": True} if conditional else {}
    try:
        return Gan(dataset.shape, dataset.width if conditional else 0, **{"encoder": False, **network, **own})
    except ValueError as error:
        raise UserError(f"models.{name}.network: {error}") from None


def load_gan(
    folder: Path | str, dataset: Dataset, device: str = "cpu", expected: str = ""
) -> tuple[Gan, list[str]]:
    """Returns trained networks, in evaluation mode and without gradients, and the signs of a failed training.

    Arguments:
        folder: The folder of the model.
        dataset: The data set.
        device: `cpu` or `cuda`.
        expected: `gan` or `dcgan`; by default either.

    Raises:
        UserError: If the weights are missing, damaged, of another model, or were trained on other variables.
    """
    state, meta = load_model(folder, expected)
    try:
        model = build_gan(meta["model"], dataset, meta["network"])
        model.load_state_dict(state)
        failures = list(meta["failures"])
    except (KeyError, RuntimeError, TypeError, UserError):
        raise UserError(
            f"{folder}: these weights are of another network or data set; train the model again"
        ) from None
    return model.to(device).eval().requires_grad_(False), failures
