"""torchvision is usable with any build of torch, with or without GPU code."""

import torch

from counterfactory.pretrained.torchvision_import import import_torchvision


def test_it_imports_once_and_works():
    torchvision = import_torchvision()
    assert import_torchvision() is torchvision
    assert torch.ops.torchvision.nms is not None
    network = torchvision.models.alexnet(weights=None, num_classes=3).eval()
    assert network(torch.zeros(1, 3, 64, 64)).shape == (1, 3)
