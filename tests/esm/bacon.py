"""Reference cases of the extended structural model whose exact answers are known."""

import numpy as np
import torch

from tests.esm.networks import FunctionalModel

BACON = FunctionalModel(
    noises={"uB": (0.1, 0.9), "uS": (0.1, 0.9), "uN": (0.9, 0.1)},
    mechanisms={
        "B": lambda v: v["uB"],
        "S": lambda v: v["B"] & v["uS"],
        "N": lambda v: v["S"] | v["uN"],
    },
)
"""Bacon, smell, neighbour: the network of Lucas and Kemp (2015)."""
ACTUAL = {"B": 1, "S": 1, "N": 1}


def rare_evidence() -> tuple[np.ndarray, np.ndarray]:
    """Returns w and z, (20,) each: the evidence sigma(8 (w.z' - 3)) is rare given z with w.z = -0.5."""
    torch.manual_seed(0)
    w = torch.randn(20).double().numpy()
    w /= np.linalg.norm(w)
    z = torch.randn(20).double().numpy()
    return w, z + (-0.5 - w @ z) * w


def log_sigmoid(x: np.ndarray) -> np.ndarray:
    return -np.logaddexp(0.0, -x)


def exact_answer(w: np.ndarray, z: np.ndarray, stickiness: float) -> tuple[float, float, float]:
    """Enumerates all 2^D keep-masks: P(evidence), E[w.z'] and the mean share kept, given the evidence.

    Given a mask, w.z' is Gaussian, with the kept coordinates in its mean and the others in its variance.
    """
    mean, variance = np.zeros(1), np.zeros(1)
    log_prior, kept = np.zeros(1), np.zeros(1)
    for weight, value in zip(w, z, strict=True):
        mean = np.concatenate([mean + weight * value, mean])
        variance = np.concatenate([variance, variance + weight**2])
        log_prior = np.concatenate([log_prior + np.log(stickiness), log_prior + np.log1p(-stickiness)])
        kept = np.concatenate([kept + 1 / len(w), kept])
    # Masks are many and smooth in (mean, variance): they are gathered on a fine grid, moments kept.
    size = 400
    low, width = mean.min(), (mean.max() - mean.min()) / (size - 1)
    i, j = (mean - low) / width, variance * (size - 1)
    prior, sums = np.exp(log_prior), np.zeros((2, (size + 1) ** 2))
    for di in (0, 1):
        for dj in (0, 1):
            row, column = np.floor(i).astype(int) + di, np.floor(j).astype(int) + dj
            share = prior * (1 - np.abs(i - row)) * (1 - np.abs(j - column))
            cell = row * (size + 1) + column
            sums += [np.bincount(cell, weights, (size + 1) ** 2) for weights in (share, share * kept)]
    x = np.linspace(-7.0, 9.0, 1601)
    likelihood = np.exp(log_sigmoid(8.0 * (x - 3.0)))
    total = np.zeros(3)
    for row in range(size):
        used = np.flatnonzero(sums[0, row * (size + 1) : (row + 1) * (size + 1)] > 0)
        spread = np.sqrt(np.maximum(used / (size - 1), 1e-6))[:, None]
        density = np.exp(-0.5 * ((x - low - row * width) / spread) ** 2) * likelihood
        density /= spread * np.sqrt(2 * np.pi) / (x[1] - x[0])
        mass = density.sum(1)
        cells = row * (size + 1) + used
        total += [sums[0, cells] @ mass, sums[0, cells] @ (density @ x), sums[1, cells] @ mass]
    return total[0], total[1] / total[0], total[2] / total[0]
