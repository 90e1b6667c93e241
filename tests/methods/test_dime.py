"""DiME: number of calls, the result without guidance, a closed form, and bytes that depend on the question only."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from counterfactory.diffusion.steps import q_sample
from counterfactory.methods import dime, explainer
from counterfactory.methods.explainer import escalate
from counterfactory.methods.guidance import noise
from counterfactory.nets.pixels import to_bytes
from tests.diffusion.reference import ancestral
from tests.explained import (
    SHAPE,
    Classifier,
    Convolutional,
    Linear,
    networks,
    questions,
    rows,
    settings,
    some,
)


def counted(**given):
    """Networks that count their calls, and remember the inputs of each."""
    calls = []
    net = networks(Convolutional(2), **given)

    def denoise(z, index):
        calls.append((z.clone(), index))
        return net.denoise(z, index)

    return replace(net, denoise=denoise, unclipped=denoise), calls


@pytest.mark.parametrize("start", [1, 2, 10])
def test_calls_grow_with_the_square_of_the_steps(start):
    net, calls = counted()
    batch = rows(questions(3))
    _, reported = dime.outer_walk(net, batch, 8.0, 0, settings(start_step=start, reuse_calls=False))
    assert reported == len(calls) == start * (start + 1) // 2
    # 9 of the 55 calls of ten steps have the input of an earlier call.
    inputs = {(i, z.numpy().tobytes()) for z, i in calls}
    assert len(calls) - len(inputs) == start - 1


@pytest.mark.parametrize("start", [1, 2, 10])
def test_calls_that_are_the_same_are_made_once_and_change_nothing(start):
    batch = rows(questions(3))
    net, calls = counted()
    twice, _ = dime.outer_walk(net, batch, 8.0, 0, settings(start_step=start, reuse_calls=False))
    calls.clear()
    once, reported = dime.outer_walk(net, batch, 8.0, 0, settings(start_step=start))
    assert reported == len(calls) == start * (start + 1) // 2 - (start - 1)
    assert torch.equal(once, twice)


def test_guidance_that_ends_early_costs_less():
    batch = rows(questions(2))
    net, calls = counted()
    short = settings(start_step=20, guided_iterations=5, reuse_calls=False)
    first, reported = dime.outer_walk(net, batch, 8.0, 0, short)
    assert reported == len(calls) == 105
    calls.clear()
    short.reuse_calls = True
    second, reported = dime.outer_walk(net, batch, 8.0, 0, short)
    # The result of the fifth inner walk is not used (15 calls); of the other four the first call is the next outer one.
    assert reported == len(calls) == 105 - 15 - 4
    assert torch.equal(first, second)


def test_published_counts():
    net, calls = counted(respacing=80)
    batch = rows(questions(1))
    assert dime.outer_walk(net, batch, 8.0, 0, settings(start_step=60, reuse_calls=False))[1] == 1830
    assert len(calls) == 1830


def test_an_unclipped_outer_walk_shares_no_call():
    net, calls = counted()
    batch = rows(questions(2))
    assert dime.outer_walk(net, batch, 8.0, 0, settings(start_step=6, clip_denoised=False))[1] == 21


def test_without_guidance_it_is_plain_sampling_from_the_same_noise():
    net, batch = networks(Convolutional(2)), rows(questions(5))
    free = settings(l1_loss=0.0)
    found, _ = dime.outer_walk(net, batch, 0.0, 0, free)
    start = noise(batch, SHAPE, "start")
    fresh = noise(batch, (free.start_step, *SHAPE), "outer", 0)
    z = q_sample(net.schedule, batch.x, free.start_step, start)
    plain = ancestral(net.denoise, z, free.start_step - 1, lambda i: fresh[:, free.start_step - 1 - i])
    assert torch.equal(found, plain)


def test_a_linear_classifier_and_gaussian_images_have_a_closed_form():
    # The gradient of the logit is constant, so every mean is shifted by the same vector times known factors: the
    # guided and the free walk differ by s sum_i (prod_{j<i} a_j) var_i / sqrt(abar_i) grad, a_j = d mean_j / d z.
    net = networks()
    net = replace(net, denoise=net.unclipped)
    batch = rows(questions(4, attributes=("right",)))
    own = settings(l1_loss=0.0, clip_denoised=False)
    guided, _ = dime.outer_walk(net, batch, 3.0, 0, own)
    free, _ = dime.outer_walk(net, batch, 0.0, 0, own)
    schedule = net.schedule
    # For standard normal images E[x0 | z] = sqrt(abar) z.
    slope = schedule.posterior_weight_clean * schedule.alphas_bar.sqrt() + schedule.posterior_weight_noisy
    variance = schedule.posterior_log_variance.exp()
    shift = sum(variance[i] / schedule.alphas_bar[i].sqrt() * slope[:i].prod() for i in range(own.start_step))
    direction = (2.0 * batch.target - 1.0)[:, None] * Linear().weight[0]
    expected = 3.0 * shift * direction.double()
    assert torch.allclose((guided - free).flatten(1).double(), expected, atol=1e-5)
    assert expected.abs().max() > 0.05


def test_the_inner_walk_may_follow_the_means_alone():
    net, batch = networks(Convolutional(2)), rows(questions(3))
    a, b = (dime.outer_walk(net, batch, 8.0, 0, settings(use_sampling_on_x_t=on))[0] for on in (True, False))
    assert not torch.equal(a, b)
    z = noise(batch, SHAPE, "state")
    clean, first = dime.inner_walk(net, batch, z, 5, 0, settings(use_sampling_on_x_t=False))
    again, _ = dime.inner_walk(
        net, replace(batch, seeds=batch.seeds + 1), z, 5, 0, settings(use_sampling_on_x_t=False)
    )
    assert torch.equal(clean, again)
    assert torch.equal(first.mean, net.denoise(z, 5).mean)


def answer(batch, net, size=4, **changes):
    own = settings(**changes)
    return escalate(
        batch, net, lambda rows, s, n: dime.outer_walk(net, rows, s, n, own), own.classifier_scales, size
    )


def test_grey_levels_are_rounded_or_truncated():
    x = torch.tensor([-1.2, -1.0, 0.4 / 127.5 - 1, 0.6 / 127.5 - 1, 253.9 / 127.5 - 1, 1.0, 1.3]).view(
        1, 1, 1, 7
    )
    assert to_bytes(x).flatten().tolist() == [0, 0, 0, 1, 254, 255, 255]
    assert to_bytes(x, down=True).flatten().tolist() == [0, 0, 0, 0, 253, 255, 255]
    net, batch = networks(), questions(3)

    def attempt(part, scale, number):
        return torch.full_like(part.x, 99.7 / 127.5 - 1), 1

    for rounding, level in (("nearest", 100), ("down", 99)):
        images, *_ = escalate(batch, net, attempt, [1.0], 3, rounding)
        assert (images == level).all()


@pytest.mark.parametrize("which", [[0], [3], [9], [1, 2, 8], [9, 4, 0], list(range(5))])
def test_bytes_do_not_depend_on_who_is_asked_with(which):
    net = networks(Convolutional(2), Classifier(network=lambda x: Convolutional(5)(x).mean((2, 3))))
    batch = questions(10)
    whole, _, columns = answer(batch, net, classifier_scales=[1.0, 20.0, 200.0])
    part, _, few = answer(some(batch, which), net, classifier_scales=[1.0, 20.0, 200.0])
    assert part.tobytes() == whole[which].tobytes()
    for name, values in few.items():
        np.testing.assert_array_equal(values, columns[name][which])
    assert columns["reached"].sum() > 0


def test_what_has_flipped_is_left_alone_and_the_rest_tried_again():
    net = networks()
    batch = questions(9)
    seen = []

    def attempt(part, scale, number):
        seen.append((part.seeds.tolist(), scale))
        return dime.outer_walk(net, part, scale, number, settings())

    images, parents, columns = escalate(batch, net, attempt, [0.01, 1.0, 60.0], 3)
    first = {seed for seeds, scale in seen if scale == 0.01 for seed in seeds}
    assert first == set(batch.seeds.tolist())
    for scale, before in ((1.0, [0.01]), (60.0, [0.01, 1.0])):
        asked = {seed for seeds, s in seen if s == scale for seed in seeds}
        left = batch.seeds[~np.isin(columns["scale"], before)]
        assert asked == set(left.tolist())
    assert columns["reached"].all()
    assert set(np.unique(columns["scale"])) <= {0.01, 1.0, 60.0}
    assert len(set(columns["scale"])) > 1
    calls = 12 * 13 / 2 - 11
    tries = 1 + np.searchsorted([0.01, 1.0, 60.0], columns["scale"])
    assert columns["network_calls"].tolist() == (calls * tries).tolist()
    assert np.isnan(parents["size"]).all()
    # The classifier predicts the target for the bytes.
    said = Linear()(torch.from_numpy(images).float() / 127.5 - 1.0)
    before = Linear()(torch.from_numpy(batch.images).float() / 127.5 - 1.0)
    for i, name in enumerate(batch.attribute):
        if name == "third":
            assert said[i, 2:].argmax() == batch.target[i]
        else:
            column = ("right", "bottom").index(name)
            assert (said[i, column] > 0) == (not before[i, column] > 0)


def test_a_scale_that_never_flips_leaves_its_last_result():
    net, batch = networks(), questions(4, attributes=("right",))
    images, _, columns = answer(batch, net, classifier_scales=[-5.0, -9.0])
    assert not columns["reached"].any()
    assert columns["answered"].all()
    assert np.isnan(columns["scale"]).all()
    own, last = settings(), rows(batch)
    opposite = (last.x.flatten(1) @ Linear().weight[0] <= 0).long()
    last = replace(last, target=opposite)
    expected = dime.outer_walk(net, last, -9.0, 1, own)[0]
    assert (images == expected.add(1).mul(127.5).round().clamp(0, 255).to(torch.uint8).numpy()).all()


def test_a_constant_classifier_is_not_explained():
    net = networks(classifier=Classifier(constant={"right": "says yes to right for all images"}))
    batch = questions(6)
    images, _, columns = answer(batch, net, start_step=3)
    assert (columns["answered"] == (batch.attribute != "right")).all()
    assert (images[~columns["answered"]] == batch.images[~columns["answered"]]).all()


def test_why_an_attribute_is_not_explained_is_said_once_a_run(monkeypatch, capsys):
    net = networks(classifier=Classifier(constant={"right": "says yes", "bottom": "says no"}))
    monkeypatch.setattr(explainer, "load_networks", lambda *given: net)
    monkeypatch.setattr(explainer, "load_dataset", lambda folder: SimpleNamespace(shape=SHAPE))

    def run():
        respond = dime.load("dime", 0, None, None, SimpleNamespace(dime=settings(start_step=3)), "cpu")
        for names in (("right",), ("bottom", "right"), ("right", "bottom")):
            respond(questions(4, attributes=names))
        return capsys.readouterr().err.splitlines()

    expected = [
        f"flip {name}: not answered: the classifier says {what}"
        for name, what in (("right", "yes"), ("bottom", "no"))
    ]
    assert run() == expected
    assert run() == expected
    assert net.classifier.constant == {"right": "says yes", "bottom": "says no"}


def test_load_answers_questions_of_flip_only(monkeypatch):
    net = networks()
    monkeypatch.setattr(explainer, "load_networks", lambda *given: net)
    monkeypatch.setattr(explainer, "load_dataset", lambda folder: SimpleNamespace(shape=SHAPE))
    respond = dime.load("dime", 0, None, None, SimpleNamespace(dime=settings(start_step=4)), "cpu")
    assert set(respond.columns) == {"answered", "reached", "network_calls", "scale"}
    batch = questions(5)
    images, _, columns = respond(batch)
    assert images.dtype == np.uint8
    assert set(columns) == set(respond.columns)
    with pytest.raises(Exception, match="the suite flip only"):
        respond(replace(batch, attribute=None))
