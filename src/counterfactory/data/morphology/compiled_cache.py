"""Lets numba keep this package's compiled code in a private folder.

Numba loads what it has cached, in part by pickle. By default that lies beside the sources or, where these are
read-only, in the user's cache folder, and its owner is not checked. This module must be imported before functions are
compiled.
"""

import os
from pathlib import Path

from numba import config

from ...core.cache_folder import cache_folder, private_folder

__all__: list[str] = []


def _folder() -> Path:
    """Returns the folder that `NUMBA_CACHE_DIR` names if only this user can write there, else this package's own."""
    given = os.environ.get("NUMBA_CACHE_DIR")
    try:
        return private_folder(Path(given).absolute()) if given else cache_folder("numba")
    except OSError:
        return cache_folder("numba")


config.CACHE_DIR = str(_folder())
