"""An explained world small enough to check by hand: a linear classifier and a denoiser of Gaussian images."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import torch

from counterfactory.data.dataset import Variable
from counterfactory.diffusion.denoiser import denoiser
from counterfactory.diffusion.schedule import linear, respace
from counterfactory.methods import Batch
from counterfactory.methods.guidance import Networks, Rows

SHAPE = (1, 8, 8)


def settings(**changes) -> SimpleNamespace:
    """The settings of all explainers at once, a short walk."""
    return SimpleNamespace(
        **{
            "timestep_respacing": 40,
            "start_step": 12,
            "precision": "float32",
            "classifier_scales": [8.0, 10.0, 15.0],
            "use_logits": True,
            "rounding": "nearest",
            "l1_loss": 0.05,
            "l2_loss": 0.0,
            "l_perc": 0.0,
            "l_perc_layer": 1,
            "perceptual": "none",
            "batch_size": 4,
            "images": None,
            # dime
            "use_sampling_on_x_t": True,
            "guided_iterations": 9_999_999,
            "clip_denoised": True,
            "reuse_calls": True,
            # fastdime
            "scale_grads": False,
            "form": "fastdime",
            "masked": True,
            "warmup_mask": 6,
            "dilation": 3,
            "threshold": 0.15,
            **changes,
        }
    )


class Linear(torch.nn.Module):
    """Two binary attributes, right and bottom brighter than left and top, and three classes: the brightest third."""

    def __init__(self) -> None:
        super().__init__()
        weight = torch.zeros(5, 8, 8)
        weight[0, :, :4], weight[0, :, 4:] = -0.25, 0.25
        weight[1, :4], weight[1, 4:] = -0.25, 0.25
        for k, rows in enumerate((slice(0, 3), slice(3, 6), slice(6, 8))):
            weight[2 + k, rows] = 0.25
        self.weight = weight.flatten(1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.flatten(1) @ self.weight.T


class Convolutional(torch.nn.Module):
    """Random noise prediction and logits: the output depends on every input, and on the order of sums."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(outputs)
            self.layers = torch.nn.Sequential(
                torch.nn.Conv2d(1, 16, 3, padding=1),
                torch.nn.GroupNorm(4, 16),
                torch.nn.SiLU(),
                torch.nn.Conv2d(16, outputs, 3, padding=1),
            )
        self.requires_grad_(False)

    def forward(self, x: torch.Tensor, t: torch.Tensor | None = None) -> torch.Tensor:
        return 0.3 * self.layers(x if t is None else x + t[:, None, None, None] / 500.0)


class Classifier(SimpleNamespace):
    """The attributes of a classifier that an explainer uses."""

    def __init__(self, network=None, constant=None) -> None:
        super().__init__(
            logits=network or Linear(),
            names=("right", "bottom"),
            classes=(3,),
            categorical=(Variable("third", "categorical", classes=3),),
            constant=constant or {},
        )


def networks(network=None, classifier=None, respacing: int = 40, learned: bool = True, **more) -> Networks:
    """Networks over 100 steps respaced; `network` predicts noise, by default for standard normal images."""
    schedule = respace(linear(100), respacing)
    if network is None:
        network, learned = _gaussian(schedule), False
    return replace(
        Networks(
            classifier=classifier or Classifier(),
            schedule=schedule,
            denoise=denoiser(network, schedule, True, learned),
            unclipped=denoiser(network, schedule, False, learned),
            features=None,
            names=("size",),
            device="cpu",
        ),
        **more,
    )


def _gaussian(schedule):
    """The exact noise of images that are standard normal, E[eps | z] = sqrt(1 - abar) z, at every step."""
    spread = {int(t): (1.0 - a).sqrt() for t, a in zip(schedule.timesteps, schedule.alphas_bar, strict=True)}

    def network(z, t):
        return torch.stack([spread[int(one)] for one in t]).to(z.dtype)[:, None, None, None] * z

    return network


def questions(count: int = 10, seed: int = 0, attributes=("right", "bottom", "third")) -> Batch:
    """A batch of questions about random images, attributes in turn."""
    rng = np.random.default_rng(seed)
    empty = np.zeros(count, np.int64)
    return Batch(
        images=rng.integers(60, 200, (count, *SHAPE)).astype(np.uint8),
        parents={"size": np.zeros(count)},
        do={"size": np.full(count, np.nan)},
        seeds=np.arange(count) + 100,
        rows=np.arange(count),
        slots=np.arange(count),
        size=count,
        step=0,
        attribute=np.array([attributes[i % len(attributes)] for i in range(count)]),
        label=empty,
        target=np.arange(count) % 3,
    )


def some(batch: Batch, which) -> Batch:
    """The questions `which` of a batch."""
    chosen = {
        name: getattr(batch, name)[which]
        for name in ("images", "seeds", "rows", "slots", "attribute", "label", "target")
    }
    columns = {name: {"size": getattr(batch, name)["size"][which]} for name in ("parents", "do")}
    return replace(batch, **chosen, **columns)


def rows(batch: Batch) -> Rows:
    """The questions as tensors, with unchanged targets."""
    x = torch.from_numpy(batch.images).float() / 127.5 - 1.0
    names = {"right": 0, "bottom": 1, "third": -1}
    column = torch.tensor([names[name] for name in batch.attribute])
    target = torch.from_numpy(np.where(column.numpy() >= 0, np.minimum(batch.target, 1), batch.target))
    return Rows(x, column, target, torch.from_numpy(batch.seeds), x.new_zeros(len(x), 0))
