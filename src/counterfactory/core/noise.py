r"""Random noise per question: no result depends on batch size, chunks or the number of workers.

Each stream of numbers is a counter-based Philox generator (Salmon et al., 2011), whose key is computed from a seed and
a path of names:

.. math:: \epsilon_{q} \sim \mathrm{Philox}\big(\mathrm{key} = \mathrm{SHA256}(s_q, \text{name}_1, \ldots)\big)

The noise of a question is therefore a function of the question alone. It is drawn on the CPU with numpy and then moved
to the device, so that a GPU run and a CPU run use the same bits.
"""

import hashlib
from collections.abc import Sequence

import numpy as np

__all__ = ["Seeds", "derive_seed", "generator", "normal"]

Seeds = Sequence[int] | np.ndarray
"""One seed per question, with shape :math:`(B,)`."""


def derive_seed(seed: int, *names: str | float) -> int:
    """Returns a 63-bit seed, a fixed function of `seed` and a path of names.

    Arguments:
        seed: Any integer.
        names: The path, such as `("abduction", 3)`.
    """
    text = "/".join([str(int(seed)), *map(str, names)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little") >> 1


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Returns the numpy generator of the stream `names` under `seed`."""
    return np.random.Generator(np.random.Philox(derive_seed(seed, *names)))


def normal(seeds: Seeds, shape: Sequence[int], *names: str | int) -> np.ndarray:
    """Draws standard normal noise, one independent stream per question.

    Arguments:
        seeds: The seed of each question, with shape :math:`(B,)`.
        shape: The shape of the noise of one question.
        names: The path of names of the stream.

    Returns:
        Float32 noise with shape :math:`(B, *shape)`.
    """
    noise = np.empty((len(seeds), *shape), dtype=np.float32)
    for row, seed in zip(noise, seeds, strict=True):
        generator(int(seed), *names).standard_normal(dtype=np.float32, out=row)
    return noise
