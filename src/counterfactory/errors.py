"""The one exception a user is meant to see."""

__all__ = ["UserError"]


class UserError(Exception):
    """A mistake the user can mend: one line that names the key or file, and the mend.

    The command line prints the message and exits with status 2; no traceback is shown.
    """
