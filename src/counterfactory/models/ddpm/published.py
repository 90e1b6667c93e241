r"""Imports a U-Net of guided-diffusion or DiME as the denoising diffusion model.

The number of attention heads, the order of their rows, and whether the network predicts the noise or the clean image
cannot be read from the file, and a wrong value fits by shape. The error with which images of the valid split are
denoised is compared between the values that fit:

.. math:: \mathbb{E}_{t, \epsilon} \left\| \epsilon - \epsilon_\theta(x_t, t) \right\|^2

A trained network has a much larger error with a wrong value, so that a wrong option is refused. The noise schedule and
the number of steps are compared in the same way: another process gives the same noisy image at another time step.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ...core.device import choose_device
from ...core.errors import UserError
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import load_dataset, load_split
from ...diffusion.parameterisation import CleanImage
from ...diffusion.schedule import Schedule, build_schedule
from ...nets.pixels import to_pixels
from ...nets.unet import UNet
from ...pretrained.checkpoints import Published
from ...pretrained.foreign_state import checked, fitted
from ...pretrained.guided_diffusion import KIND, describe_unet, from_published
from ...pretrained.import_options import Options

__all__ = ["import_ddpm"]

_PIXELS = 64 * 32 * 32  # the check uses as many images as have this number of pixels together, 4 to 64
_WORSE = 1.25  # an option is refused if its error is this many times that of another value,
_SURE = 4.0  # or if the mean difference of the errors is this many times its standard error
_STEPS = (500, 1_000, 4_000)  # usual numbers of diffusion steps
_TRAINED = 0.5  # the largest error of a network that denoises; one that predicts zeros has 1


def import_ddpm(published: Published, options: Options, run: Run) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns weights and description of a published U-Net.

    Options: `num_heads` or `num_head_channels`, `use_new_attention_order`, `diffusion_steps`, `noise_schedule`,
    `predict_xstart`; for a class-conditional network `label`, the class of all images; if they were used,
    `num_heads_upsample` and `rescale_timesteps`.

    Arguments:
        published: The checkpoint.
        options: The options.
        run: The folder of the data set and the device.

    Raises:
        UserError: If an option is missing or wrong, or another value of it denoises much better.
        BadFile: If the file holds the weights of another network.
    """
    dataset, state = load_dataset(run.data), published.state("state_dict", "model")
    path, shape = published.path, dataset.shape
    if shape[1] != shape[2]:
        raise UserError(
            f"{path}: a U-Net needs square images, but {dataset.name} has {shape[1]} x {shape[2]} px"
        )
    network = describe_unet(state, shape[1], path)
    channels = state["input_blocks.0.0.weight"].shape[1]
    if channels != shape[0]:
        raise UserError(
            f"{path}: for images of {channels} channels, but {dataset.name} has {shape[0]}; name another file"
        )
    given = _heads(options, network, shape[1])
    undetermined = "the weights do not determine the diffusion process"
    steps = options.whole("diffusion_steps", undetermined, 21)
    schedule_name = options.choice("noise_schedule", undetermined, ("linear", "cosine"))
    clean = options.flag("predict_xstart", "the network predicts the clean image (true) or the noise (false)")
    if network["classes"]:
        why = "the network is class-conditional; all images get it"
        network["label"] = options.whole("label", why, 0, network["classes"] - 1)
    if options.has("rescale_timesteps") and options.flag("rescale_timesteps", ""):
        network["time_scale"] = 1_000.0 / steps
    schedule = build_schedule(schedule_name, steps)
    candidates = _Candidates(state, network, shape, path)
    unet = candidates.build(*given)
    # With rescaled time steps the number of steps makes no difference.
    counts = {steps, *_STEPS} if "time_scale" not in network else {steps}
    processes = [(name, count) for name in ("linear", "cosine") for count in sorted(counts)]
    processes.remove((schedule_name, steps))
    found = _compare(unet, candidates, _Reading(*given, clean), schedule, processes, run)
    model = CleanImage(unet, schedule) if clean else unet
    arguments = {key: value for key, value in network.items() if key != "learned_variance"}
    return model.state_dict(), {
        "model": "ddpm",
        "network": arguments | given[0],
        "diffusion": {
            "schedule": schedule_name,
            "steps": steps,
            "prediction": "clean" if clean else "noise",
            "variance": "learned" if network["learned_variance"] else "fixed",
        },
        "parameters": sum(one.numel() for one in unet.parameters()),
        "denoising_error": found,
    }


