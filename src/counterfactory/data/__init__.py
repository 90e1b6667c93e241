"""Data sets: images, attributes, splits and the causal graph, and the simulated worlds that generate them."""
