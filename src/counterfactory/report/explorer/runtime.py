"""Fetches onnxruntime-web, which evaluates ONNX graphs in a browser, and packs the files that the explorer embeds.

The archive is that of the npm registry, of one version, with a pinned SHA-256 (MIT license). It is kept in the cache
folder of the user, so that a second run needs no network. If it cannot be downloaded, the packed file holds the
reason, and the explorer shows precomputed answers.
"""

import gzip
import hashlib
import io
import os
import tarfile
from base64 import b64encode
from pathlib import Path
from urllib.request import urlopen

from ...core.cache_folder import cache_folder
from ...core.errors import UserError
from ...core.files import write_json, writing
from ...pretrained.download import TIMEOUT, downloading

__all__ = ["PARTS", "archive_url", "fetch_runtime", "runtime_archive"]

PACKAGE, VERSION = "onnxruntime-web", "1.30.0"
REGISTRY = "https://registry.npmjs.org"
"""The registry of npm, unless the variable `NPM_CONFIG_REGISTRY` names a mirror, as for npm itself."""
SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
SIZE = 40_000_000
PARTS = {
    "script": "package/dist/ort.wasm.min.js",
    "module": "package/dist/ort-wasm-simd-threaded.mjs",
    "wasm": "package/dist/ort-wasm-simd-threaded.wasm",
}
"""The members of the archive that the explorer embeds."""


def archive_url() -> str:
    """Returns the address of the archive in the registry."""
    registry = os.environ.get("NPM_CONFIG_REGISTRY") or REGISTRY
    return f"{registry.rstrip('/')}/{PACKAGE}/-/{PACKAGE}-{VERSION}.tgz"


def runtime_archive(url: str | None = None, sha256: str = SHA256) -> Path:
    """Returns the archive in the cache; downloads it if it is missing or damaged.

    Arguments:
        url: The address of the archive; None: :func:`archive_url`.
        sha256: Its SHA-256.

    Raises:
        UserError: If the registry cannot be reached, or sends another file.
    """
    url = url or archive_url()
    path = cache_folder("browser") / os.path.basename(url)
    if path.is_file() and _digest(path.read_bytes()) == sha256:
        return path
    advice = "the explorer shows precomputed answers instead"
    with downloading(f"{url}: not downloaded", advice), urlopen(url, timeout=TIMEOUT) as response:
        content = response.read(SIZE)
    if _digest(content) != sha256:
        raise UserError(
            f"{url}: its SHA-256 begins with {_digest(content)[:8]} and not {sha256[:8]}; try again"
        )
    with writing(path) as temporary:
        Path(temporary).write_bytes(content)
    return path


def fetch_runtime(out: Path | str, url: str | None = None, sha256: str = SHA256) -> None:
    """Writes the packed runtime as JSON: `version` and the gzipped members in base64, or `missing` with the reason.

    Arguments:
        out: The file.
        url: The address of the archive; None: :func:`archive_url`.
        sha256: Its SHA-256.
    """
    try:
        archive = runtime_archive(url, sha256)
    except UserError as error:
        write_json(out, {"version": VERSION, "missing": str(error)})
        return
    packed = {"version": VERSION, "sha256": sha256}
    with tarfile.open(fileobj=io.BytesIO(archive.read_bytes()), mode="r:gz") as tar:
        for name, member in PARTS.items():
            file = tar.extractfile(member)
            assert file is not None  # the archive is the pinned one
            packed[name] = b64encode(gzip.compress(file.read(), 9, mtime=0)).decode()
    write_json(out, packed)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
