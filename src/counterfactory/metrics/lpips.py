r"""LPIPS, the learned perceptual distance (Zhang et al., 2018, arXiv:1801.03924).

With :math:`\hat\phi_l` the channel-normalized features of layer l of a trunk trained on ImageNet and
:math:`w_l \ge 0` the weights of its channels,

.. math:: d(x, y) = \sum_l \frac{1}{H_l W_l} \sum_{h,w} \left\| \sqrt{w_l} \odot
   \big( \hat\phi_l(x) - \hat\phi_l(y) \big)_{hw} \right\|_2^2

This is the squared Euclidean distance between two embeddings, so each image is embedded once for all of its pairs.
Identical images have distance exactly 0 and are not embedded. The network, its heads and the scaling of its input are
those of the package `lpips`. Grey images are repeated to three channels. Lower is better.

- `lpips` (suites `null` and `reverse`): the distance to the factual image (composition and reversibility, Melistas et
  al., 2024, arXiv:2403.20287).
- `truth_lpips` (suite `do`): the distance to the rendered true counterfactual.
"""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ..core.device import choose_device
from ..core.progress import progress
from ..pretrained.lpips import load_lpips
from .inputs import Score, Scorer, SuiteAnswers
from .resources import Resources

if TYPE_CHECKING:
    import lpips

__all__ = ["SCORES", "embed", "first_questions", "load", "lpips_distance", "lpips_scores"]

SCORES = {"do": ("truth_lpips",), "null": ("lpips",), "reverse": ("lpips",)}
BATCH = 50
"""Images per forward pass; larger batches are not faster on a CPU."""


def load(resources: Resources) -> Scorer:
    """Returns the scorer of `lpips` and `truth_lpips`; reads `scores.lpips`.

    The first `scores.lpips.questions` questions of each (intervention, protocol, cycles) are scored.
    """
    model = load_lpips(resources.lpips, choose_device(resources.device))
    return lambda answers: lpips_scores(answers, model, resources.settings.lpips.questions)


def lpips_scores(answers: SuiteAnswers, model: "lpips.LPIPS", questions: int) -> list[Score]:
    """Returns the scores of the first `questions` questions of each (intervention, protocol, cycles).

    Arguments:
        answers: The answers to the suite `do`, `null` or `reverse`.
        model: The LPIPS network.
        questions: The number of questions scored per set.
    """
    rows = first_questions(answers.questions, questions)
    if answers.suite != "do":
        return [Score("lpips", lpips_distance(model, answers.images[rows], answers.factual[rows]), rows=rows)]
    values = np.full(len(rows), np.nan)
    known = answers.known[rows]
    if answers.truth is not None:
        values[known] = lpips_distance(model, answers.images[rows[known]], answers.truth[rows[known]])
    return [Score("truth_lpips", values, answers.no_truth, rows)]


def first_questions(questions: pd.DataFrame, count: int) -> np.ndarray:
    """Returns the rows of the first `count` questions of each (intervention, protocol, cycles)."""
    groups = questions.groupby(["intervention", "protocol", "cycles"], sort=False)
    return np.flatnonzero(groups.cumcount().to_numpy() < count)


@torch.inference_mode()
def lpips_distance(model: "lpips.LPIPS", images: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Returns the LPIPS distance of each pair.

    Arguments:
        model: The LPIPS network.
        images: Uint8 images with shape (N, C, H, W), C 1 or 3, H and W at least 28.
        references: Images of the same shape; equal ones are embedded once.

    Returns:
        Float64 distances, 0 or more, with shape (N,).
    """
    distances = np.zeros(len(images))
    different = np.flatnonzero((images != references).any((1, 2, 3)))
    if not len(different):
        return distances
    flat = references[different].reshape(len(different), -1)
    unique, which = np.unique(flat, axis=0, return_inverse=True)
    which = which.reshape(-1)
    # Blocks of references bound the memory: an embedding by VGG-16 at 32 px takes half a megabyte.
    starts = range(0, len(unique), BATCH)
    for start in progress(starts, label="lpips", unit=f"blocks of {BATCH} images"):
        stop = min(start + BATCH, len(unique))
        anchors = embed(model, unique[start:stop].reshape(-1, *references.shape[1:]))
        members = np.flatnonzero((which >= start) & (which < stop))
        for first in range(0, len(members), BATCH):
            part = members[first : first + BATCH]
            difference = (
                embed(model, images[different[part]]) - anchors[torch.from_numpy(which[part] - start)]
            )
            distances[different[part]] = difference.square().sum(1).double().cpu().numpy()
    return distances


@torch.inference_mode()
def embed(model: "lpips.LPIPS", images: np.ndarray) -> Tensor:
    """Returns embeddings whose squared Euclidean distance is LPIPS.

    Arguments:
        model: The LPIPS network.
        images: Uint8 images with shape (N, C, H, W).

    Returns:
        Float32 embeddings with shape (N, D); D depends on the trunk, H and W.
    """
    device = model.scaling_layer.shift.device
    inputs = torch.from_numpy(np.ascontiguousarray(images)).to(device).float() / 127.5 - 1.0
    features = model.net(model.scaling_layer(inputs.expand(-1, 3, -1, -1)))
    parts = []
    for layer, head in zip(features, model.lins, strict=True):  # layer: (N, C_l, H_l, W_l)
        weight = (head.model[-1].weight / layer[0, 0].numel()).sqrt()  # (1, C_l, 1, 1)
        # As in the package, 1e-10 is added to the norm.
        norm = layer.square().sum(1, keepdim=True).sqrt() + 1e-10
        parts.append((layer * (weight / norm)).flatten(1))
    return torch.cat(parts, 1)
