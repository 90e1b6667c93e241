"""The published hierarchical VAE's bound on a CPU, forward and backward, by compiled kernels.

Computes what :meth:`counterfactory.models.image.hvae.Hvae.elbo` computes, in float32 and from the same weights, for networks of
heavy blocks. Their convolutions have as few as 4 channels and are separated by GELUs, for which general
libraries reach a fifth of a CPU's speed. Here feature maps lie in memory as (H, W, C, B), so that 16 images fill a
vector register whatever C is, and a block's activations stay in the caches (`kernels.cpp`).

The kernels are compiled by the machine's g++ when first used and kept in the user's cache folder; where there
is none, :func:`available` says so and PyTorch does the work.
"""

from .bound import elbo, suits
from .build import available

__all__ = ["available", "elbo", "suits"]
