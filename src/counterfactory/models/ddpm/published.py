r"""Imports a U-Net of guided-diffusion or DiME as the denoising diffusion model.

The number of attention heads and the order of their rows cannot be read from the file, and a wrong value fits by shape.
After the import, the error with which images of the valid split are denoised is compared between all values that fit:

.. math:: \mathbb{E}_{t, \epsilon} \left\| \epsilon - \epsilon_\theta(x_t, t) \right\|^2

A trained network has a much larger error with a wrong value, so that a wrong option is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ...core.device import choose_device
from ...core.errors import BadFile, UserError
from ...core.noise import derive_seed
from ...core.run import Run
from ...data.dataset import load_dataset, load_split
from ...diffusion.schedule import Schedule, build_schedule
from ...nets.pixels import to_pixels
from ...nets.unet import UNet
from ...pretrained.checkpoints import Options, Published
from ...pretrained.guided_diffusion import describe_unet, from_published

__all__ = ["import_ddpm"]

_PIXELS = 64 * 32 * 32  # the check uses as many images as have this number of pixels together, 4 to 64
_WORSE = 1.25  # an option is refused if its error is this many times that of another value,
_SURE = 4.0  # or if the mean difference of the errors is this many times its standard error
_TRAINED = 0.5  # the largest error of a network that denoises; one that predicts zeros has 1


def import_ddpm(published: Published, options: Options, run: Run) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Returns weights and description of a published U-Net.

    Options: `num_heads` or `num_head_channels`, `use_new_attention_order`, `diffusion_steps`, `noise_schedule`; for a
    class-conditional network `label`, the class of all images; if they were used, `num_heads_upsample` and
    `rescale_timesteps`.

    Arguments:
        published: The checkpoint.
        options: The options.
        run: The folder of the data set and the device.

    Raises:
        UserError: If an option is missing or wrong, or another value of it denoises much better.
        BadFile: If the file holds the weights of another network.
    """
    dataset, state = load_dataset(run.data), published.state("state_dict", "model")
    side = dataset.shape[1]
    network = describe_unet(state, side, published.path)
    given = _heads(options)
    steps = options.whole("diffusion_steps", "the weights do not determine the diffusion process", 21)
    schedule_name = options.need(
        "noise_schedule", "the weights do not determine the diffusion process", ("linear", "cosine")
    )
    if network["classes"]:
        network["label"] = options.whole("label", "the network is class-conditional; all images get it", 0)
    if options.has("rescale_timesteps") and options.need("rescale_timesteps", "", (True, False)):
        network["time_scale"] = 1_000.0 / steps
    schedule = build_schedule(schedule_name, steps)
    try:
        unet = _build(dataset.shape, state, network | given[0], given[1], str(published.path))
    except ValueError as error:
        raise UserError(f"option num_heads: {error}") from None
    found = _compare(unet, state, network, given, schedule, run)
    return unet.state_dict(), {
        "model": "ddpm",
        "network": {key: value for key, value in (network | given[0]).items() if key != "learned_variance"},
        "diffusion": {
            "schedule": schedule_name,
            "steps": steps,
            "prediction": "noise",
            "variance": "learned" if network["learned_variance"] else "fixed",
        },
        "parameters": sum(one.numel() for one in unet.parameters()),
        "denoising_error": found,
    }


def _heads(options: Options) -> tuple[dict[str, int], bool]:
    """Returns the arguments of the network that define its attention, and whether rows have the new order."""
    why = "another number fits by shape and predicts something else"
    if options.has("num_head_channels") and options.values.get("num_head_channels") != -1:
        heads = {"heads": 1, "head_channels": options.whole("num_head_channels", why)}
    else:
        if options.has("num_head_channels"):
            options.need("num_head_channels", why)
        if not options.has("num_heads"):
            raise UserError(
                f"option num_heads or num_head_channels: {options.kind} need one of them: {why}; add --option "
                "num_heads=VALUE"
            )
        heads = {"heads": options.whole("num_heads", why)}
        if options.has("num_heads_upsample") and options.need("num_heads_upsample", why) != -1:
            heads["heads_up"] = options.whole("num_heads_upsample", why)
    new = options.need(
        "use_new_attention_order", "another order fits by shape and predicts something else", (True, False)
    )
    return heads, new


def _build(
    shape: Sequence[int], state: Mapping[str, Tensor], network: dict[str, Any], new: bool, origin: str
) -> UNet:
    unet = UNet(shape, **network)
    try:
        unet.load_state_dict(from_published(state, network, shape[1], new))
    except RuntimeError as error:
        line = str(error).splitlines()[-1].strip()
        raise BadFile(f"{origin}: not a U-Net for images of {shape} ({line}); name another file") from None
    return unet.eval().requires_grad_(False)


def _alternatives(network: Mapping[str, Any]) -> Iterator[tuple[dict[str, int], bool]]:
    """Yields every definition of the attention that fits by shape."""
    multipliers = network["multipliers"]
    sides = range(len(multipliers))
    finest = max(network["attention"])
    channels = {network["width"] * multipliers[k] for k in sides if finest >> k in network["attention"]}
    channels.add(network["width"] * multipliers[-1])
    for new in (False, True):
        for heads in (1, 2, 4, 8):
            if all(one % heads == 0 for one in channels):
                yield {"heads": heads}, new
        for wide in (16, 32, 64, 128):
            if all(one % wide == 0 for one in channels):
                yield {"heads": 1, "head_channels": wide}, new


def _compare(
    unet: UNet,
    state: Mapping[str, Tensor],
    network: dict[str, Any],
    given: tuple[dict[str, int], bool],
    schedule: Schedule,
    run: Run,
) -> dict[str, Any]:
    """Returns the denoising error; refuses the options if other ones have a much smaller error."""
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

    @torch.inference_mode()
    def errors(model: UNet) -> Tensor:
        """Returns the mean squared error of each image, (B,)."""
        model.to(device)
        parts = [
            model(x_t.to(device), step.to(device)).cpu()
            for x_t, step in zip(noisy.split(8), t.split(8), strict=True)
        ]
        return (torch.cat(parts)[:, : x.shape[1]] - noise).square().mean((1, 2, 3)).double()

    own = errors(unet)
    found: dict[str, Any] = {"mean_square": float(own.mean()), "images": count}
    for heads, new in _alternatives(network):
        if (heads, new) == given:
            continue
        other = errors(_build(unet.shape, state, network | heads, new, ""))
        better = own - other
        sure = float(better.mean()) > _SURE * float(better.std() / count**0.5)
        if float(other.mean()) < _TRAINED and (sure or float(other.mean()) * _WORSE < float(own.mean())):
            named = ", ".join(f"{key} {value}" for key, value in heads.items())
            raise UserError(
                f"options num_heads, num_head_channels, use_new_attention_order: with {named}, new order {new}, the "
                f"network denoises the valid images with a mean squared error of {other.mean():.3g}, with the given "
                f"ones {own.mean():.3g}; correct them"
            )
    if float(own.mean()) >= _TRAINED:
        found["note"] = (
            "the network does not denoise the images of this data set; the options are not confirmed"
        )
    unet.cpu()
    return found
