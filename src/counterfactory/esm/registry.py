"""Which laws of the counterfactual noise and which samplers there are: names only, nothing heavy is imported."""

__all__ = ["KERNELS", "SAMPLERS"]

KERNELS = ("sticky", "autoregressive", "original_gaussian", "original_uniform")
SAMPLERS = ("auto", "rejection", "chain", "smc")
