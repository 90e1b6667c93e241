"""Features of images by Inception, as `pytorch-fid` computes them: 2,048 numbers an image.

Images of any size are resized to 299 px by the network itself, bilinearly and without antialiasing; a grey image is
given three equal channels. On a CPU an image takes about 0.15 s, so real images are embedded once and kept for all
methods (:func:`real_features`).
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from ..core.errors import BadFile, MissingWeights, UserError
from ..core.files import writing
from ..core.progress import progress
from ..pretrained.inception import FEATURES

__all__ = ["inception_features", "read_features", "write_features"]

BATCH = 8  # images in one forward pass; more is no faster on a CPU


@torch.inference_mode()
def inception_features(model: Any, images: np.ndarray, label: str = "inception") -> np.ndarray:
    """Returns the features of images.

    Arguments:
        model: The network, :func:`counterfactory.pretrained.inception.load_inception`.
        images: Uint8 images with shape (N, C, H, W), C 1 or 3.
        label: What progress is shown under.

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
    """Writes the features (N, D) of the images in the rows (N,) of the test split, as safetensors.

    Arguments:
        path: The file to write.
        rows: The rows.
        features: The features.
        missing: Why there are none.
    """
    tensors = {"rows": rows.astype(np.int64), "features": np.ascontiguousarray(features)}
    with writing(path) as temporary:
        save_file(tensors, temporary, {"missing": missing} if missing else None)


def read_features(path: Path) -> dict[int, np.ndarray]:
    """Returns the features (D,) of each row that :func:`write_features` wrote.

    Raises:
        UserError: If the file is missing or damaged.
        MissingWeights: If there were no weights to compute features with.
    """
    if not path.exists():
        raise UserError(
            f"{path}: no such file; run the step that makes it first (counterfactory reference fid)"
        )
    try:
        with safe_open(path, "np") as file:
            missing = (file.metadata() or {}).get("missing")
        found = load_file(path)
        if missing:
            raise MissingWeights(missing)
        return dict(zip(found["rows"].tolist(), found["features"], strict=True))
    except MissingWeights:
        raise
    except Exception as error:
        raise BadFile(f"{path}: cannot be read ({type(error).__name__}); delete it and run again") from None
