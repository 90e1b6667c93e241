"""Downloads: a host without a response times out, a failure is one line, and the timeout is reset afterwards."""

import hashlib
import io
import socket
from urllib.request import urlopen

import pytest

from counterfactory.core.errors import BadFile, UserError
from counterfactory.pretrained.download import downloading, fetch_tensors


def test_a_silent_host_is_given_up_in_one_line():
    with socket.create_server(("127.0.0.1", 0)) as server:  # accepts the connection and never responds
        port = server.getsockname()[1]
        with (
            pytest.raises(UserError, match=r"^no weights \(.*timed out.*\); check the network$"),
            downloading("no weights", "check the network", seconds=0.2),
        ):
            urlopen(f"http://127.0.0.1:{port}/")
    assert socket.getdefaulttimeout() is None


def test_a_reason_of_many_lines_becomes_one():
    failure = 'invalid hash value\n  (expected "dcbb")'
    with (
        pytest.raises(UserError) as caught,
        downloading("no weights", "fetch them again"),
    ):
        raise RuntimeError(failure)
    assert str(caught.value) == 'no weights (invalid hash value (expected "dcbb")); fetch them again'


def test_what_is_no_failed_download_passes_through():
    with pytest.raises(UserError, match="^install it$"), downloading("no weights", "check the network"):
        raise UserError("install it")
    with pytest.raises(KeyError), downloading("no weights", "check the network"):
        raise KeyError("features")
    assert socket.getdefaulttimeout() is None


def test_what_lies_in_the_cache_of_torch_is_held_to_its_hash(tmp_path, monkeypatch):
    import torch

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    file = io.BytesIO()
    torch.save({"a": torch.arange(3.0)}, file)
    digits = hashlib.sha256(file.getvalue()).hexdigest()[:8]
    path = tmp_path / "checkpoints" / f"net-{digits}.pth"
    path.parent.mkdir()
    path.write_bytes(file.getvalue())
    url = f"http://127.0.0.1:9/{path.name}"
    assert fetch_tensors(url, "no weights", "check the network")["a"].tolist() == [0.0, 1.0, 2.0]
    path.write_bytes(file.getvalue() + b"x")
    with pytest.raises(BadFile, match=f"its SHA-256 begins with [0-9a-f]{{8}} and not {digits}; delete it"):
        fetch_tensors(url, "no weights", "check the network")
    path.unlink()
    with pytest.raises(UserError, match=r"^no weights \(.*\); check the network$"):
        fetch_tensors(url, "no weights", "check the network")
