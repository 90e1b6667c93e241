"""The noise kernels and the samplers of the extended structural model, as names only."""

__all__ = ["KERNELS", "SAMPLERS"]

KERNELS = ("sticky", "autoregressive", "original_gaussian", "original_uniform")
"""The laws of the counterfactual noise, defined in :mod:`counterfactory.scm.noise_kernels`."""

SAMPLERS = ("auto", "rejection", "chain", "smc")
"""The samplers of :func:`counterfactory.esm.samplers.counterfactual_observation`."""
