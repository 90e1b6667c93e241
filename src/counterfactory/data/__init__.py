"""The data room: images, attributes, splits and the causal graph, and how simulated worlds are drawn."""
