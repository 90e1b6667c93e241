"""The training loop, used for every network."""
