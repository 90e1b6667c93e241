"""Loads an identity network, trained here or published, and applies it to images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from ...core.checkpoint import load_network
from ...core.device import choose_device
from ...core.errors import UserError
from ...nets.pixels import pixel_batches
from ...pretrained.identity_networks import build_published_identity
from .network import IdentityCNN, PersonNetwork

__all__ = ["Identity", "build_identity", "load_identity"]


@dataclass(frozen=True)
class Identity:
    """An identity network. Calling it embeds images.

    Arguments:
        network: The network, in evaluation mode; see :func:`build_identity`.
        threshold: Two images count as one identity if the cosine of their embeddings is above this.
        device: The device of the network.
    """

    network: nn.Module
    threshold: float
    device: str = "cpu"

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> np.ndarray:
        """Returns the embeddings of uint8 images (N, C, H, W), float64 (N, F) of norm 1."""
        parts = [self.network(batch).cpu().double() for batch in pixel_batches(images, self.device)]
        if not parts:
            return np.empty((0, cast(int, self.network.features)))
        return F.normalize(torch.cat(parts), dim=1).numpy()


def build_identity(name: str = "trained", **sizes: Any) -> nn.Module:
    """Returns an embedding without weights.

    Arguments:
        name: `trained` (a network of this package), or a published face embedding
            (:func:`counterfactory.pretrained.identity_networks.build_published_identity`).
        sizes: The sizes of the network of this package (with `discriminant`: the one for photographs of persons), or
            the landmarks of a published one.

    Returns:
        A network from images in [-1, 1], (B, C, H, W), to unit embeddings (B, F); F is its attribute `features`.
    """
    if name != "trained":
        return build_published_identity(name, **sizes)
    return PersonNetwork(**sizes) if "discriminant" in sizes else IdentityCNN(**sizes)


def load_identity(folder: Path | str, device: str = "cpu") -> Identity:
    """Loads the identity network in `folder`, trained or fetched.

    Arguments:
        folder: Its folder.
        device: `auto`, `cpu` or `cuda`.

    Raises:
        UserError: If it is missing or damaged.
    """
    device = choose_device(device)
    network, meta = load_network(folder, build_identity, device, "identity")
    if "threshold" not in meta:
        raise UserError(f"{Path(folder) / 'model.json'}: has no key threshold; delete it and train again")
    return Identity(network, float(meta["threshold"]), device)
