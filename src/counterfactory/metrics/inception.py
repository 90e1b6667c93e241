"""Features of images by Inception, as `pytorch-fid` computes them: 2,048 numbers per image.

The network resizes its input to 299 px, bilinearly and without antialiasing. Grey images are repeated to three
channels. On a CPU an image takes about 0.15 s, so the features of real images are computed once for all methods.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from ..core.errors import MissingWeights, UserError, reading
from ..core.files import writing
from ..core.progress import progress
from ..pretrained.inception import FEATURES

__all__ = ["inception_features", "read_features", "write_features"]

BATCH = 8
"""Images per forward pass; larger batches are not faster on a CPU."""


@torch.inference_mode()
def inception_features(model: Any, images: np.ndarray, label: str = "inception") -> np.ndarray:
    """Returns the features of images.

    Arguments:
        model: The network of :func:`counterfactory.pretrained.inception.load_inception`.
        images: Uint8 images with shape (N, C, H, W), C 1 or 3.
        label: The label of the progress bar.

    Returns:
        Float32 features with shape (N, 2048).
    """
    device = next(model.parameters()).device
    features = np.empty((len(images), FEATURES), dtype=np.float32)
    for start in progress(range(0, len(images), BATCH), label=label, unit=f"batches of {BATCH} images"):
        part = torch.from_numpy(np.array(images[start : start + BATCH])).to(device)
        inputs = (part.float() / 255.0).expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
        features[start : start + len(part)] = model(inputs)[0].flatten(1).cpu().numpy()
    return features


def write_features(path: Path, rows: np.ndarray, features: np.ndarray, missing: str = "") -> None:
    """Writes the features of some images of the test split.

    Arguments:
        path: The safetensors file to write.
        rows: The rows of the images in the test split, int (N,).
        features: The features, with shape (N, D).
        missing: The reason why there are none, if there are none.
    """
    tensors = {"rows": rows.astype(np.int64), "features": np.ascontiguousarray(features)}
    with writing(path) as temporary:
        save_file(tensors, temporary, {"missing": missing} if missing else None)


def read_features(path: Path | None) -> dict[int, np.ndarray]:
    """Returns the features (D,) of each row that :func:`write_features` wrote.

    Raises:
        UserError: If the file is missing or damaged.
        MissingWeights: If there were no weights to compute features with.
    """
    if path is None:
        raise UserError("fid: requires --reference; run `counterfactory reference fid` first")
    with reading(path, "not the features of real images", step="run `counterfactory reference fid`"):
        with safe_open(path, "np") as file:
            missing = (file.metadata() or {}).get("missing")
        found = load_file(path)
        if missing:
            raise MissingWeights(missing)
        return dict(zip(found["rows"].tolist(), found["features"], strict=True))
