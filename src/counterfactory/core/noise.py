r"""Noise drawn per question, so that no result depends on batch size, chunking or worker count.

Each stream of numbers is a counter-based Philox generator (Salmon et al., 2011) keyed by a seed and by
the path of names that leads to it:

.. math:: \epsilon_{q} \sim \mathrm{Philox}\big(\mathrm{key} = \mathrm{SHA256}(s_q, \text{name}_1, \ldots)\big)

so that the noise of a question is a function of the question alone. Drawing is done on the CPU with
numpy and moved to the device afterwards: a GPU run and a CPU run see the same bits.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

__all__ = ["derive_seed", "generator", "normal"]


def derive_seed(seed: int, *names: str | int) -> int:
    """Returns a 63-bit seed that is a fixed function of `seed` and a path of names.

    Arguments:
        seed: Any integer.
        names: What the stream is for, such as `("abduction", 3)`.
    """
    text = "/".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Returns the numpy generator of the stream `names` under `seed`."""
    return np.random.Generator(np.random.Philox(derive_seed(seed, *names)))


def normal(seeds: Sequence[int], shape: Sequence[int], *names: str | int) -> np.ndarray:
    """Draws standard normal noise, one independent stream a question.

    Arguments:
        seeds: The seed of each question, with shape :math:`(B,)`.
        shape: The shape of one question's noise.
        names: What the noise is for.

    Returns:
        Float32 noise with shape :math:`(B, *shape)`.
    """
    noise = np.empty((len(seeds), *shape), dtype=np.float32)
    for row, seed in zip(noise, seeds, strict=True):
        generator(int(seed), *names).standard_normal(dtype=np.float32, out=row)
    return noise
