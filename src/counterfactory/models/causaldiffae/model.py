"""Builds and loads the networks of CausalDiffAE."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.checkpoint import load_model
from ...core.device import arithmetic
from ...core.errors import UserError
from ...data.dataset import Dataset
from ...diffusion.parameterisation import Velocity
from ...diffusion.schedule import Schedule, build_schedule
from .network import CausalDiffAE

__all__ = ["build_causaldiffae", "load_causaldiffae"]


def build_causaldiffae(
    dataset: Dataset, network: Mapping[str, Any], codes: Mapping[str, Any], diffusion: Mapping[str, Any]
) -> tuple[CausalDiffAE, Schedule]:
    """Returns untrained networks and their schedule.

    Arguments:
        dataset: The data set.
        network: The settings `models.causaldiffae.network` of the denoiser.
        codes: The settings `models.causaldiffae.codes` of encoder, causal layer and prior.
        diffusion: The settings `models.causaldiffae.diffusion`.

    Raises:
        UserError: If the sizes do not fit the images, or there is no such schedule.
    """
    try:
        model = CausalDiffAE(dataset, dict(network), **codes)
    except ValueError as error:
        raise UserError(f"models.causaldiffae.network: {error}") from None
    try:
        schedule = build_schedule(diffusion["schedule"], diffusion["steps"])
    except ValueError as error:
        raise UserError(f"models.causaldiffae.diffusion: {error}") from None
    if diffusion["prediction"] == "velocity":
        model.denoiser = Velocity(model.denoiser, schedule)
    return model, schedule


def load_causaldiffae(
    folder: Path | str, dataset: Dataset, device: str = "cpu", precision: str = "auto"
) -> tuple[CausalDiffAE, Schedule]:
    """Returns trained networks, without gradients, and their training schedule.

    Arguments:
        folder: The folder of the model.
        dataset: The data set.
        device: `cpu` or `cuda`.
        precision: `auto`, `float32` or `bfloat16`, the arithmetic of most layers of the denoiser.

    Raises:
        UserError: If the weights are missing, damaged, or were trained on another data set.
    """
    state, meta = load_model(folder, "causaldiffae")
    try:
        model, schedule = build_causaldiffae(dataset, meta["network"], meta["codes"], meta["diffusion"])
        model.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError, UserError):
        raise UserError(
            f"{folder}: these weights are of another network or data set; train the model again"
        ) from None
    model.to(device).eval().requires_grad_(False)
    model.denoiser.cast(arithmetic(precision, device))
    return model, schedule.to(device)
