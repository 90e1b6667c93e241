"""The exceptions a user is meant to see."""

__all__ = ["Unfinished", "UserError"]


class UserError(Exception):
    """A mistake the user can mend: one line that names the key or file, and the mend.

    The command line prints the message and exits with status 2; no traceback is shown.
    """


class Unfinished(Exception):
    """Work that was asked to stop by a certain time and did, its state kept: the same command goes on with it.

    The command line prints the message and exits with status 75 (try again, of sysexits.h).
    """
