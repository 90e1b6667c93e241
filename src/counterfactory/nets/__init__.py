"""Architectures, and nothing else: what they are trained for stands in `training`, what they answer in `methods`."""
