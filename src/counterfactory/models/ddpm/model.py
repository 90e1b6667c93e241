"""Builds and loads the denoising diffusion model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from ...core.checkpoint import load_model
from ...core.device import arithmetic
from ...core.errors import UserError
from ...data.dataset import Dataset
from ...diffusion.parameterisation import CleanImage, NoisePrediction, Velocity
from ...diffusion.schedule import Schedule, build_schedule
from ...nets.unet import UNet

__all__ = ["build_ddpm", "load_ddpm"]


def build_ddpm(
    dataset: Dataset, network: Mapping[str, Any], diffusion: Mapping[str, Any]
) -> tuple[UNet | NoisePrediction, Schedule]:
    """Returns an untrained network that predicts noise, and its schedule.

    Arguments:
        dataset: The data set.
        network: The settings `models.ddpm.network`.
        diffusion: The settings `models.ddpm.diffusion`.

    Raises:
        UserError: If the sizes do not fit the images, or there is no such schedule.
    """
    try:
        unet = UNet(dataset.shape, **network, learned_variance=diffusion["variance"] == "learned")
    except ValueError as error:
        raise UserError(f"models.ddpm.network: {error}") from None
    try:
        schedule = build_schedule(diffusion["schedule"], diffusion["steps"])
    except ValueError as error:
        raise UserError(f"models.ddpm.diffusion: {error}") from None
    if diffusion["prediction"] == "velocity":
        return Velocity(unet, schedule), schedule
    # Only imported networks predict the clean image.
    return CleanImage(unet, schedule) if diffusion["prediction"] == "clean" else unet, schedule


def load_ddpm(
    folder: Path | str, dataset: Dataset, device: str = "cpu", precision: str = "auto"
) -> tuple[UNet | NoisePrediction, Schedule]:
    """Returns a trained network that predicts noise, without gradients, and its training schedule.

    To sample, pass both to :func:`counterfactory.diffusion.denoiser.denoiser` with `learned=network.learned_variance`;
    :func:`counterfactory.diffusion.schedule.respace` reduces the number of steps.

    Arguments:
        folder: The folder of the model.
        dataset: The data set.
        device: `cpu` or `cuda`.
        precision: `auto`, `float32` or `bfloat16`, the arithmetic of most layers. Inputs and outputs keep their type.

    Raises:
        UserError: If the weights are missing, damaged, or were trained on images of another shape.
    """
    state, meta = load_model(folder, "ddpm")
    try:
        network, schedule = build_ddpm(dataset, meta["network"], meta["diffusion"])
        network.load_state_dict(state)
    except (KeyError, RuntimeError, TypeError, UserError):
        raise UserError(
            f"{folder}: these weights are of another network or data set; train the model again"
        ) from None
    network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    network.eval().requires_grad_(False)
    return network.cast(arithmetic(precision, device)), schedule.to(device)
