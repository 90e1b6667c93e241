"""Reads members of zip archives, tar.gz archives and gzip streams within bounds.

Nothing is extracted to disk: a member is read into memory by its exact name. The number of members, the declared and
the actual sizes and the compression ratio are bounded, so that a small file cannot fill the memory.
"""

import gzip
import os
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ..errors import BadFile

__all__ = [
    "LARGEST",
    "BoundedReader",
    "open_zip",
    "read_at_most",
    "read_tar_member",
    "read_zip_member",
    "reason",
]

LARGEST = 2**30
"""The largest size of one file or member in bytes; the largest published file, VGG-19, has 575 MB."""

_DIRECTORY = 2**22  # the largest directory of a zip archive in bytes
_MEMBERS = 20_000
_RATIO = 200  # the largest ratio of uncompressed to compressed bytes; weights hardly compress
_CHUNK = 2**20


def reason(error: BaseException) -> str:
    """Returns the message of an exception as one short line, or its class name if the message is empty."""
    return " ".join(str(error).split())[:200] or type(error).__name__


class BoundedReader:
    """A binary stream that raises an error when more than a limit is read, at once or in total.

    Memory is allocated for the bytes that exist, not for the length that a file declares.

    Arguments:
        file: The stream.
        limit: The largest number of bytes in total.
        once: The largest number of bytes per call; by default `limit`.
    """

    def __init__(self, file: IO[bytes], limit: int, once: int | None = None) -> None:
        self.file, self.left, self.once = file, limit, limit if once is None else once

    def read(self, count: int = -1) -> bytes:
        """Returns up to `count` bytes, by default all remaining ones.

        Raises:
            ValueError: If the limits are exceeded.
        """
        wanted = min(self.once, self.left) + 1 if count is None or count < 0 else count
        parts, got = [], 0
        while got < wanted and (part := self.file.read(min(_CHUNK, wanted - got))):
            parts.append(part)
            got += len(part)
            if got > min(self.once, self.left):
                raise ValueError(f"it contains more than {min(self.once, self.left)} bytes")
        self.left -= got
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def readline(self) -> bytes:
        """Returns a line of at most 4096 bytes.

        Raises:
            ValueError: If it is longer.
        """
        line = self.file.readline(4096)
        self.left -= len(line)
        if self.left < 0 or (len(line) == 4096 and not line.endswith(b"\n")):
            raise ValueError("a line is too long")
        return line

    def __getattr__(self, name: str):
        return getattr(self.file, name)


def read_at_most(file: IO[bytes], limit: int) -> bytes:
    """Returns all remaining bytes of a stream.

    Raises:
        ValueError: If they are more than `limit`.
    """
    return BoundedReader(file, limit).read()


@contextmanager
def open_zip(file: IO[bytes], name: str) -> Iterator[zipfile.ZipFile]:
    """Opens a zip archive whose directory is not too large.

    Arguments:
        file: The open file.
        name: Its name in error messages.

    Raises:
        BadFile: If it is not a zip archive, or has too many members.
    """
    try:
        bounded = BoundedReader(file, 8 * LARGEST, _DIRECTORY)
        archive = zipfile.ZipFile(bounded)
        if len(archive.filelist) > _MEMBERS:
            raise ValueError(f"it has more than {_MEMBERS} members")
        if len(archive.NameToInfo) != len(archive.filelist):
            raise ValueError("two members have one name")
    except Exception as error:  # a damaged archive may raise anything
        raise BadFile(f"{name}: cannot be read as a zip archive ({reason(error)}); fetch it again") from None
    bounded.once = LARGEST
    with archive:
        yield archive


def read_zip_member(archive: zipfile.ZipFile, member: str, name: str, limit: int = LARGEST) -> bytes:
    """Returns the bytes of one member and verifies its checksum.

    Arguments:
        archive: The archive, from :func:`open_zip`.
        member: The full name of the member.
        name: The name of the archive in error messages.
        limit: The largest size of the member in bytes.

    Raises:
        BadFile: If it is missing, damaged, encrypted, a link or too large.
    """
    try:
        info = archive.getinfo(member)
        if info.file_size > limit or info.file_size > _RATIO * info.compress_size + _CHUNK:
            raise ValueError(f"{info.compress_size} bytes would become {info.file_size}")
        if info.is_dir() or (info.create_system == 3 and (info.external_attr >> 28) not in (0, 0o10)):
            raise ValueError("it is not a regular file")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError("it is compressed by another method than deflate")
        with archive.open(info) as file:
            data = read_at_most(file, info.file_size)
        if len(data) != info.file_size:
            raise ValueError("it is cut short")
        return data
    except Exception as error:
        raise BadFile(f"{name}: {member} cannot be read ({reason(error)}); fetch the archive again") from None


def read_tar_member(path: Path | str, member: str, limit: int = LARGEST) -> bytes:
    """Returns the bytes of one regular file in a tar.gz archive.

    Headers are read one after another; links, folders and extended headers are skipped.

    Arguments:
        path: The archive.
        member: The full name of the file in it, at most 100 characters.
        limit: The largest size in bytes of the file, and of the archive up to it.

    Raises:
        BadFile: If it is missing, damaged or too large.
    """
    try:
        limit = min(limit, _RATIO * os.path.getsize(path) + _CHUNK)
        with gzip.open(path) as packed:
            stream = BoundedReader(packed, limit)  # type: ignore[arg-type]
            for _ in range(_MEMBERS):
                header = stream.read(tarfile.BLOCKSIZE)
                if not header.strip(b"\0"):
                    break
                info = tarfile.TarInfo.frombuf(header, "utf-8", "surrogateescape")
                if not 0 <= info.size <= limit:
                    raise ValueError(f"a member of {info.size} bytes")
                if info.name == member:
                    if info.type not in (tarfile.REGTYPE, tarfile.AREGTYPE):
                        raise ValueError("it is not a regular file")
                    data = stream.read(info.size)
                    if len(data) != info.size:
                        raise ValueError("it is cut short")
                    return data
                left = -(-info.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                while left and (part := stream.read(min(left, _CHUNK))):
                    left -= len(part)
        raise KeyError("no such member")
    except Exception as error:
        raise BadFile(f"{path}: {member} cannot be read ({reason(error)}); fetch the archive again") from None
