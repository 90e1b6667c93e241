"""Tests of the fit of the exposure: joint least squares identifies the cause among correlated parents."""

import torch

from counterfactory.models.image.exposure import fit_exposure
from counterfactory.nets.head import Head


def test_brightness_is_attributed_to_its_cause_only():
    generator = torch.Generator().manual_seed(0)
    light = torch.rand(4000, generator=generator) * 2 - 1
    bystander = 0.9 * light + 0.1 * torch.randn(4000, generator=generator)
    kind = torch.eye(3)[torch.randint(3, (4000,), generator=generator)]
    parents = torch.cat([bystander[:, None], light[:, None], kind], 1)
    images = torch.zeros(4000, 1, 8, 8)
    images[:, :, 2:6, 2:6] = (140 + 80 * light)[:, None, None, None]
    head = Head(4, 1, 1, exposure=[1])
    fit_exposure(head, images.round().to(torch.uint8), parents)
    assert torch.allclose(head.exposure, torch.tensor([80 / 140]), atol=5e-3)
    # Black stays black, and the brightness above black is proportional to the exposure.
    head.location.weight.data.zero_()
    head.location.bias.data.fill_(0.0)
    dim, bright = head(torch.zeros(2, 4, 1, 1), torch.tensor([[9.0, -0.5], [-9.0, 0.5]]))[0].flatten()
    expected = (140 + 40) / (140 - 40)
    assert torch.isclose((bright + 1) / (dim + 1), torch.tensor(expected), rtol=1e-2)
    head.location.bias.data.fill_(-1.0)
    assert torch.equal(head(torch.zeros(1, 4, 1, 1), torch.ones(1, 2))[0], -torch.ones(1, 1, 1, 1))


def test_a_head_without_exposure_is_unchanged():
    head = Head(4, 1, 1)
    fit_exposure(head, torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.zeros(2, 3))
    assert not head.columns and "exposure" not in head.state_dict()
