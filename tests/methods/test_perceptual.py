"""Perceptual features: their squared distance equals the named distance; errors."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.core.checkpoint import save_missing
from counterfactory.core.errors import MissingWeights, UserError
from counterfactory.methods.perceptual import load_perceptual
from counterfactory.models.classifier.network import ClassifierNetwork
from counterfactory.pretrained.torchvision_import import import_torchvision
from counterfactory.pretrained.vgg19 import fetch_vgg19


@pytest.fixture(scope="module")
def classifier():
    torch.manual_seed(0)
    network = ClassifierNetwork(1, 2, width=4, halvings=3).eval().requires_grad_(False)
    return SimpleNamespace(network=network, stages=network.stages, depth=3)


@pytest.fixture(scope="module")
def pair():
    generator = torch.Generator().manual_seed(1)
    return [torch.rand(3, 1, 32, 32, generator=generator) * 2 - 1 for _ in range(2)]


def distance(features, a, b):
    return (features(a) - features(b)).square().sum(1)


def test_the_classifier_is_the_mean_over_maps_of_mean_squares(classifier, pair):
    features = load_perceptual("classifier", 2, Path(), classifier)
    maps = [classifier.stages(one)[:2] for one in pair]
    expected = sum((a - b).square().mean((1, 2, 3)) for a, b in zip(*maps, strict=True)) / 2
    assert torch.allclose(distance(features, *pair), expected, rtol=1e-4)


def test_gradients_reach_the_image_but_not_from_outside_the_range(classifier, pair):
    features = load_perceptual("classifier", 1, Path(), classifier)
    x = (1.5 * pair[0]).requires_grad_()
    distance(features, x, pair[1]).sum().backward()
    inside = x.detach().abs() < 1.0
    assert (x.grad[inside] != 0).float().mean() > 0.9
    assert (x.grad[~inside] == 0).all()


def test_none_is_none(classifier):
    assert load_perceptual("none", 1, Path(), classifier) is None


@pytest.mark.parametrize(
    ("name", "layer", "text"),
    [
        ("vgg16", 1, "vgg16: no such distance; did you mean 'vgg19'"),
        ("classifier", 4, "the classifier has 3 convolutions, not 4"),
    ],
)
def test_refuses(classifier, name, layer, text):
    with pytest.raises(UserError, match=text):
        load_perceptual(name, layer, Path(), classifier)


def write_vgg19(folder):
    """Writes a checkpoint in the format of torchvision with random weights, and returns its trunk."""
    vgg = import_torchvision().models.vgg
    torch.manual_seed(3)
    trunk = vgg.make_layers(vgg.cfgs["E"], batch_norm=False)
    state = {f"features.{name}": tensor for name, tensor in trunk.state_dict().items()}
    torch.save(state | {"classifier.6.bias": torch.zeros(1000)}, folder / "vgg19.pth")
    return trunk


def test_weights_that_are_missing_or_others_are_refused(classifier, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="vgg19: no weights of VGG-19; fetch them first"):
        load_perceptual("vgg19", 18, tmp_path, classifier)
    with pytest.raises(
        MissingWeights, match=r"vgg19_weights: '.*missing.pth' is neither a file nor one of torchvision"
    ):
        fetch_vgg19(str(tmp_path / "missing.pth"), tmp_path)
    (tmp_path / "text.pth").write_text("text")
    with pytest.raises(UserError, match="not a checkpoint of vgg19"):
        fetch_vgg19(str(tmp_path / "text.pth"), tmp_path)
    torch.save({"features.0.weight": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match="not the weights of vgg19"):
        fetch_vgg19(str(tmp_path / "other.pth"), tmp_path)
    with pytest.raises(UserError, match="lpips/vgg: no weights of LPIPS"):
        load_perceptual("lpips_vgg", 1, tmp_path, classifier)
    save_missing(tmp_path / "vgg19", "vgg19", "answers.vgg19_weights: no such file")
    with pytest.raises(MissingWeights, match="answers.vgg19_weights: no such file"):
        load_perceptual("vgg19", 18, tmp_path, classifier)

    def offline(*words, **given):
        raise OSError("no route to host")

    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    with pytest.raises(
        UserError, match=r"could not download .* \(no route to host\); .* choose another"
    ) as caught:
        fetch_vgg19("torchvision", tmp_path)
    # A failed download is not a missing file, because it can succeed later.
    assert not isinstance(caught.value, MissingWeights)


def test_vgg19_is_cut_after_the_fourth_convolution_of_the_third_block(classifier, pair, tmp_path):
    trunk = write_vgg19(tmp_path)
    fetch_vgg19(str(tmp_path / "vgg19.pth"), tmp_path / "vgg19")
    with pytest.raises(UserError, match="vgg19 has 37 layers, not 99"):
        load_perceptual("vgg19", 99, tmp_path, classifier)
    features = load_perceptual("vgg19", 18, tmp_path, classifier)
    x, y = ((one.expand(-1, 3, -1, -1) + 1) / 2 for one in pair)
    mean, deviation = (torch.tensor(v)[:, None, None] for v in ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225]))
    maps = [trunk[:18]((one - mean) / deviation) for one in (x, y)]
    assert maps[0].shape[1:] == (256, 8, 8)
    assert torch.allclose(distance(features, *pair), (maps[0] - maps[1]).square().mean((1, 2, 3)), rtol=1e-3)


def test_lpips_is_its_distance(classifier, pair, monkeypatch):
    from counterfactory.pretrained import lpips as lpips_weights

    torch.manual_seed(2)
    model = lpips_weights._package().LPIPS(net="alex", pretrained=False, pnet_rand=True, verbose=False).eval()
    for lin in model.lins:
        lin.model[-1].weight.data.abs_()
    monkeypatch.setattr(lpips_weights, "load_lpips", lambda folder, device: model)
    features = load_perceptual("lpips_alex", 1, Path(), classifier)
    with torch.no_grad():
        expected = model(*(one.expand(-1, 3, -1, -1) for one in pair)).flatten()
        np.testing.assert_allclose(distance(features, *pair), expected, rtol=1e-3)
