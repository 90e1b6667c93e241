"""Imports torchvision, also with a CPU-only build of torch.

The torchvision wheels of PyPI are built for CUDA. With a CPU-only torch their compiled library does not load, and
Python code that refers to two of its operators, `nms` and `qnms`, fails at import. After these operators are declared,
without an implementation, the parts in Python work: data sets, models, transforms. Box suppression and image decoding
remain unavailable.
"""

import importlib
from types import ModuleType

import torch

__all__ = ["import_torchvision"]


def import_torchvision() -> ModuleType:
    """Imports and returns torchvision; afterwards `import torchvision` works everywhere in the process.

    It must be called before the import of packages that themselves import torchvision, such as `lpips`.

    Raises:
        ImportError: If torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        # Only after a failure: if the compiled library loads, a second declaration of its operators is an error.
        for operator in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        return importlib.import_module("torchvision")
