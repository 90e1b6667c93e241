"""Renames the weights of causal-gen's hierarchical VAE (De Sousa Ribeiro et al., 2023, arXiv:2306.15764).

Kind of block, widths, latents, the priors (`cond_prior`, `q_correction`), `z_max_res` and the channel coefficients of
RGB images follow from names and shapes. The resolutions and the number of blocks at each (`enc_arch`, `dec_arch`) do
not; causal-gen stores them beside the weights, as `hparams`. Light blocks pad the maps of the parents with zeros. A
strided stem and odd resolutions above 1 px are not supported.

A resolution without a learned start (`bias_max_res`) gets a start of zeros, which is equivalent. In the network here a
residual block that halves the resolution always has a projection; causal-gen does not use one where the number of
channels stays the same, so the projection is set to the identity there.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.errors import BadFile, UserError
from ..core.names import shortened
from .foreign_state import interpreting, renamed

__all__ = ["KIND", "describe_hvae", "rename_hvae"]

State = dict[str, Tensor]

KIND = "causal-gen's HVAE"
"""The kind of these weights, for messages."""


_PROJECTIONS = {"z_proj": "from_latent", "z_feat_proj": "to_prior"}
_OUTPUTS = {"x_loc": "location", "x_logscale": "log_scale"}


def _stages(arch: str, name: str) -> list[tuple[int, int, int]]:
    """Returns resolution, blocks and downsampling factor (0: none) of each stage of an architecture string."""
    found = []
    for part in arch.split(","):
        match = re.fullmatch(r"\s*([1-9]\d{0,3})b(\d{1,3})(?:d([1-9]\d{0,3}))?\s*", part, re.ASCII)
        if match is None:
            raise UserError(
                f"option {name}: is {shortened(arch)}; give stages such as 32b3d2 (32 px, 3 blocks, halved), as "
                "causal-gen does"
            )
        found.append((int(match[1]), int(match[2]), int(match[3] or 0)))
    return found


def describe_hvae(
    state: Mapping[str, Tensor], enc_arch: str, dec_arch: str, origin: Path | str
) -> dict[str, Any]:
    """Returns the arguments of :class:`counterfactory.models.image.hvae.Hvae` for published weights.

    Arguments:
        state: The published state dictionary.
        enc_arch: causal-gen's option of this name, such as `32b3d2,16b3d2,8b3d2,4b3d4,1b4`.
        dec_arch: causal-gen's option of this name, such as `1b4,4b4,8b4,16b4,32b4`.
        origin: The file, for error messages.

    Returns:
        All arguments but `shape`, and the width `parents` of the encoded parents.

    Raises:
        BadFile: If these are not the weights of such a network.
        UserError: If the architecture is not that of the weights, or is not supported.
    """
    encoder, decoder = _stages(enc_arch, "enc_arch"), _stages(dec_arch, "dec_arch")
    resolutions = [side for side, _, _ in encoder]
    if encoder[0][1] == 0:
        raise UserError("option enc_arch: a first stage without blocks (a strided stem) is not supported")
    if any(blocks == 0 for _, blocks, _ in decoder):
        raise UserError(f"option dec_arch: {shortened(dec_arch)} has a stage without blocks; correct it")
    if len(set(resolutions)) < len(resolutions):
        raise UserError(
            f"option enc_arch: {shortened(enc_arch)} has two stages of one resolution; correct it"
        )
    if any(side % 2 and side > 1 for side in resolutions):
        raise UserError("option enc_arch: odd resolutions above 1 px are not supported")
    if [side for side, _, _ in decoder] != resolutions[::-1] or any(
        down and side // down != coarser
        for (side, _, down), coarser in zip(encoder, [*resolutions[1:], 0], strict=True)
    ):
        raise UserError(
            f"option dec_arch: {shortened(dec_arch)} does not have the resolutions of enc_arch, {shortened(enc_arch)}; "
            "correct one"
        )
    counts = [blocks + (1 if down else 0) for _, blocks, down in encoder]
    outs = [count for _, count, _ in decoder]
    with interpreting(origin, f"{KIND} with dec_arch {shortened(dec_arch)}"):
        heavy = "decoder.blocks.0.prior.conv.7.weight" in state
        last = 7 if heavy else 3
        starts = [sum(outs[:number]) for number in range(len(outs))]
        widths = [state[f"decoder.blocks.{start}.z_proj.weight"].shape[0] for start in starts]
        inner = [state[f"decoder.blocks.{start}.prior.conv.1.weight"].shape[0] for start in starts]
        latents = (state[f"decoder.blocks.0.prior.conv.{last}.weight"].shape[0] - widths[0]) // 2
        parents = state["decoder.blocks.0.z_proj.weight"].shape[1] - latents
        conditional = state["decoder.blocks.0.prior.conv.1.weight"].shape[1] == widths[0] + parents
        drawn = [side for (side, _, _), start in zip(decoder, starts, strict=True) if _drawn(state, start)]
        if not drawn:
            raise ValueError("none of its layers has a posterior")
        if parents < 1 or latents < 1:
            raise ValueError(f"its layers receive {latents} latents and {parents} parents")
        found = {
            part: 1
            + max((int(key.split(".")[2]) for key in state if key.startswith(f"{part}.blocks.")), default=0)
            for part in ("encoder", "decoder")
        }
    for part, wanted in (("encoder", sum(counts)), ("decoder", sum(outs))):
        if found[part] != wanted:
            option = "enc_arch" if part == "encoder" else "dec_arch"
            raise UserError(
                f"option {option}: has {wanted} blocks, but {origin} has {found[part]}; correct it"
            )
    bottleneck = next(
        (one for one in range(1, 513) if [max(1, wide // one) for wide in widths] == inner), None
    )
    if bottleneck is None:
        raise BadFile(f"{origin}: the widths of its blocks have no common bottleneck; name another file")
    return {
        "parents": parents,
        "resolutions": resolutions,
        "widths": widths[::-1],
        "encoder_blocks": counts,
        "decoder_blocks": outs[::-1],
        "latents": [latents] * len(resolutions),
        "bottleneck": bottleneck,
        "block": "heavy" if heavy else "light",
        "prior": "conditional" if conditional else "exogenous",
        "patch": 1,
        "log_scale": 0.0,
        "sharpen": False,
        "border": "zeros",
        "q_correction": "decoder.blocks.0.z_feat_proj.weight" not in state,
        "z_max_res": max(drawn) if len(drawn) < len(resolutions) else 0,
        "channel_coeffs": "likelihood.channel_coeffs.weight" in state,
    }


def _drawn(state: Mapping[str, Tensor], block: int) -> bool:
    return f"decoder.blocks.{block}.posterior.conv.1.weight" in state


def rename_hvae(
    state: Mapping[str, Tensor], network: Mapping[str, Any], columns: Sequence[int] | None = None
) -> State:
    """Returns published weights by the names of :class:`counterfactory.models.image.hvae.Hvae`.

    Arguments:
        state: The published state dictionary.
        network: What :func:`describe_hvae` returned.
        columns: For each column of our encoded parents, its place in the published ones; None: the same order.
    """
    parents = network["parents"]
    order = list(range(parents)) if columns is None else list(columns)
    found: State = {"head.scale_gate": torch.ones(())}
    for side, wide in zip(network["resolutions"], network["widths"], strict=True):
        found[f"starts.{side}"] = torch.zeros(1, wide, side, side)
    stages = [
        (stage, block) for stage, count in enumerate(network["encoder_blocks"]) for block in range(count)
    ]

    def name(key: str, tensor: Tensor) -> str | None:
        part, _, rest = key.partition(".")
        if rest.startswith("blocks."):
            number, rest = rest.removeprefix("blocks.").split(".", 1)
            if part == "encoder":
                stage, block = stages[int(number)]
                return f"encoder.stages.{stage}.{block}.{_layer(rest)}"
            layer, rest = rest.split(".", 1)
            if layer in _PROJECTIONS:
                return f"decoder.{number}.{_PROJECTIONS[layer]}.{rest}"
            return f"decoder.{number}.{'body' if layer == 'conv' else layer}.{_layer(rest)}"
        if key.startswith("decoder.bias."):
            return f"starts.{tensor.shape[-1]}"
        if part == "likelihood":
            module, leaf = rest.split(".")
            return f"head.{_OUTPUTS.get(module, module)}.{leaf}"
        return None if key == "log2" else key

    def change(key: str, tensor: Tensor) -> Tensor:
        if not key.startswith("decoder.blocks."):
            return tensor
        if key.endswith(".posterior.conv.1.weight"):
            return _parents_last(_posterior(tensor, parents), parents, order)
        conditional = network["prior"] == "conditional" and key.endswith(".prior.conv.1.weight")
        if conditional or key.endswith(".z_proj.weight"):
            return _parents_last(tensor, parents, order)
        return tensor

    found |= renamed(state, name, change)
    _unused_projections(found, network)
    return found


def _layer(rest: str) -> str:
    """Returns our name of a layer of a block: `conv.3.weight` is `layers.1.weight`."""
    module, leaf = rest.rsplit(".", 1)
    return f"projection.{leaf}" if module == "width_proj" else f"layers.{int(module[5:]) // 2}.{leaf}"


def _posterior(weight: Tensor, parents: int) -> Tensor:
    """Returns the columns [state, parents, activation] in the order [state, activation, parents]."""
    wide = (weight.shape[1] - parents) // 2
    state, given, activation = weight.split([wide, parents, wide], dim=1)
    return torch.cat([state, activation, given], dim=1)


def _parents_last(tensor: Tensor, parents: int, order: Sequence[int]) -> Tensor:
    """Returns weights whose last input columns, those of the parents, are in our order."""
    if list(order) == list(range(parents)):
        return tensor
    first = tensor.shape[1] - parents
    return torch.cat([tensor[:, :first], tensor[:, first:][:, list(order)]], dim=1)


def _unused_projections(found: State, network: Mapping[str, Any]) -> None:
    """Makes each projection of a block that keeps the number of channels the identity."""
    widths = network["widths"]
    for stage, (count, wide) in enumerate(zip(network["encoder_blocks"], widths, strict=True)):
        if stage + 1 < len(widths) and widths[stage + 1] == wide:
            where = f"encoder.stages.{stage}.{count - 1}.projection"
            found[f"{where}.weight"] = torch.eye(wide)[:, :, None, None]
            found[f"{where}.bias"] = torch.zeros(wide)
