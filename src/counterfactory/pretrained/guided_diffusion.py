"""Renames the weights of guided-diffusion's U-Net, in both directions.

guided-diffusion (Dhariwal and Nichol, 2021, arXiv:2105.05233), whose network DiME (Jeanneret et al., 2022,
arXiv:2203.15636) uses unchanged, numbers the blocks of encoder and decoder. Networks with attention in the middle only
are not supported. The width, the multipliers, the number of
blocks, the attended resolutions, `resblock_updown`, `use_scale_shift_norm`, `class_cond` and `learn_sigma` follow from
names and shapes. The number of attention heads (`num_heads` or `num_head_channels`), the order of the rows of their
projection (`use_new_attention_order`) and the diffusion process do not. With a wrong value the weights fit by shape,
but the predictions differ.

Rows of the projection are (heads, 3, c) in the legacy order and (3, heads, c) in the new one, which is the order of
:class:`counterfactory.nets.unet.AttentionBlock`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ..core.errors import BadFile, UserError
from .foreign_state import interpreting, renamed

__all__ = ["KIND", "describe_unet", "from_published", "to_published"]

State = dict[str, Tensor]

KIND = "guided-diffusion's U-Net"
"""The kind of these weights, for messages."""

_RESIDUAL = {
    "in_layers.0": "norm_in",
    "in_layers.2": "first",
    "emb_layers.1": "modulation",
    "out_layers.0": "norm_out",
    "out_layers.3": "second",
    "skip_connection": "shortcut",
}
_ATTENTION = {"norm": "norm", "qkv": "project_in", "proj_out": "project_out"}


def describe_unet(state: Mapping[str, Tensor], side: int, origin: Path | str) -> dict[str, Any]:
    """Returns the arguments of :class:`counterfactory.nets.unet.UNet` that names and shapes determine.

    Arguments:
        state: The published state dictionary.
        side: The height and width of the images in px.
        origin: The file, for error messages.

    Returns:
        All arguments but `shape`, `heads`, `head_channels`, `heads_up`, `label`, `dropout` and `time_scale`.

    Raises:
        BadFile: If these are not the weights of such a network.
        UserError: If the images cannot be halved as often as the network halves them.
    """
    with interpreting(origin, KIND):
        outputs = len({key.split(".")[1] for key in state if key.startswith("output_blocks.")})
        # The last block of each level of the decoder but the finest is followed by an upsampling one.
        ups = [
            number
            for number in range(outputs)
            for part in (1, 2)
            if f"output_blocks.{number}.{part}.in_layers.0.weight" in state
            or f"output_blocks.{number}.{part}.conv.weight" in state
        ]
        blocks = min(ups, default=outputs - 1)
        levels = outputs // (blocks + 1)
        first = [f"input_blocks.{1 + level * (blocks + 1)}" for level in range(levels)]
        widths = [state[f"{name}.0.in_layers.2.weight"].shape[0] for name in first]
        attention = [side >> level for level, name in enumerate(first) if f"{name}.1.qkv.weight" in state]
        width = state["time_embed.0.weight"].shape[1]
        channels = state["input_blocks.0.0.weight"].shape[1]
        predicted = state["out.2.weight"].shape[0]
        rows = state["input_blocks.1.0.emb_layers.1.weight"].shape[0]
        classes = state["label_emb.weight"].shape[0] if "label_emb.weight" in state else 0
        if not levels:
            raise ValueError("it has no resolutions")
    if any(one % width for one in widths) or predicted not in (channels, 2 * channels):
        raise BadFile(f"{origin}: a U-Net of unknown widths; name weights of guided-diffusion's U-Net")
    halvings = levels - 1
    if side % 2**halvings:
        raise UserError(
            f"{origin}: a U-Net that halves the resolution {halvings} times, but images have {side} px, which is no "
            f"multiple of {2**halvings}; change data.image_size, or name another file"
        )
    if not attention:
        raise BadFile(
            f"{origin}: has attention in its middle only, which is not supported; name another file"
        )
    return {
        "width": width,
        "multipliers": [one // width for one in widths],
        "blocks": blocks,
        "attention": attention,
        "patch": 1,
        "groups": 32,
        "skips": "block",
        "learned_variance": predicted == 2 * channels,
        "conv_resample": any(key.endswith(".op.weight") for key in state),
        "shift_only": rows == widths[0],
        "classes": classes,
    }


def _modules(network: Mapping[str, Any], side: int) -> Iterator[tuple[str, str]]:
    """Yields the published name and our name of every module with weights."""
    yield from {"time_embed.0": "time.0", "time_embed.2": "time.2", "input_blocks.0.0": "stem"}.items()
    if network["classes"]:
        yield "label_emb", "class_embedding"
    levels, blocks = len(network["multipliers"]), network["blocks"]
    attended = [side >> level in network["attention"] for level in range(levels)]

    def inside(theirs: str, ours: str, parts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
        for one, other in parts.items():
            yield f"{theirs}.{one}", f"{ours}.{other}"

    def resampling(theirs: str, ours: str, leaf: str) -> Iterator[tuple[str, str]]:
        if network["conv_resample"]:
            yield f"{theirs}.{leaf}", f"{ours}.block.convolution"
        else:
            yield from inside(theirs, f"{ours}.block", _RESIDUAL)

    number = 1
    for level in range(levels):
        for _ in range(blocks):
            yield from inside(f"input_blocks.{number}.0", f"encoder.{number - 1}.block", _RESIDUAL)
            if attended[level]:
                yield from inside(f"input_blocks.{number}.1", f"encoder.{number - 1}.attend", _ATTENTION)
            number += 1
        if level + 1 < levels:
            yield from resampling(f"input_blocks.{number}.0", f"encoder.{number - 1}", "op")
            number += 1
    yield from inside("middle_block.0", "middle.0.block", _RESIDUAL)
    yield from inside("middle_block.1", "middle.0.attend", _ATTENTION)
    yield from inside("middle_block.2", "middle.1", _RESIDUAL)
    number = stage = 0
    for level in reversed(range(levels)):
        for block in range(blocks + 1):
            yield from inside(f"output_blocks.{number}.0", f"decoder.{stage}.block", _RESIDUAL)
            if attended[level]:
                yield from inside(f"output_blocks.{number}.1", f"decoder.{stage}.attend", _ATTENTION)
            stage += 1
            if level and block == blocks:
                part = 2 if attended[level] else 1
                yield from resampling(f"output_blocks.{number}.{part}", f"decoder.{stage}", "conv")
                stage += 1
            number += 1
    yield from {"out.0": "norm", "out.2": "head"}.items()


def _heads(network: Mapping[str, Any], channels: int, decoder: bool) -> int:
    if network.get("head_channels"):
        return channels // network["head_channels"]
    return (network.get("heads_up") or network["heads"]) if decoder else network["heads"]


def _reorder(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Returns the rows of a projection, seen as `shape`, (heads, 3, c) or (3, heads, c), in the other order."""
    return rows.reshape(*shape, *rows.shape[1:]).transpose(0, 1).reshape(rows.shape)


