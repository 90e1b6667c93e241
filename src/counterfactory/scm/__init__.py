"""The causal room: the graph, the mechanisms of the parents, and counterfactuals over parents."""
