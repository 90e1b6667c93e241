"""Limits of image mechanisms that the configuration checks before anything runs; imports no other module."""

from collections.abc import Mapping
from math import prod
from typing import Any

__all__ = ["MOST_COVARIANCES", "MOST_TRANSPORTED", "count_latents", "joint_classes", "transports"]

MOST_TRANSPORTED = 1024
"""The largest number of latents of an image for a transport: a covariance has its square of entries."""

MOST_COVARIANCES = 2**25
"""The largest number of entries of the covariances of all joint classes of a transport: 128 MiB in float32."""


def count_latents(network: Mapping[str, Any]) -> int:
    """Returns the number of latents of an image.

    Arguments:
        network: The settings `models.<vae|hvae>.network`.
    """
    if "resolutions" not in network:
        return network["latent"]
    layers = zip(network["latents"], network["decoder_blocks"], network["resolutions"], strict=False)
    return sum(channels * blocks * side**2 for channels, blocks, side in layers)


def joint_classes(classes: Mapping[str, int]) -> int:
    """Returns the number of joint classes of variables with the given numbers of classes; 0: a continuous one."""
    return prod(max(1, count) for count in classes.values())


def transports(network: Mapping[str, Any], classes: Mapping[str, int]) -> bool:
    """Returns whether a network can transport its latents between the joint classes of variables.

    Arguments:
        network: The settings `models.<vae|hvae>.network`.
        classes: The number of classes of each variable; 0 for a continuous one.
    """
    latents, joint = count_latents(network), joint_classes(classes)
    within = latents <= MOST_TRANSPORTED and joint * latents**2 <= MOST_COVARIANCES
    return joint > 1 and within and network["prior"] == "exogenous"
