"""The device and the arithmetic of networks."""

import torch

from .errors import UserError

__all__ = ["INFERENCE_BATCH", "arithmetic", "choose_device"]

INFERENCE_BATCH = 500
"""Images per forward pass of a trained network."""


def choose_device(name: str) -> str:
    """Returns `cuda` or `cpu` for the setting `device`.

    Arguments:
        name: `auto` (cuda if there is a usable GPU), `cpu` or `cuda`.

    Raises:
        UserError: If `name` is `cuda` and there is no usable GPU.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("device: cuda, but this machine has no usable GPU; set device: auto or cpu")
    return name


def arithmetic(precision: str, device: str) -> torch.dtype:
    """Returns the data type of forward passes.

    Arguments:
        precision: `float32`, `bfloat16`, or `auto`: bfloat16 if the hardware computes with it, else float32.
        device: Such as `cpu` or `cuda:1`.
    """
    if precision == "auto":
        if device.startswith("cuda"):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
            native = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
        precision = "bfloat16" if native else "float32"
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
