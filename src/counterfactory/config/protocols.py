"""The published protocols that the key `protocol` chooses: groups of options of answers, questions, trainings, scores.

A protocol replaces the defaults of some keys. Whatever the configuration names itself takes precedence. A protocol does
not choose methods, metrics, numbers of images or network sizes; the presets do.
"""

from collections.abc import Mapping
from typing import Any, Literal

__all__ = ["PROTOCOLS", "ProtocolName", "protocol_defaults"]

ProtocolName = Literal["ours", "causal-gen", "melistas", "dime"]

_MECHANISMS = ("vae", "hvae", "vae_ft", "hvae_ft")


def _temperatures(vae: tuple[float, float], hvae: tuple[float, float]) -> dict[str, dict[str, float]]:
    """Returns the temperatures of latents and residual of the models `vae` and `hvae`, fine-tuned or not."""
    return {
        name: dict(zip(("latents", "residual"), hvae if name.startswith("hvae") else vae, strict=True))
        for name in _MECHANISMS
    }


# A pixel that is far from its prediction has no gradient, so the first scale must be large (the published one is 1).
_CAPPED = {
    f"models.{name}.{key}": value
    for name in ("vae", "hvae")
    for key, value in (("training.likelihood", "capped"), ("network.log_scale", 0.0))
}

# None of the published mechanisms centres its latents, corrects its answers or limits the scale of its prior.
_UNCORRECTED: dict[str, Any] = {
    f"models.{name}.network.{key}": False
    for name in ("vae", "hvae")
    for key in ("centred", "transport", "levels", "calibrate")
} | {
    "models.vae.network.debias": 0.0,
    "models.hvae.network.debias": 0.0,
    "models.hvae.network.prior_log_scale": None,
}

# Both score by predictors trained on images like those of the models, and compare with the method's own parents.
_JUDGED = {
    "scores.effectiveness.targets": "own",
    "judges.context": True,
    "judges.confounded": True,
}

_EXPLAINER = {
    "timestep_respacing": 200,
    "start_step": 60,
    "classifier_scales": [8.0, 10.0, 15.0],
    "l1_loss": 0.05,
    "l_perc": 30.0,
    "perceptual": "vgg19",
    "l_perc_layer": 18,
}

PROTOCOLS: dict[str, dict[str, Any]] = {
    "ours": {},
    # Its code and its notebook of evaluation. The simple VAE's abduction has no temperature.
    "causal-gen": {
        "answers.temperatures": _temperatures(vae=(1.0, 0.1), hvae=(0.1, 0.1)),
        "answers.residual": "clipped",
        "answers.mediator_variance": "linear",
        "answers.mediator_weight": 0.65,
        "answers.mediator_draws": "fresh",
        **_CAPPED,
        **_UNCORRECTED,
        **{f"models.{name}.training.conditioning_dropout_unit": "batch" for name in ("vae", "hvae")},
        **_JUDGED,
    },
    # The code of counterfactual-benchmark.
    "melistas": {
        "answers.temperatures": _temperatures(vae=(1.0, 0.1), hvae=(0.1, 1.0)),
        "answers.residual": "clipped",
        "questions.do.bins": "means",
        **_CAPPED,
        **_UNCORRECTED,
        **_JUDGED,
        "judges.linear": True,
        "scores.minimality.bins": "means",
    },
    # The code of DiME and its scripts of evaluation; steps, scales and perceptual loss are those for faces.
    "dime": {
        "models.ddpm.diffusion.vlb_weight": 0.002885,
        **{
            f"answers.{name}.{key}": value
            for name in ("dime", "fastdime")
            for key, value in _EXPLAINER.items()
        },
        "answers.fastdime.warmup_mask": 30,
        **{f"answers.{name}.rounding": "down" for name in ("dime", "fastdime")},
        "scores.cout.last_portion": "whole",
        "scores.identity.threshold": 0.5,
        "scores.correlation.constant": "nan",
        "scores.fid.real": "all",
        "scores.oracle_frechet.real": "all",
        **{
            f"scores.{name}.jpeg": True
            for name in ("identity", "mnac", "correlation", "diversity", "cout", "fid")
        },
    },
}
"""The values of each protocol by the path of their key."""


def protocol_defaults(given: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of the protocol that a configuration names, by path; of an unknown one none."""
    name = given.get("protocol", "ours")
    return PROTOCOLS.get(name, {}) if isinstance(name, str) else {}
