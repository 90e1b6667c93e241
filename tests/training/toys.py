"""Trainings small enough to check by hand."""

import csv
from pathlib import Path

import torch
from torch import nn

from counterfactory.config import Settings
from counterfactory.training.loop import Fit, fit

COUNT = 13


def settings(**changed):
    """A short training without warm-up, decay, averaging, clipping or skipping, unless they are set."""
    plain = {
        "steps": 6,
        "batch_size": 4,
        "optimizer": "adamw",
        "learning_rate": 0.1,
        "warmup": 0,
        "schedule": "constant",
        "weight_decay": 0.0,
        "betas": (0.9, 0.9),
        "ema": 0.0,
        "clip": 1e9,
        "skip": 1e9,
        "valid_every": 2,
        "patience": 0,
        "precision": "float32",
        "threads": 1,
    }
    return Settings().judges.training.model_copy(update={**plain, **changed})


class Network(nn.Module):
    """Has properties that are difficult to resume: a memory format, buffers, and a weight without a gradient."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.GELU(), nn.Conv2d(4, 1, 2))
        self.idle = nn.Parameter(torch.randn(3))
        self.to(memory_format=torch.channels_last)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Weights(nn.Module):
    """Weights only, for losses with gradients in closed form."""

    def __init__(self, count: int = 3) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.linspace(0.5, 1.0, count))


def images(count: int = COUNT, seed: int = 0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {"x": torch.randn(count, 2, 4, 4, generator=generator), "row": torch.arange(count)}


def noisy_loss(model, batch, generator, progress):
    noise = torch.randn(batch["x"].shape, generator=generator)
    error = (
        model(batch["x"] + 0.1 * noise).flatten(1).sum(1) - batch["x"].sum((1, 2, 3)) * (1 + progress)
    ) ** 2
    return error.mean(), {"error": error.mean().detach()}


def train(
    out: Path, model=None, loss=noisy_loss, data=None, valid=None, seed: int = 5, **changed
) -> nn.Module:
    model = Network() if model is None else model
    fit(
        model,
        loss,
        images() if data is None else data,
        images(5, seed=1) if valid is None else valid,
        settings(**changed),
        Fit(out, seed, meta={"model": "toy"}, label="toy"),
    )
    return model


def log(out: Path) -> list[dict[str, str]]:
    with open(out / "log.csv", newline="") as file:
        return [
            {name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)
        ]


def drifting(model, batch, generator, progress):
    """Training increases the weights, and the validation loss increases with them."""
    return (-model.w.sum() if model.training else model.w.sum()), {}
