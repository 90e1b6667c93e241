"""TODO models.identity.model."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ...core.checkpoint import load_network
from ...core.device import choose_device
from ...core.errors import UserError
from ...nets.pixels import to_pixels
from ...pretrained.identity_networks import build_identity

__all__ = ["BATCH", "Identity", "load_identity"]


BATCH = 500  # images in one forward pass of the trained network


@dataclass(frozen=True)
class Identity:
    """An embedding, called with images.

    Arguments:
        network: The network, in evaluation mode: :func:`counterfactory.pretrained.identity_networks.build_identity`.
        threshold: The cosine above which two images count as of one hand, or one person.
        device: Where it runs.
    """

    network: nn.Module
    threshold: float
    device: str = "cpu"

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the unit embeddings, float64 (N, F), of uint8 images (N, C, H, W)."""
        parts = []
        for start in range(0, len(images), BATCH):
            batch = torch.from_numpy(np.array(images[start : start + BATCH])).to(self.device)
            parts.append(self.network(to_pixels(batch)).cpu().double())
        if not parts:
            return np.empty((0, self.network.features))
        return F.normalize(torch.cat(parts), dim=1).numpy()


def load_identity(folder: Path | str, device: str = "cpu") -> Identity:
    """Loads what :func:`train_identity` wrote in `folder`, or what was fetched into it.

    Arguments:
        folder: The embedding's folder.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: If it is missing or damaged.
    """
    device = choose_device(device)
    network, meta = load_network(folder, build_identity, device)
    if "threshold" not in meta:
        raise UserError(f"{Path(folder) / 'model.json'}: has no threshold; delete it and train again")
    return Identity(network, float(meta["threshold"]), device)
