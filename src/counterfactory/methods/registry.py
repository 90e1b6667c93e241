"""Which methods there are, and what each one needs and can answer: names only, nothing heavy is imported.

The configuration checks names against this table and the workflow plans by it. A method called `x` is the
module `counterfactory.methods.x`; adding one is that file and a line here.
"""

from dataclasses import dataclass

__all__ = ["METHODS", "SUITES", "Method"]

SUITES = ("do", "null", "reverse", "flip", "sweep")


@dataclass(frozen=True)
class Method:
    """What a method needs before it can answer, and what it can answer.

    Arguments:
        title: Its name in tables and figures.
        models: The image models it asks (keys of `models` in the configuration).
        scm: Whether it asks the mechanisms of the parents.
        suites: The suites of questions it can answer.
        simulated: Whether it can only answer on simulated data sets.
        default: Whether it is asked where the configuration names no methods.
        codes: Whether its answers hold codes of the factual image, in columns `code_<...>`.
    """

    title: str
    models: tuple[str, ...] = ()
    scm: bool = False
    suites: tuple[str, ...] = SUITES
    simulated: bool = False
    default: bool = True
    codes: bool = False

    @property
    def trained(self) -> bool:
        """Whether its answers depend on the training seed; an untrained method lives under `seed0` only."""
        return bool(self.models) or self.scm


METHODS = {
    "copy": Method("Copy (floor)"),
    "vae": Method("VAE", models=("vae",), scm=True),
    "hvae": Method("HVAE", models=("hvae",), scm=True),
    "vae_ft": Method("VAE-FT", models=("vae_ft",), scm=True, default=False),
    "hvae_ft": Method("HVAE-FT", models=("hvae_ft",), scm=True, default=False),
    "causaldiffae": Method("CausalDiffAE", models=("causaldiffae",), default=False, codes=True),
    "gan": Method("GAN", models=("gan",), scm=True, default=False),
    "gan_esm": Method("GAN + ESM", models=("dcgan", "classifier"), suites=("flip",), default=False),
    "dime": Method("DiME", models=("ddpm", "classifier"), suites=("flip",)),
    "fastdime": Method("FastDiME", models=("ddpm", "classifier"), suites=("flip",)),
    "dime_x": Method("DiME-X (ours)", models=("ddpm", "classifier"), suites=("flip",)),
    "truth": Method("Truth (ceiling)", simulated=True),
}
