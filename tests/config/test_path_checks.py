"""Folders and files that a configuration names: refused or reported before the workflow plans its steps."""

import json

import pytest

from counterfactory.config import load_settings
from counterfactory.config.path_checks import missing_folders, missing_weights

IDX = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte.gz",
    "t10k-images.idx3-ubyte",
    "t10k-labels-idx1-ubyte",
]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("MNIST_ROOT", raising=False)
    (tmp_path / "digits").mkdir()
    for name in IDX:
        (tmp_path / "digits" / name).touch()
    (tmp_path / "tables").mkdir()
    for name in ("train-morpho.csv", "t10k-morpho.csv.gz"):
        (tmp_path / "tables" / name).touch()
    return tmp_path


def errors(given):
    return list(missing_folders(load_settings(given)))


@pytest.mark.parametrize("folder", ["digits", "~/digits", "auto", "package", "torchvision"])
def test_a_folder_that_is_there_and_the_other_sources_pass(place, folder):
    assert errors({"data": {"digits": folder, "published": "~/tables"}}) == []


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            {"digits": "nowhere"},
            "data.digits: 'nowhere' is neither a folder nor a source; choose from auto, ",
        ),
        ({"digits": "torchvison"}, "did you mean 'torchvision'?"),
        ({"digits": "tables"}, "data.digits: tables: contains no train-images-idx3-ubyte"),
        ({"digits": "digits/" + IDX[0]}, "is neither a folder nor a source"),
        ({"published": "nowhere"}, "data.published: 'nowhere' is not a folder; "),
        ({"published": "digits"}, "data.published: digits/train-morpho.csv: no such file; "),
    ],
)
def test_a_missing_folder_is_one_line_with_its_key(place, data, said):
    (line,) = errors({"data": data})
    assert said in line and "\n" not in line


def test_a_wrong_mnist_root_is_refused(place, monkeypatch):
    monkeypatch.setenv("MNIST_ROOT", "~/digits")
    assert errors({}) == []
    for root, said in (
        ("nowhere", "MNIST_ROOT: 'nowhere' is not a folder"),
        ("tables", "contains no train-"),
    ):
        monkeypatch.setenv("MNIST_ROOT", root)
        (line,) = errors({})
        assert line.startswith("MNIST_ROOT: ") and said in line
    # It is not read: the digits come from elsewhere, or the data set has none.
    assert errors({"data": {"digits": "package"}}) == []
    assert errors({"dataset": "pendulum", "methods": ["copy"]}) == []


def test_what_was_copied_before_is_not_looked_for_again(place):
    data = place / "results" / "morphomnist" / "data"
    given = {"data": {"digits": "nowhere", "published": "nowhere"}}
    assert len(errors(given)) == 2
    (data / "digits").mkdir(parents=True)
    (data / "digits" / "images.npy").touch()
    (data / "dataset.json").touch()
    assert errors(given) == []


WEIGHTS = [
    ("lpips/vgg", "scores.lpips.weights", {"scores": {"lpips": {"net": "vgg", "weights": "away.pth"}}}),
    ("inception", "scores.fid.weights", {"scores": {"metrics": ["fid"], "fid": {"weights": "away.pth"}}}),
    (
        "vgg19",
        "answers.vgg19_weights",
        {
            "methods": ["copy", "dime"],
            "answers": {"vgg19_weights": "away.pth", "dime": {"perceptual": "vgg19"}},
        },
    ),
    (
        "identity",
        "identity.network.weights",
        {
            "scores": {"metrics": ["identity"]},
            "identity": {"network": {"name": "vggface2_resnet50", "weights": "away.pth"}},
        },
    ),
]


@pytest.mark.parametrize(("folder", "key", "given"), WEIGHTS)
def test_missing_weights_are_reported_with_their_key(place, folder, key, given):
    settings = load_settings(given)
    assert list(missing_folders(settings)) == []
    (line,) = missing_weights(settings)
    assert line.startswith(f"{key} is 'away.pth', which is no file; ")
    model = place / "results" / "morphomnist" / "models" / folder
    model.mkdir(parents=True)
    (model / "model.json").write_text(json.dumps({"model": "x"}))
    assert list(missing_weights(settings)) == []


def test_a_misspelt_source_of_weights_is_refused(place):
    (line,) = errors({"scores": {"lpips": {"weights": "pakage"}}})
    assert line.startswith("scores.lpips.weights is 'pakage'") and "did you mean 'package'?" in line
    # Weights that nothing uses are not looked for.
    unused = load_settings({"scores": {"metrics": ["axioms"], "fid": {"weights": "pakage"}}})
    assert list(missing_folders(unused)) == [] and list(missing_weights(unused)) == []
