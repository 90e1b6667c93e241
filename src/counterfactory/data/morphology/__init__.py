"""The shape of handwriting, measured and changed: Morpho-MNIST (Castro et al., 2019) at the speed of compiled code.

All follows the numbers of the published data, made with scikit-image 0.16: images are rendered bit by bit as they
were. scikit-image has since changed its cubic interpolation and the order in which it thins skeletons, so the same
calls to it give other images today; the tests say where the two still agree.

- `resampling`: between 28 x 28 grey levels and a grid 4 or 16 times finer.
- `skeleton`: distance transform and medial axis.
- `thickness`: dilation and erosion by the published structuring element.
- `rendering`: a digit at a thickness and an intensity. `warping`: slant and width.
- `measurement`: area, length, thickness, slant, width, height, intensity.
- `analysis`: the strokes of one image, for other perturbations.
- `workspace`: the scratch memory of a worker, and the stages of an analysis.

Castro, Tan, Kainz, Konukoglu & Glocker, "Morpho-MNIST: Quantitative assessment and diagnostics for representation
learning", JMLR 20(178), 2019. Pawlowski, Castro & Glocker, "Deep structural causal models for tractable
counterfactual inference", NeurIPS 2020.
"""

from . import compiled_cache  # noqa: F401  before what is compiled
from .analysis import Analysis, analyse, downscale
from .measurement import ATTRIBUTES, measure
from .rendering import render
from .warping import render_slanted, render_wide

__all__ = [
    "ATTRIBUTES",
    "Analysis",
    "analyse",
    "downscale",
    "measure",
    "render",
    "render_slanted",
    "render_wide",
]
