"""Small networks in the formats of published checkpoints, with random weights."""

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from counterfactory.models.image.hvae import Hvae
from counterfactory.models.judges.attribute_networks import AttributeNetwork
from counterfactory.nets.unet import UNet
from counterfactory.pretrained.guided_diffusion import to_published

State = dict[str, Tensor]
UNET = {"num_heads": 4, "use_new_attention_order": False, "predict_xstart": False}
UNET |= {"diffusion_steps": 50, "noise_schedule": "linear"}


def random_state(shapes: dict[str, tuple[int, ...]], seed: int = 0) -> State:
    """Returns normal weights of standard deviation 0.1; scales and variances near 1."""
    generator = torch.Generator().manual_seed(seed)
    state: State = {}
    for key, shape in shapes.items():
        values = 0.1 * torch.randn(shape, generator=generator)
        if key.endswith("running_var") or (key.endswith("weight") and len(shape) == 1):
            values = 1 + values
        state[key] = values if "num_batches" not in key else torch.zeros(shape, dtype=torch.int64)
    return state


def hvae(
    channels: int = 1, side: int = 8, parents: int = 12, parents_x: tuple[str, ...] = (), block: str = "heavy"
) -> dict[str, Any]:
    """Returns a checkpoint of causal-gen's HVAE with three resolutions."""
    half, widths = side // 2, [4, 8, 8]
    sizes: dict[str, Any] = {"resolutions": [side, half, 1], "widths": widths, "encoder_blocks": [2, 2, 1]}
    sizes |= {"decoder_blocks": [1, 1, 1], "latents": [2, 2, 2], "bottleneck": 2, "block": block}
    torch.manual_seed(0)
    model = Hvae((channels, side, side), parents, **sizes)
    state: State = {}
    for key, one in model.state_dict().items():
        tensor = one + 0.05 * torch.randn(one.shape)
        parts = key.split(".")
        if parts[:2] == ["encoder", "stages"]:
            number = sum(sizes["encoder_blocks"][: int(parts[2])]) + int(parts[3])
            if parts[4] == "projection":
                if widths[int(parts[2])] != widths[int(parts[2]) + 1]:
                    state[f"encoder.blocks.{number}.width_proj.{parts[5]}"] = tensor
            else:
                state[f"encoder.blocks.{number}.conv.{2 * int(parts[5]) + 1}.{parts[6]}"] = tensor
        elif parts[0] == "decoder":
            state.update(_decoder(parts, tensor, parents))
        elif parts[0] == "starts":
            state[f"decoder.bias.{[1, half, side].index(int(parts[1]))}"] = tensor
        elif parts[0] == "head":
            names = {"location": "x_loc", "log_scale": "x_logscale"}
            if parts[1] in names:
                state[f"likelihood.{names[parts[1]]}.{parts[2]}"] = tensor
        else:
            state[key] = tensor
    hparams = {"enc_arch": f"{side}b1d2,{half}b1d{half},1b1", "dec_arch": f"1b1,{half}b1,{side}b1"}
    return {
        "ema_model_state_dict": state,
        "hparams": hparams | {"parents_x": list(parents_x or MORPHO)},
        "epoch": 3,
    }


MORPHO = ("thickness", "intensity", "digit")


def _decoder(parts: list[str], tensor: Tensor, parents: int) -> State:
    where = f"decoder.blocks.{parts[1]}"
    names = {"from_latent": "z_proj", "to_prior": "z_feat_proj", "body": "conv"}
    name = names.get(parts[2], parts[2])
    if parts[2] in ("from_latent", "to_prior"):
        return {f"{where}.{name}.{parts[3]}": tensor}
    if parts[3] == "projection":
        return {f"{where}.{name}.width_proj.{parts[4]}": tensor}
    if parts[2] == "posterior" and parts[4:] == ["0", "weight"]:
        wide = (tensor.shape[1] - parents) // 2
        state, activation, given = tensor.split([wide, wide, parents], 1)
        tensor = torch.cat([state, given, activation], 1)
    return {f"{where}.{name}.conv.{2 * int(parts[4]) + 1}.{parts[5]}": tensor}


