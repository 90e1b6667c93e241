"""The noise kernels, samplers and generators of the extended structural model, as names only."""

from dataclasses import dataclass

__all__ = ["GENERATORS", "KERNELS", "SAMPLERS", "Generator"]

KERNELS = ("sticky", "autoregressive", "original_gaussian", "original_uniform")
"""The laws of the counterfactual noise, defined in :mod:`counterfactory.scm.noise_kernels`."""

SAMPLERS = ("auto", "rejection", "chain", "smc")
"""The samplers of :func:`counterfactory.esm.samplers.counterfactual_observation`."""


@dataclass(frozen=True)
class Generator:
    """A generator of images that queries can be asked about.

    Arguments:
        method: The method that answers the suite `flip` with it: its queries run when this method is configured.
        models: The trained models that it requires.
    """

    method: str
    models: tuple[str, ...]


GENERATORS = {
    "dcgan": Generator("gan_esm", ("dcgan", "classifier")),
    "gan": Generator("gan", ("gan", "scm", "classifier")),
}
