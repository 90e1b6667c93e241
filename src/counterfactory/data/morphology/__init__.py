"""Measures and changes the shape of handwriting as Morpho-MNIST does, in compiled code.

All results reproduce the published data, which was made with scikit-image 0.16: rendered images are equal bit by bit.
Later versions of scikit-image have another cubic interpolation and another order in which skeletons are thinned, so the
same calls return other images today. The tests compare with the current version where the two still agree.

- `resampling`: between 28 x 28 grey levels and a grid that is 4 or 16 times finer.
- `skeleton`: distance transform and medial axis.
- `thickness`: dilation and erosion by the published structuring element.
- `reuse`: the strokes and renderings of recent images, of which more is asked.
- `rendering`: a digit at a given thickness and intensity. `warping`: slant and width.
- `measurement`: area, length, thickness, slant, width, height, intensity.
- `analysis`: the strokes of one image, for other perturbations.
- `workspace`: the scratch memory of a worker, and the stages of an analysis.

References:
    | Morpho-MNIST: Quantitative Assessment and Diagnostics for Representation Learning (Castro et al., 2019)
    | https://arxiv.org/abs/1809.10780

    | Deep Structural Causal Models for Tractable Counterfactual Inference (Pawlowski et al., 2020)
    | https://arxiv.org/abs/2006.06485
"""

from . import compiled_cache  # noqa: F401  before functions are compiled
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