def vae(parents: int = 12) -> dict[str, Any]:
    """Returns a checkpoint of causal-gen's simple VAE for grey images of 8 px, with the conditional prior."""
    c, h, z = 4, 8, 3
    weights: dict[str, tuple[int, ...]] = {
        "encoder.conv.0": (c, 1, 5, 5),
        "encoder.conv.2": (c, c, 3, 3),
        "encoder.conv.4": (c, c, 3, 3),
        "encoder.fc.0": (h, c),
        "encoder.embed.0": (h, h + parents),
        "encoder.z_loc": (z, h),
        "encoder.z_logscale": (z, h),
        "decoder.prior.fc.0": (h, parents),
        "decoder.prior.fc.2": (h, h),
        "decoder.prior.z_loc": (z, h),
        "decoder.prior.z_logscale": (z, h),
        "decoder.prior.p_feat": (z, h),
        "decoder.fc.0": (h, 2 * z + parents),
        "decoder.fc.2": (c, h),
        "decoder.conv.1": (c, c, 3, 3),
        "decoder.conv.4": (c, c, 3, 3),
        "decoder.conv.7": (z, c, 5, 5),
        "likelihood.x_loc": (1, z, 1, 1),
        "likelihood.x_logscale": (1, z, 1, 1),
    }
    shapes = {}
    for module, shape in weights.items():
        shapes |= {f"{module}.weight": shape, f"{module}.bias": shape[:1]}
    return {"ema_model_state_dict": random_state(shapes), "hparams": {"parents_x": list(MORPHO)}}


def predictor(context: int = 0, outputs: int = 1, width: int = 2, channels: int = 1) -> dict[str, Any]:
    """Returns a checkpoint of counterfactual-benchmark's predictor (one output) or of causal-gen's (two)."""
    widths = [channels, width, 2 * width, 2 * width, 4 * width, 4 * width, 8 * width]
    shapes: dict[str, tuple[int, ...]] = {}

    def norm(name: str, count: int) -> None:
        shapes.update(
            {f"{name}.{leaf}": (count,) for leaf in ("weight", "bias", "running_mean", "running_var")}
        )
        shapes[f"{name}.num_batches_tracked"] = ()

    for number, (before, after) in zip((0, 4, 7, 10, 13, 16), pairwise(widths), strict=True):
        side = 3 if number else 7
        shapes[f"cnn.{number}.weight"] = (after, before, side, side)
        norm(f"cnn.{number + 1}", after)
    shapes["fc.0.weight"] = (8 * width, 8 * width + context)
    norm("fc.1", 8 * width)
    shapes |= {"fc.3.weight": (outputs, 8 * width), "fc.3.bias": (outputs,)}
    return {"state_dict": random_state(shapes)}


def attribute_predictor(context: int = 0) -> dict[str, Any]:
    """Returns a checkpoint of counterfactual-benchmark's predictor of an attribute of faces."""
    torch.manual_seed(0)
    return {"state_dict": AttributeNetwork("complex", 1, range(context)).state_dict()}


def unet(channels: int = 1, side: int = 8, seed: int = 0, **changes: Any) -> tuple[UNet, State]:
    """Returns a small U-Net of guided-diffusion, and its published weights."""
    network = {"width": 32, "multipliers": [1], "blocks": 1, "attention": [side], "patch": 1, "groups": 32}
    network |= {"skips": "block", "learned_variance": False, "conv_resample": False, "shift_only": False}
    network |= {"classes": 0, "heads": 4} | changes
    torch.manual_seed(seed)
    model = UNet((channels, side, side), **network)
    return model, to_published(model.state_dict(), network, side)


def small_classifier(channels: int = 1, outputs: int = 3) -> nn.Sequential:
    """Returns a network that :func:`onnx_classifier` writes."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, 2, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(4, outputs),
    ).eval()


def onnx_classifier(path: Any, network: nn.Sequential, **changes: Any) -> None:
    """Writes a classifier as an ONNX file; `changes` replace attributes of its convolution, or `nodes`, `arrays`."""
    import onnx

    arrays = {key: one.numpy() for key, one in network.state_dict().items()} | changes.pop("arrays", {})
    make = onnx.helper.make_node
    convolution = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "strides": [2, 2]} | changes
    nodes = convolution.pop("nodes", None) or [
        make("Conv", ["image", "0.weight", "0.bias"], ["a"], **convolution),
        make("Relu", ["a"], ["b"]),
        make("GlobalAveragePool", ["b"], ["c"]),
        make("Flatten", ["c"], ["d"]),
        make("Gemm", ["d", "4.weight", "4.bias"], ["logits"], transB=1),
    ]
    value = onnx.helper.make_tensor_value_info
    ends = [value("image", 1, [None, 1, 8, 8])], [value("logits", 1, [None, 3])]
    tensors = [onnx.numpy_helper.from_array(one, key) for key, one in arrays.items()]
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph(nodes, "own", *ends, tensors)), path)
