"""FastDiME: one call per step, the region and the pixels outside of it, the three forms."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.diffusion.steps import q_sample
from counterfactory.methods import explainer, fastdime
from counterfactory.methods.guidance import noise
from tests.diffusion.reference import ancestral
from tests.explained import SHAPE, Classifier, Convolutional, networks, questions, rows, settings, some


def loaded(monkeypatch, **changes):
    """The method with tiny networks, which count their input images."""
    net, seen = networks(Convolutional(2)), []

    def denoise(z, index):
        seen.append(index)
        return net.denoise(z, index)

    counting = replace(net, denoise=denoise)
    monkeypatch.setattr(explainer, "load_networks", lambda *given: counting)
    monkeypatch.setattr(explainer, "load_dataset", lambda folder: SimpleNamespace(shape=SHAPE))
    respond = fastdime.load("fastdime", 0, None, None, SimpleNamespace(fastdime=settings(**changes)), "cpu")
    seen.clear()
    return respond, seen


def test_the_region_by_hand():
    x = torch.zeros(2, 1, 5, 5)
    clean = x.clone()
    clean[0, 0, 0, 0], clean[0, 0, 4, 4], clean[0, 0, 2, 4] = 1.0, -0.2, 0.1
    region = fastdime.changed_region(x, clean, 1, 0.15)
    assert region[0, 0].nonzero().tolist() == [[0, 0], [4, 4]]
    assert not region[1].any()
    spread = fastdime.changed_region(x, clean, 3, 0.15)
    assert spread[0, 0].nonzero().tolist() == [[0, 0], [0, 1], [1, 0], [1, 1], [3, 3], [3, 4], [4, 3], [4, 4]]
    # Colours add up before they are compared.
    colours = torch.zeros(1, 3, 2, 2)
    colours[0, :, 0, 0], colours[0, 0, 1, 1] = 0.1, 0.2
    assert fastdime.changed_region(torch.zeros(1, 3, 2, 2), colours, 1, 0.7)[0, 0].tolist() == [
        [True, False],
        [False, False],
    ]


def test_one_call_a_step(monkeypatch):
    for form, times in (("fastdime", 1), ("fastdime-2", 2), ("fastdime-2+", 2)):
        respond, seen = loaded(monkeypatch, form=form, classifier_scales=[8.0])
        _, _, columns = respond(questions(4))
        assert set(columns["network_calls"]) == {12.0 * times}
        assert seen == list(range(11, -1, -1)) * times


def test_without_guidance_and_region_it_is_plain_sampling():
    net, batch = networks(Convolutional(2)), rows(questions(3))
    own = settings(l1_loss=0.0, masked=False)
    found, calls = fastdime.walk(net, batch, 0.0, (0,), own)
    fresh = noise(batch, (12, *SHAPE), "outer", 0)
    z = q_sample(net.schedule, batch.x, 12, noise(batch, SHAPE, "start"))
    assert torch.equal(found, ancestral(net.denoise, z, 11, lambda i: fresh[:, 11 - i]))
    assert calls == 12


def test_outside_the_region_the_image_is_itself():
    net, batch = networks(Convolutional(2)), rows(questions(4))
    region = torch.zeros(4, 1, 8, 8, dtype=torch.bool)
    region[:, :, 2:5, 3:7] = True
    found, _ = fastdime.walk(net, batch, 8.0, (0,), settings(), region)
    outside = ~region.expand_as(found)
    assert torch.equal(found[outside], batch.x[outside])
    assert (found != batch.x)[~outside].all()


def test_what_is_outside_never_reaches_the_inside_of_a_local_world():
    # The gradient is taken at the estimate pasted into x: outside of the region the input of the classifier is x.
    seen = []
    classifier = Classifier()
    plain = classifier.logits

    def logits(x):
        seen.append(x.detach().clone())
        return plain(x)

    classifier.logits = logits
    net, batch = networks(Convolutional(2), classifier), rows(questions(2))
    region = torch.zeros(2, 1, 8, 8, dtype=torch.bool)
    region[:, :, :4] = True
    fastdime.walk(net, batch, 8.0, (0,), settings(), region)
    assert torch.equal(seen[0], batch.x)
    assert all(torch.equal(one[:, :, 4:], batch.x[:, :, 4:]) for one in seen)
    assert not torch.equal(seen[1][:, :, :4], batch.x[:, :, :4])


def test_the_warm_up_has_no_region():
    net, batch = networks(Convolutional(2)), rows(questions(2))
    never = fastdime.walk(net, batch, 8.0, (0,), settings(masked=False))[0]
    late = fastdime.walk(net, batch, 8.0, (0,), settings(warmup_mask=12, threshold=0.9))[0]
    early = fastdime.walk(net, batch, 8.0, (0,), settings(warmup_mask=11, threshold=0.9))[0]
    assert torch.equal(never, late)
    assert not torch.equal(never, early)


def test_the_second_walk_keeps_to_the_region_of_the_first(monkeypatch):
    batch = questions(4, attributes=("right",))
    for form in ("fastdime-2", "fastdime-2+"):
        respond, _ = loaded(monkeypatch, form=form, classifier_scales=[8.0], threshold=0.6, dilation=1)
        images, _, _ = respond(batch)
        same = (images == batch.images).mean()
        assert 0.1 < same < 0.95


@pytest.mark.parametrize("form", ["fastdime", "fastdime-2+"])
def test_bytes_do_not_depend_on_who_is_asked_with(monkeypatch, form):
    respond, _ = loaded(monkeypatch, form=form, classifier_scales=[0.5, 5.0, 50.0])
    batch = questions(10)
    whole, _, columns = respond(batch)
    for which in ([0], [7, 2], [1, 3, 4, 5, 9]):
        part, _, few = respond(some(batch, which))
        assert part.tobytes() == whole[which].tobytes()
        np.testing.assert_array_equal(few["network_calls"], columns["network_calls"][which])
