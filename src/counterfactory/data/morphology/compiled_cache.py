"""Sets the cache folder of numba to a private folder.

Numba loads its cached code, in part by pickle. By default the cache is beside the sources or, where these are
read-only, in the cache folder of the user, and its owner is not checked. This module must be imported before functions
are compiled.
"""

import os
from pathlib import Path

from numba import config

from ...core.cache_folder import cache_folder, private_folder

__all__: list[str] = []


def _folder() -> Path:
    """Returns `NUMBA_CACHE_DIR` if only this user can write in it, else the cache folder of this package."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    try:
        return private_folder(Path(named).absolute()) if named else cache_folder("numba")
    except OSError:
        return cache_folder("numba")


config.CACHE_DIR = str(_folder())  # type: ignore[attr-defined]
