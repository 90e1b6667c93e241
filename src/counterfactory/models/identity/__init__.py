"""The identity network: an embedding that decides whether two images show the same source image."""
