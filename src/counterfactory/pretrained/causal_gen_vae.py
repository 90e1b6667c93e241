"""Renames the weights of causal-gen's simple VAE (De Sousa Ribeiro et al., 2023, arXiv:2306.15764).

All sizes follow from names and shapes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.errors import BadFile
from .foreign_state import interpreting, renamed

__all__ = ["KIND", "describe_vae", "rename_vae", "unknown_names"]

State = dict[str, Tensor]

KIND = "causal-gen's simple VAE"
"""The kind of these weights, for messages."""

_SAME = {
    "encoder.conv.0": "encoder.0",
    "encoder.conv.2": "encoder.2",
    "encoder.conv.4": "encoder.4",
    "encoder.fc.0": "encoder.7",
    "decoder.fc.2": "dense.2",
    "decoder.conv.1": "decoder.1",
    "decoder.conv.4": "decoder.4",
    "decoder.conv.7": "decoder.7",
    "likelihood.x_loc": "head.location",
    "likelihood.x_logscale": "head.log_scale",
    "decoder.prior.fc.2": "prior.2",
}
_CONSTANT = ("decoder.p_loc", "decoder.p_scale", "log2")  # of the prior that ignores the parents


def describe_vae(state: Mapping[str, Tensor], origin: Path | str) -> dict[str, Any]:
    """Returns the arguments of :class:`counterfactory.models.image.vae.Vae` for published weights.

    Arguments:
        state: The published state dictionary.
        origin: The file, for error messages.

    Returns:
        All arguments but `shape`, and the width `parents` of the encoded parents.

    Raises:
        BadFile: If these are not the weights of such a network.
    """
    with interpreting(origin, KIND):
        channels = state["encoder.conv.0.weight"].shape[0]
        hidden, joined = state["encoder.embed.0.weight"].shape
        latent = state["encoder.z_loc.weight"].shape[0]
        last = state["decoder.conv.7.weight"].shape[0]
        if joined <= hidden:
            raise ValueError("its network receives no parents")
    if last != latent:
        raise BadFile(
            f"{origin}: its last feature maps have {last} channels and its latents {latent}; only equal numbers are "
            "supported"
        )
    if "likelihood.channel_coeffs.weight" in state or "likelihood.x_logscale.weight" not in state:
        raise BadFile(f"{origin}: its likelihood is not a discretised Gaussian of grey images (dgauss)")
    return {
        "parents": joined - hidden,
        "channels": channels,
        "hidden": hidden,
        "latent": latent,
        "prior": "conditional" if "decoder.prior.z_loc.weight" in state else "exogenous",
        "log_scale": 0.0,
        "sharpen": False,
    }


def rename_vae(
    state: Mapping[str, Tensor], network: Mapping[str, Any], columns: Sequence[int] | None = None
) -> State:
    """Returns published weights by the names of :class:`counterfactory.models.image.vae.Vae`.

    Arguments:
        state: The published state dictionary.
        network: What :func:`describe_vae` returned.
        columns: For each column of our encoded parents, its place in the published ones; None: the same order.
    """
    parents, latent = network["parents"], network["latent"]
    order = torch.tensor(list(range(parents)) if columns is None else list(columns))

    def name(key: str, tensor: Tensor) -> str | None:
        module, _, leaf = key.rpartition(".")
        return f"{_SAME[module]}.{leaf}" if module in _SAME else None

    found: State = {"head.scale_gate": torch.ones(())} | renamed(state, name)
    for leaf in ("weight", "bias"):
        found[f"posterior.{leaf}"] = torch.cat(
            [state[f"encoder.z_{one}.{leaf}"] for one in ("loc", "logscale")]
        )
        found[f"join.0.{leaf}"] = state[f"encoder.embed.0.{leaf}"]
        found[f"dense.0.{leaf}"] = state[f"decoder.fc.0.{leaf}"]
    first = found["join.0.weight"]
    found["join.0.weight"] = torch.cat([first[:, :-parents], first[:, -parents:][:, order]], 1)
    dense = found["dense.0.weight"]
    features = latent if network["prior"] == "conditional" else 0
    # The published columns are [prior features, latents, parents].
    parts = dense.split([features, latent, parents], dim=1)
    found["dense.0.weight"] = torch.cat([parts[1], parts[0], parts[2][:, order]], 1)
    if features:
        found["prior.0.weight"] = state["decoder.prior.fc.0.weight"][:, order]
        found["prior.0.bias"] = state["decoder.prior.fc.0.bias"]
        for leaf in ("weight", "bias"):
            names = [f"decoder.prior.{one}.{leaf}" for one in ("z_loc", "z_logscale", "p_feat")]
            found[f"prior_out.{leaf}"] = torch.cat([state[name] for name in names])
    return found


def unknown_names(state: Mapping[str, Tensor]) -> list[str]:
    """Returns the names of weights that :func:`rename_vae` does not use."""
    used = {
        *_SAME,
        *("encoder.embed.0", "encoder.z_loc", "encoder.z_logscale", "decoder.fc.0", "decoder.prior.fc.0"),
        *("decoder.prior.z_loc", "decoder.prior.z_logscale", "decoder.prior.p_feat"),
    }
    return [key for key in state if key.rpartition(".")[0] not in used and key not in _CONSTANT]