def from_published(
    state: Mapping[str, Tensor], network: Mapping[str, Any], side: int, new_order: bool = False
) -> State:
    """Returns published weights by the names of :class:`counterfactory.nets.unet.UNet`.

    Arguments:
        state: The published state dictionary.
        network: The arguments of the network: those of :func:`describe_unet` and the number of heads.
        side: The height and width of the images in px.
        new_order: `use_new_attention_order`.

    Returns:
        The weights. Modules of unknown names keep them, so that loading refuses them.
    """

    def change(key: str, tensor: Tensor) -> Tensor:
        module, _, leaf = key.rpartition(".")
        if module.endswith((".qkv", ".proj_out")) and leaf == "weight":
            if tensor.dim() != 3 or tensor.shape[2] != 1:
                raise ValueError(f"{key} has the shape {tuple(tensor.shape)}")
            tensor = tensor[..., 0]
        if module.endswith(".qkv") and not new_order:
            heads = _heads(network, tensor.shape[0] // 3, module.startswith("output_blocks"))
            tensor = _reorder(tensor, (heads, 3, -1))
        return tensor

    return renamed(state, dict(_modules(network, side)), change)


def to_published(
    state: Mapping[str, Tensor], network: Mapping[str, Any], side: int, new_order: bool = False
) -> State:
    """Returns the weights of a :class:`counterfactory.nets.unet.UNet` by the published names.

    Inverts :func:`from_published`, with the same arguments.
    """
    names = {ours: theirs for theirs, ours in _modules(network, side)}

    def change(key: str, tensor: Tensor) -> Tensor:
        ours, _, leaf = key.rpartition(".")
        module = names[ours]
        if module.endswith(".qkv") and not new_order:
            heads = _heads(network, len(tensor) // 3, module.startswith("output_blocks"))
            tensor = _reorder(tensor, (3, heads, -1))
        return tensor[..., None] if module.endswith((".qkv", ".proj_out")) and leaf == "weight" else tensor

    return renamed(state, names, change)