class _Reading(NamedTuple):
    """What the weights may mean.

    Arguments:
        heads: The arguments of the network that define its attention heads.
        new: Whether the rows of the attention have the new order.
        clean: Whether the network predicts the clean image, not the noise.
    """

    heads: dict[str, int]
    new: bool
    clean: bool


class _Candidates(NamedTuple):
    """The weights, and what all readings of them have in common."""

    state: Mapping[str, Tensor]
    network: dict[str, Any]
    shape: Sequence[int]
    path: Path

    def build(self, heads: Mapping[str, int], new: bool) -> UNet:
        """Returns the network for one definition of its attention."""
        network = self.network | dict(heads)
        return fitted(
            lambda: UNet(self.shape, **network),
            lambda: from_published(self.state, network, self.shape[1], new),
            self.path,
            KIND,
        )

    def others(self) -> Iterator[tuple[dict[str, int], bool]]:
        """Yields the usual definitions of the attention that fit by shape."""
        channels = _attended(self.network, self.shape[1])
        for new in (False, True):
            for heads in (1, 2, 4, 8):
                if all(one % heads == 0 for one in channels):
                    yield {"heads": heads}, new
            for wide in (16, 32, 64, 128):
                if all(one % wide == 0 for one in channels):
                    yield {"heads": 1, "head_channels": wide}, new


def _attended(network: Mapping[str, Any], side: int) -> set[int]:
    """Returns the numbers of channels of the attention blocks."""
    widths = [network["width"] * factor for factor in network["multipliers"]]
    return {wide for level, wide in enumerate(widths) if side >> level in network["attention"]} | {widths[-1]}


def _heads(options: Options, network: Mapping[str, Any], side: int) -> tuple[dict[str, int], bool]:
    """Returns the arguments of the network that define its attention, and whether rows have the new order."""
    why = "another number fits by shape and predicts something else"
    channels = sorted(_attended(network, side))

    def divisor(name: str) -> int:
        count = options.whole(name, why)
        for one in channels:
            if one % count:
                raise UserError(
                    f"option {name}: is {count}, which does not divide {one} channels of the network; correct it"
                )
        return count

    if options.has("num_head_channels") and options.whole("num_head_channels", why, -1) != -1:
        heads = {"heads": 1, "head_channels": divisor("num_head_channels")}
    else:
        if not options.has("num_heads"):
            raise UserError(
                f"option num_heads or num_head_channels: {options.kind} need one of them: {why}; add --option "
                "num_heads=VALUE"
            )
        heads = {"heads": divisor("num_heads")}
        if options.has("num_heads_upsample") and options.whole("num_heads_upsample", why, -1) != -1:
            heads["heads_up"] = divisor("num_heads_upsample")
    return heads, options.flag(
        "use_new_attention_order", "another order fits by shape and predicts something else"
    )


