"""TODO core.device."""

import torch

from .errors import UserError

__all__ = ["arithmetic", "choose_device"]


def choose_device(name: str) -> str:
    """Returns `cuda` or `cpu` for `auto`, `cuda` or `cpu`.

    Raises:
        UserError: If `cuda` is asked for and there is none.
    """
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError(
            "device: cuda is asked for but this machine has no usable GPU; set device: auto or cpu"
        )
    return name


def arithmetic(precision: str, device: str) -> torch.dtype:
    """Returns the type of the forward pass: for `auto` bfloat16 where the hardware computes with it, else float32."""
    if precision == "auto":
        if device.startswith("cuda"):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        else:
            probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
            native = any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)
        precision = "bfloat16" if native else "float32"
    return torch.bfloat16 if precision == "bfloat16" else torch.float32
