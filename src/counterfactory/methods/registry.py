"""The methods: what each one needs and which questions it answers, as names only.

The configuration checks method names against this table and the workflow plans with it. Nothing heavy is imported.
A new method is one module, `methods/<name>.py`, and one line in :data:`METHODS`.
"""

from dataclasses import dataclass

from ..core.plugins import found, is_plugin
from ..questions.registry import SUITES

__all__ = ["METHODS", "Method", "module_of"]


@dataclass(frozen=True)
class Method:
    """One method: its title, its module, what it needs and what it answers.

    Arguments:
        title: The name in tables and figures.
        module: The module in :mod:`counterfactory.methods` with the function `load`; by default the method's name. In
            another package: its full name, by default that of the module of the entry point.
        models: The trained models it uses, keys of :data:`counterfactory.models.registry.MODELS`.
        scm: Whether it uses the mechanisms of the parents (the model `scm`).
        section: The section of `answers` in the configuration that only this method reads, if there is one.
        suites: The suites of questions it answers, keys of :data:`counterfactory.questions.registry.SUITES`.
        simulated: Whether it requires a simulated data set.
        default: Whether it runs when the configuration lists no methods.
        codes: Whether its answers contain codes of the factual image, in columns `code_<...>`.
    """

    title: str
    module: str = ""
    models: tuple[str, ...] = ()
    scm: bool = False
    section: str = ""
    suites: tuple[str, ...] = tuple(SUITES)
    simulated: bool = False
    default: bool = True
    codes: bool = False

    @property
    def trained(self) -> bool:
        """Whether its answers depend on the training seed. An untrained method has the folder `seed0` only."""
        return bool(self.models) or self.scm


_FLIP = ("flip",)
_GUIDED = ("ddpm", "classifier")

METHODS: dict[str, Method] = {
    "copy": Method("Copy (floor)"),
    "vae": Method("VAE", module="dscm", models=("vae",), scm=True),
    "hvae": Method("HVAE", module="dscm", models=("hvae",), scm=True),
    "hvae_reduced": Method(
        "HVAE, residual x 0.1", module="dscm", models=("hvae",), scm=True, section="reduced", default=False
    ),
    "vae_ft": Method("VAE-FT", module="dscm", models=("vae_ft",), scm=True, default=False),
    "hvae_ft": Method("HVAE-FT", module="dscm", models=("hvae_ft",), scm=True, default=False),
    "causaldiffae": Method(
        "CausalDiffAE", models=("causaldiffae",), section="causaldiffae", default=False, codes=True
    ),
    "gan": Method("GAN", models=("gan",), scm=True, default=False),
    "gan_esm": Method(
        "GAN + ESM", models=("dcgan", "classifier"), section="gan_esm", suites=_FLIP, default=False
    ),
    "dime": Method("DiME", models=_GUIDED, section="dime", suites=_FLIP),
    "fastdime": Method("FastDiME", models=_GUIDED, section="fastdime", suites=_FLIP),
    "dime_x": Method("DiME-X (ours)", models=_GUIDED, section="dime_x", suites=_FLIP),
    "truth": Method("Truth (ceiling)", simulated=True),
}


METHODS |= found("counterfactory.methods", METHODS, Method)


def module_of(method: str) -> str:
    """Returns the module of a method: relative to the package, such as `methods.dscm`, or of another package."""
    module = METHODS[method].module
    return module if is_plugin(module) else f"methods.{module or method}"
