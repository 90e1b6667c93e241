"""The identity network: decides whether two images show the same source image."""
