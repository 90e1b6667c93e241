"""Defines the sources of pretrained weights and how missing files are handled.

Each network is fetched by a separate step, from a download or from a file named in the configuration, into a folder
with the format of trained models (:mod:`counterfactory.core.checkpoint`). A missing file stops only the steps that
require it: the folder then contains the reason instead of weights, and loading raises
:class:`counterfactory.core.errors.MissingWeights` with that reason.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from ..core.errors import MissingWeights, UserError
from ..core.names import nearest, similar

__all__ = ["DOWNLOADS", "Pretrained", "find_weights", "first_available", "pretrained", "weights_available"]

Content = TypeVar("Content")

DOWNLOADS = {
    "lpips": ("auto", "torchvision", "package"),
    "inception": ("auto", "pytorch_fid", "package"),
    "vgg19": ("torchvision",),
    "vggface2_resnet50": (),
    "mobilefacenet": ("package",),
}
"""The sources of each network that are downloaded, and that may be named in place of a file."""


@dataclass(frozen=True)
class Pretrained:
    """A pretrained network in a configuration.

    Arguments:
        network: The arguments of the command `weights` that fetches it.
        source: A file, or one of `downloads`.
        downloads: The sources that are downloaded.
    """

    network: str
    source: str
    downloads: tuple[str, ...]


def pretrained(settings: Any) -> dict[str, Pretrained]:
    """Returns all pretrained networks, used or not, by the names of their folders among the models.

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
        if identity.name == "mobilefacenet" and identity.landmarks is not None:
            words += (
                f" --landmarks {','.join(f'{value:.6g}' for point in identity.landmarks for value in point)}"
            )
        found["identity"] = Pretrained(words, identity.weights, DOWNLOADS[identity.name])
    return found


def find_weights(key: str, source: str, downloads: Sequence[str]) -> Path:
    """Returns the path of a file of weights.

    Arguments:
        key: The key of the configuration.
        source: Its value, which is none of `downloads`.
        downloads: The other possible values of the key.

    Raises:
        MissingWeights: If there is no such file.
        UserError: If `source` is not a file, but similar to the name of a download.
    """
    path = Path(os.path.expanduser(source))  # unchanged if there is no such user
    if path.is_file():
        return path
    choices = f" nor one of {', '.join(downloads)}" if downloads else ""
    line = f"{key}: '{source}' is {'neither' if downloads else 'not'} a file{choices}"
    if similar(source, downloads):
        raise UserError(f"{line}; {nearest(source, downloads)}")
    raise MissingWeights(f"{line}; put it there, or name another")


def first_available(
    failure: str, readers: Mapping[str, Callable[[], Content]], silent: Sequence[str] = ()
) -> tuple[Content, str]:
    """Returns the content of the first source that is available, and the name of the source.

    If a source before it failed, one line on stderr states the reason and the source that is used.

    Arguments:
        failure: The message if no source is available.
        readers: The function that reads each source, by its name; it raises a UserError if the source is unavailable.
        silent: The messages of failures that are not reported, such as that of an optional source.

    Raises:
        UserError: If no source is available.
    """
    failures: list[str] = []
    for name, read in readers.items():
        try:
            content = read()
        except UserError as error:
            failures.append(str(error))
            continue
        reported = [line for line in failures if line not in silent]
        if reported:
            print(
                f"{' | '.join(reported)}; another source has the same content: {name} is used instead",
                file=sys.stderr,
            )
        return content, name
    raise UserError(f"{failure}. Tried {' | '.join(failures)}")


def weights_available(network: Pretrained, folder: Path | str) -> bool:
    """Returns whether weights are available: by download, from their file, or from an earlier copy in their folder.

    Arguments:
        network: The network.
        folder: The folder of its weights.
    """
    if network.source in network.downloads or os.path.isfile(os.path.expanduser(network.source)):
        return True
    try:
        return "missing" not in json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
