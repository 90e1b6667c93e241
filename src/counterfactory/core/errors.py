"""The exceptions a user is meant to see."""

__all__ = ["BadFile", "MissingWeights", "Unfinished", "UserError"]


class UserError(Exception):
    """A mistake the user can mend: one line that names the key or file, and the mend.

    The command line prints the message and exits with status 2; no traceback is shown.

    Attributes:
        status: The exit status of the command line.
    """

    status = 2


class BadFile(UserError):
    """A file from outside is damaged, or is not what it should be; the command line exits with status 1."""

    status = 1


class MissingWeights(UserError):
    """A file of weights that only one method or metric asks is not there: that one goes without, and says so.

    The others go on. Where weights were to be downloaded and could not be, that is a :class:`UserError` as any other.
    """


class Unfinished(Exception):
    """Work that was asked to stop by a certain time and did, its state kept: the same command goes on with it.

    The command line prints the message and exits with status 75 (try again, of sysexits.h).
    """
