"""The structural causal model of the parents: mechanisms, their fit, and counterfactuals of the parents."""
