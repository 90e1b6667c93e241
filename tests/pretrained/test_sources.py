"""Pretrained weights: a missing file is reported once and affects only the steps that require it."""

import json
from types import SimpleNamespace

import pytest

from counterfactory.cli import main
from counterfactory.config import load_settings
from counterfactory.core.checkpoint import load_model, save_model
from counterfactory.core.errors import MissingWeights, UserError
from counterfactory.pretrained.sources import (
    DOWNLOADS,
    Pretrained,
    find_weights,
    pretrained,
    weights_available,
)


def test_a_file_a_missing_file_and_a_misspelt_download(tmp_path):
    (tmp_path / "here.pth").write_bytes(b"")
    assert find_weights("key", str(tmp_path / "here.pth"), ("auto",)) == tmp_path / "here.pth"
    with pytest.raises(
        MissingWeights, match="key: 'away.pth' is neither a file nor one of auto, package; put it there"
    ):
        find_weights("key", "away.pth", ("auto", "package"))
    with pytest.raises(MissingWeights, match="key: 'away.pkl' is not a file; put it there"):
        find_weights("key", "away.pkl", ())
    # Similar to the name of a source, so it is a spelling mistake and not a missing file.
    with pytest.raises(UserError, match="did you mean 'package'") as caught:
        find_weights("key", "pakage", ("auto", "package"))
    assert not isinstance(caught.value, MissingWeights)


def test_weights_are_given_until_their_file_was_never_there(tmp_path):
    file, folder = tmp_path / "weights.pth", tmp_path / "kept"
    weights = Pretrained("vgg19", str(file), DOWNLOADS["vgg19"])
    assert weights_available(Pretrained("vgg19", "torchvision", DOWNLOADS["vgg19"]), folder)
    assert not weights_available(weights, folder)
    file.write_bytes(b"")
    assert weights_available(weights, folder)
    save_model(folder, {}, {"kind": "vgg19", "source": file.name})
    file.unlink()
    # Weights that were read before remain valid if the file is moved.
    assert weights_available(weights, folder)


@pytest.mark.parametrize("network", ["lpips", "inception", "vgg19", "identity"])
def test_the_command_fails_or_writes_down_that_there_are_none(tmp_path, capsys, network):
    words = ["weights", network, "--source", "away.pth", "--out", str(tmp_path / "model")]
    words += ["--net", {"lpips": "alex", "identity": "vggface2_resnet50"}.get(network, "")]
    assert main(words) == 2
    assert not (tmp_path / "model").exists()
    assert "'away.pth' is " in capsys.readouterr().err
    assert main([*words, "--optional"]) == 0
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"weights {network}: ") and line.endswith("steps that require them are skipped")
    with pytest.raises(MissingWeights, match="'away.pth' is "):
        load_model(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "model.json").read_text())["kind"] == network
    weights = SimpleNamespace(source="away.pth", downloads=())
    assert not weights_available(weights, tmp_path / "model")


def test_an_identity_is_fetched_only_where_a_published_one_is_asked_for():
    assert set(pretrained(load_settings({}))) == {"lpips/alex", "lpips/vgg", "inception", "vgg19"}
    network = {"name": "vggface2_resnet50", "weights": "resnet50_ft_weight.pkl"}
    weights = pretrained(load_settings({"identity": {"network": network}}))["identity"]
    assert weights == Pretrained("identity --net vggface2_resnet50", "resnet50_ft_weight.pkl", ())
    with pytest.raises(UserError, match="no package contains vggface2_resnet50; name its file"):
        load_settings({"identity": {"network": {"name": "vggface2_resnet50"}}})
