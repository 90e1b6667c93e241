"""The method `hvae_ft`: as `hvae`, its image mechanism fine-tuned on counterfactuals (training/finetune.py)."""

from pathlib import Path
from typing import Any

from . import Answer
from .dscm import load_dscm

__all__ = ["load"]


def load(seed: int, data: Path, models: Path, settings: Any, device: str) -> Answer:
    """Returns the function that answers; see :func:`counterfactory.methods.dscm.load_dscm`."""
    return load_dscm("hvae_ft", seed, data, models, settings, device)
