"""A user name for processes whose user id has none, as in containers."""

import getpass
import os

__all__ = ["name_user"]


def name_user() -> None:
    """Sets `LOGNAME` to the user id if this user has no name.

    Snakemake and PyTorch call :func:`getpass.getuser`, which raises an error without a name.
    """
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = f"uid{os.getuid()}"
