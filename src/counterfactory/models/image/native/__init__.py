"""C++ kernels for the training of the published hierarchical VAE on CPUs.

They compute :meth:`counterfactory.models.image.hvae.Hvae.elbo` and its gradient in float32, for networks of `heavy`
blocks. The convolutions of these blocks have as few as 4 channels and alternate with GELUs; general libraries reach
about a fifth of a CPU's speed on them. The kernels store feature maps as (H, W, C, B), so that 16 images fill a vector
register for any number of channels, and keep the activations of a block in the caches (`kernels.cpp`).

The kernels are compiled with the machine's g++ at first use and stored in the user's cache folder. Without g++ or on
other processors than x86-64, :func:`available` returns False and training uses PyTorch's operations.

They are faster than networks compiled by PyTorch: for the published HVAE at batch size 32 on one CPU
thread, they process 3.58 (3.41 to 4.08) times as many images per second as the plain PyTorch form. Inductor
(`compile: always`, float32) reaches 1.54 times the plain form, after 284 CPU seconds of compilation. For the default
HVAE of `light` blocks inductor does not pay off: compilation costs as much time as it saves in 7,000 steps of 32
images, which is longer than the whole training. Measured by `python benchmarks/training.py`.
"""

from .bound import elbo, suits
from .build import available

__all__ = ["available", "elbo", "suits"]