def _compare(
    unet: UNet,
    candidates: _Candidates,
    given: _Reading,
    schedule: Schedule,
    processes: Sequence[tuple[str, int]],
    run: Run,
) -> dict[str, Any]:
    """Returns the denoising error; refuses the options if other ones have a much smaller error.

    Arguments:
        unet: The network with the given options.
        candidates: The weights.
        given: The given reading of the weights.
        schedule: The given diffusion process.
        processes: Schedule and number of steps of other processes.
        run: The folder of the data set and the device.
    """
    split = load_split(run.data, "valid")
    count = min(64, max(4, _PIXELS // (unet.shape[1] * unet.shape[2])), len(split.images))
    device = choose_device(run.device)
    generator = torch.Generator().manual_seed(derive_seed(0, "ddpm", "import"))
    x = to_pixels(torch.from_numpy(split.images[:count].copy()))
    noise = torch.randn(x.shape, generator=generator)
    # Spread over the less noisy half of the process, where the image can be seen.
    t = torch.linspace(0.1, 0.5, count).mul(len(schedule)).long()
    signal = schedule.alphas_bar[t][:, None, None, None].to(x.dtype)
    noisy = signal.sqrt() * x + (1 - signal).sqrt() * noise

    def errors(model: UNet, t: Tensor = t) -> dict[bool, Tensor]:
        """Returns the mean squared error of each image, (B,), if the output is the clean image and if it is noise."""
        model.to(device)
        steps = zip(noisy.split(8), t.split(8), strict=True)
        parts = checked(
            lambda: [model(x_t.to(device), step.to(device)).cpu() for x_t, step in steps],
            candidates.path,
            KIND,
        )
        output = torch.cat(parts)[:, : x.shape[1]]
        from_clean = (noisy - signal.sqrt() * output) / (1 - signal).sqrt()
        predicted = {False: output, True: from_clean}
        return {clean: (one - noise).square().mean((1, 2, 3)).double() for clean, one in predicted.items()}

    every = errors(unet)
    own = every[given.clean]
    for name, count in processes:
        levels = build_schedule(name, count).alphas_bar
        same = (levels - signal.reshape(-1, 1).to(levels.dtype)).abs().argmin(1)
        _refuse_process(own, errors(unet, same)[given.clean], schedule, name, count)
    _refuse(own, every[not given.clean], given, given._replace(clean=not given.clean))
    for heads, new in candidates.others():
        if (heads, new) != (given.heads, given.new):
            for clean, other in errors(candidates.build(heads, new)).items():
                _refuse(own, other, given, _Reading(heads, new, clean))
    found: dict[str, Any] = {"mean_square": float(own.mean()), "images": count}
    if float(own.mean()) >= _TRAINED:
        found["note"] = (
            "the network does not denoise the images of this data set; the options are not confirmed"
        )
    unet.cpu()
    return found


def _refuse(own: Tensor, other: Tensor, given: _Reading, reading: _Reading) -> None:
    """Raises an error if another reading of the weights has much smaller errors, (B,), than the given one."""
    better = own - other
    sure = float(better.mean()) > _SURE * float(better.std() / len(own) ** 0.5)
    if float(other.mean()) < _TRAINED and (sure or float(other.mean()) * _WORSE < float(own.mean())):
        keys = []
        if (reading.heads, reading.new) != (given.heads, given.new):
            keys = ["num_heads", "num_head_channels", "use_new_attention_order"]
        if reading.clean != given.clean:
            keys.append("predict_xstart")
        named = ", ".join(f"{key} {value}" for key, value in reading.heads.items())
        raise UserError(
            f"options {', '.join(keys)}: with {named}, new order {reading.new}, clean image {reading.clean}, the "
            f"network denoises the valid images with a mean squared error of {other.mean():.3g}, with the given ones "
            f"{own.mean():.3g}; correct them"
        )


def _refuse_process(own: Tensor, other: Tensor, schedule: Schedule, name: str, count: int) -> None:
    """Raises an error if the network has much smaller errors, (B,), at the time steps of another process."""
    if float(other.mean()) < _TRAINED and float(other.mean()) * _WORSE < float(own.mean()):
        raise UserError(
            f"options diffusion_steps, noise_schedule: with {count} steps, {name}, the network denoises the valid "
            f"images with a mean squared error of {other.mean():.3g}, with the given {len(schedule)} steps of "
            f"{own.mean():.3g}; correct them"
        )
