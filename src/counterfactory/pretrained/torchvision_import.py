"""Imports torchvision, also beside a torch that has no GPU code.

The torchvision wheels of PyPI are built for CUDA. Beside a CPU-only torch their compiled library does not
load, and Python code that refers to two of its operators, `nms` and `qnms`, then fails at import. Declaring
the two operators, without an implementation, lets everything written in Python work: data sets, models,
transforms. Only box suppression and image decoding stay unavailable.
"""

import importlib
from types import ModuleType

import torch

__all__ = ["import_torchvision"]


def import_torchvision() -> ModuleType:
    """Imports and returns torchvision; afterwards `import torchvision` works anywhere in the process.

    Call it before importing anything that imports torchvision itself, such as `lpips`.

    Raises:
        ImportError: If torchvision is not installed.
    """
    try:
        return importlib.import_module("torchvision")
    except RuntimeError:
        # Only now: where the compiled library loads, declaring its operators again would clash.
        for operator in ("nms", "qnms"):
            torch.library.define(
                f"torchvision::{operator}", "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
            )
        return importlib.import_module("torchvision")
