"""Published face networks: their sizes, their preprocessing, and unit embeddings."""

import numpy as np
import pytest
import torch
from PIL import Image

from counterfactory.pretrained.identity_networks import build_published_identity
from counterfactory.pretrained.mobilefacenet import MobileFaceNet
from counterfactory.pretrained.vggface2_resnet import MEANS, VggFace2ResNet50


@pytest.mark.parametrize(
    ("name", "weights", "features"),
    [("vggface2_resnet50", 23_508_032, 2_048), ("mobilefacenet", 3_399_424, 512)],
)
def test_sizes(name, weights, features):
    model = build_published_identity(name).eval()
    # ResNet-50 without its last layer; the 3,400,448 numbers of the ONNX file minus a mean and a variance of 512 each.
    assert sum(one.numel() for one in model.parameters()) == weights
    with torch.no_grad():
        found = model(torch.rand(2, 1, 32, 32) * 2 - 1)
    assert found.shape == (2, features) == (2, model.features)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(2))


def test_the_stages_of_the_resnet_end_at_7_by_7():
    model, seen = VggFace2ResNet50().eval(), {}
    for name in ("conv1", "layer1", "layer2", "layer3", "layer4"):
        getattr(model, name).register_forward_hook(
            lambda module, given, found, name=name: seen.update({name: tuple(found.shape[1:])})
        )
    with torch.no_grad():
        model(torch.zeros(1, 3, 64, 64))
    assert seen == {
        "conv1": (64, 112, 112),
        "layer1": (256, 56, 56),
        "layer2": (512, 28, 28),
        "layer3": (1024, 14, 14),
        "layer4": (2048, 7, 7),
    }
    # As in Caffe, the first convolution of a block has the stride, not the second.
    assert model.layer2[0].conv1.stride == (2, 2) and model.layer2[0].conv2.stride == (1, 1)


@pytest.mark.parametrize(("size", "ties"), [(128, 0.15), (178, 0.01), (300, 0.01)])
def test_the_resnet_sees_bgr_grey_levels_less_the_means_as_pillow_resizes(size, ties):
    image = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    seen = VggFace2ResNet50().prepare(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 127.5 - 1.0)[0]
    resized = np.asarray(Image.fromarray(image).resize((224, 224), Image.Resampling.BILINEAR), np.float64)
    expected = resized[:, :, ::-1] - np.array(MEANS)
    difference = np.abs(seen.permute(1, 2, 0).numpy() - expected)
    # Pillow computes in fixed point: a half may be rounded the other way, twice. From 128 px on there are many halves.
    assert difference.max() < 2.01 and (difference > 0.5).mean() < ties


def test_a_grey_image_is_seen_as_three_equal_channels():
    grey = torch.rand(1, 1, 40, 40) * 2 - 1
    for model in (VggFace2ResNet50(), MobileFaceNet()):
        assert torch.equal(model.prepare(grey), model.prepare(grey.expand(-1, 3, -1, -1)))
    assert MobileFaceNet().prepare(grey).shape == (1, 3, 112, 112)
