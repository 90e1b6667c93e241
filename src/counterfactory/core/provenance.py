"""The origin of a result: the revision of this checkout, the versions of packages, the machine."""

import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

__all__ = ["PACKAGES", "describe", "revision", "versions"]

ROOT = Path(__file__).parent

PACKAGES = (
    "torch",
    "numpy",
    "pandas",
    "scipy",
    "scikit-image",
    "numba",
    "pyro-ppl",
    "lpips",
    "pytorch-fid",
    "snakemake",
)
"""The packages whose versions may change a result or the way it was made."""


def revision() -> str:
    """Returns the git revision of this checkout, with `-dirty` if files differ from it, or `unknown`."""
    command = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def versions(packages: tuple[str, ...] = PACKAGES) -> dict[str, str]:
    """Returns the installed versions of `packages` and of Python; packages that are not installed are left out."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def describe() -> dict[str, Any]:
    """Returns the origin of a result: revision, package versions, machine."""
    return {"revision": revision(), "versions": versions(), "machine": platform.platform(terse=True)}
