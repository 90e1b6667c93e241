"""Limits of image mechanisms that the configuration checks before anything runs; imports nothing."""

__all__ = ["MOST_COVARIANCES", "MOST_TRANSPORTED"]

MOST_TRANSPORTED = 1024
"""The largest number of latents of an image for a transport: a covariance has its square of entries."""

MOST_COVARIANCES = 2**25
"""The largest number of entries of the covariances of all joint classes of a transport: 128 MiB in float32."""
