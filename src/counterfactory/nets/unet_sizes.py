"""Validation of the sizes of a U-Net, without importing PyTorch, so that a configuration is checked quickly."""

from collections.abc import Sequence

__all__ = ["check_sizes"]


def check_sizes(
    size: int,
    width: int,
    multipliers: Sequence[int],
    attention: Sequence[int],
    heads: int,
    patch: int,
    groups: int,
) -> None:
    """Validates arguments of :class:`counterfactory.nets.unet.UNet`.

    Arguments:
        size: Height and width of the images in px.
        width: Channels at the finest resolution.
        multipliers: Factors on `width`, one for each resolution, finest first.
        attention: Resolutions of feature maps, in px, with self-attention.
        heads: The number of attention heads.
        patch: The side, in px, of the squares that are folded into channels.
        groups: The number of groups of the group normalisations.

    Raises:
        ValueError: If a size does not fit; one line that starts with the name of the setting.
    """
    if not multipliers:
        raise ValueError("multipliers is empty; give one for each resolution")
    least = patch * 2 ** (len(multipliers) - 1)
    if size % least:
        raise ValueError(
            f"multipliers has {len(multipliers)} entries, which with patch {patch} need images of a multiple of "
            f"{least} px, not {size}; change one of these"
        )
    if width % 2:
        raise ValueError(f"width is {width}; it must be even")
    for factor in multipliers:
        if width * factor % groups:
            raise ValueError(
                f"groups is {groups}, which does not divide {width} x {factor} channels; lower it"
            )
    sides = [size // patch // 2**level for level in range(len(multipliers))]
    for side in attention:
        if side not in sides:
            known = ", ".join(map(str, sides))
            raise ValueError(f"attention names {side} px, but the resolutions are {known}; choose from these")
    attended = {multipliers[sides.index(side)] for side in attention} | set(
        multipliers[-1:] if attention else ()
    )
    for factor in sorted(attended):
        if width * factor % heads:
            raise ValueError(
                f"heads is {heads}, which does not divide {width} x {factor} channels; change it"
            )
