r"""Aligns faces to the frame of ArcFace by one similarity for all images of a data set.

The images of some data sets, such as CelebA, are aligned already: eyes, nose and mouth are at nearly the same positions
in each. One similarity transform (rotation, scale and shift) therefore maps all of them to the frame of 112 px in which
ArcFace networks were trained; no detector is required. With points as complex numbers, t in that frame and w in the
image, it is the least-squares solution

.. math:: w \approx a\, t + b, \qquad
   a = \frac{\sum_k \overline{(t_k - \bar t)}\, (w_k - \bar w)}{\sum_k |t_k - \bar t|^2}, \qquad b = \bar w - a\, \bar t

(Umeyama, 1991, doi:10.1109/34.88573, in two dimensions). The frame is that of Deng et al., 2019, arXiv:1801.07698.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["FRAME", "SIZE", "align", "similarity"]

SIZE = 112  # px
FRAME = ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041))
"""Left eye, right eye, nose, left and right corner of the mouth in the frame, in px; pixel centres are whole."""


def similarity(landmarks: Sequence[Sequence[float]]) -> Tensor:
    """Returns the matrix (2, 3) that maps positions in the frame to positions in the image, both from -1 to 1.

    Arguments:
        landmarks: The five points (x, y) in the image, as shares of its side from the upper left corner.
    """
    frame = torch.tensor(FRAME, dtype=torch.float64)
    theirs = 2.0 * (frame + 0.5) / SIZE - 1.0
    ours = 2.0 * torch.tensor([list(point) for point in landmarks], dtype=torch.float64) - 1.0
    t, w = torch.complex(*theirs.T.contiguous()), torch.complex(*ours.T.contiguous())
    a = ((t - t.mean()).conj() * (w - w.mean())).sum() / (t - t.mean()).abs().square().sum()
    b = w.mean() - a * t.mean()
    return torch.tensor([[a.real, -a.imag, b.real], [a.imag, a.real, b.imag]], dtype=torch.float32)


def align(images: Tensor, matrix: Tensor) -> Tensor:
    """Returns the images in the frame, (B, C, 112, 112); positions outside of an image have its border's value.

    Arguments:
        images: Images, (B, C, H, W).
        matrix: The similarity, (2, 3).
    """
    grid = F.affine_grid(
        matrix.to(images).expand(len(images), 2, 3),
        [len(images), images.shape[1], SIZE, SIZE],
        align_corners=False,
    )
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)
