"""DiME-X: identity without guidance, independence of questions, early stopping, nearest answers."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from counterfactory.diffusion.steps import q_sample
from counterfactory.methods import dime_x
from counterfactory.methods.guidance import leads, noise
from counterfactory.nets.pixels import to_bytes
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


def own(**changes):
    return settings(
        **{
            "classifier_scale": 4.0,
            "boost": 1.3,
            "margin": 0.5,
            "confidence": 0.0,
            "stop_step": 12,
            "restart_step": 6,
            "restarts": 2,
            "copies": 2,
            "jitter": 0.1,
            "shrink": 8,
            "threshold": 0.0,
            "dilation": 1,
            **changes,
        }
    )


def counted(net):
    calls = []

    def denoise(z, index):
        calls.append(index.tolist())
        return net.denoise(z, index)

    return replace(net, denoise=denoise), calls


@pytest.mark.parametrize("size", [1, 3, 4])
def test_bytes_do_not_depend_on_who_is_asked_with(size):
    net, batch = networks(Convolutional(2)), questions(10)
    slow = own(classifier_scale=0.3, boost=1.2)
    whole, _, columns = dime_x.explain(batch, net, slow, size)
    assert len(np.unique(columns["network_calls"])) > 1
    for which in ([0], [9, 2], [1, 3, 5, 7, 8], list(range(6))):
        part, _, few = dime_x.explain(some(batch, which), net, slow, size)
        assert part.tobytes() == whole[which].tobytes()
        for name, values in few.items():
            np.testing.assert_array_equal(values, columns[name][which])


def test_without_guidance_the_walk_leads_back_to_the_image():
    net, batch = networks(Convolutional(2)), rows(questions(4))
    free = own(l1_loss=0.0)
    index = torch.full((4,), 11)
    twin = q_sample(net.schedule, batch.x, index, noise(batch, SHAPE, "start"))
    state = twin.clone()
    for step in range(11, -1, -1):
        index = torch.full((4,), step)
        fresh = noise(batch, SHAPE, "step", 0, step)
        clean, state, twin, _ = dime_x.twin_step(
            net, batch, dime_x.Walks(state, twin, index, torch.zeros(4), torch.zeros(4)), fresh, None, free
        )
        assert torch.allclose(clean, batch.x, atol=1e-5)
        assert torch.allclose(state, twin, atol=1e-4)
    assert torch.allclose(twin, batch.x, atol=1e-5)
    assert torch.allclose(state, batch.x, atol=1e-4)


def test_the_factual_walk_has_the_law_of_the_diffusion():
    # y after one step from q(y_i | x) is distributed as q(y_{i-1} | x), independent of the network.
    net = networks(Convolutional(2))
    batch = rows(questions(1))
    many = batch.take(torch.zeros(4000, dtype=torch.int64))
    many = replace(many, seeds=torch.arange(4000))
    index = torch.full((4000,), 7)
    twin = q_sample(net.schedule, many.x, index, noise(many, SHAPE, "start"))
    walks = dime_x.Walks(twin, twin, index, torch.zeros(4000), torch.zeros(4000))
    _, _, after, _ = dime_x.twin_step(net, many, walks, noise(many, SHAPE, "step", 0, 7), None, own())
    signal, spread = net.schedule.signal(6, after), net.schedule.noise(6, after)
    assert torch.allclose(after.mean(0), signal * batch.x[0], atol=5 * float(spread) / 4000**0.5)
    assert after.var(0).mean().sqrt().item() == pytest.approx(float(spread), rel=0.01)


def test_a_linear_world_has_a_closed_form():
    # Gaussian images: every mean is a_i z + const, so the walks differ by -sum_i (prod_{j<i} a_j) var_i g_i.
    net = networks()
    net = replace(net, denoise=net.unclipped)
    batch = rows(questions(3, attributes=("right",)))
    schedule, free = net.schedule, own(l1_loss=0.0)
    index = torch.full((3,), 11)
    twin = q_sample(schedule, batch.x, index, noise(batch, SHAPE, "start"))
    state = twin.clone()
    for step in range(11, -1, -1):
        _, state, twin, _ = dime_x.twin_step(
            net,
            batch,
            dime_x.Walks(state, twin, torch.full((3,), step), torch.full((3,), 0.5), torch.full((3,), 1e9)),
            noise(batch, SHAPE, "step", 0, step),
            None,
            free,
        )
    slope = schedule.posterior_weight_clean * schedule.alphas_bar.sqrt() + schedule.posterior_weight_noisy
    variance = schedule.posterior_log_variance.exp()
    shift = sum(variance[i] / schedule.alphas_bar[i].sqrt() * slope[:i].prod() for i in range(12))
    direction = (2.0 * batch.target - 1.0)[:, None] * Linear().weight[0]
    inside = (state.abs() < 1.0).flatten(1)
    expected = 0.5 * shift * direction.double()
    assert torch.allclose((state - batch.x).flatten(1).double()[inside], expected[inside], atol=1e-4)


def test_tiles_stay_full_and_only_running_images_are_counted():
    net, calls = counted(networks(Convolutional(2)))
    _, _, columns = dime_x.explain(questions(10), net, own(), 4)
    # Both walks at once.
    assert all(len(indices) == 8 for indices in calls)
    # All but the last tiles are full: every row of them is counted.
    assert (
        8 * len(calls) >= columns["network_calls"].sum() > 8 * len(calls) - 4 * columns["network_calls"].max()
    )


def test_an_image_that_has_flipped_with_a_margin_stops_early():
    net, calls = counted(networks())
    _, _, eager = dime_x.explain(questions(6), net, own(classifier_scale=20.0), 2)
    assert eager["reached"].all()
    assert (eager["network_calls"] < 24).all()
    _, _, patient = dime_x.explain(questions(6), net, own(classifier_scale=20.0, stop_step=0), 2)
    assert (patient["network_calls"] == 24).all()


def test_the_margin_holds_where_the_walk_reached_it():
    net, batch = networks(), questions(8, attributes=("right", "bottom"))
    images, _, columns = dime_x.explain(batch, net, own(margin=1.0, classifier_scale=20.0), 4)
    assert columns["reached"].all()
    before = Linear()(torch.from_numpy(batch.images).float() / 127.5 - 1.0)
    after = Linear()(torch.from_numpy(images).float() / 127.5 - 1.0)
    for i, name in enumerate(batch.attribute):
        column = ("right", "bottom").index(name)
        lead = after[i, column] * (-1.0 if before[i, column] > 0 else 1.0)
        assert lead > 0


def test_a_class_is_required_as_confidently_as_the_one_that_it_replaces():
    net, batch = networks(), rows(questions(9, attributes=("right", "third", "bottom")))
    batch = replace(batch, x=5.0 * batch.x)
    logits = Linear()(batch.x)[:, 2:]
    best = logits.argmax(1, keepdim=True)
    others = logits.scatter(1, best, -torch.inf).logsumexp(1)
    odds = logits.gather(1, best)[:, 0] - others
    expected = torch.where(batch.column < 0, 1.5 * odds, 0.0).clamp(min=0.5)
    assert (expected > 0.5).any()
    found = dime_x.required(net, batch, own(margin=0.5, confidence=1.5), (4,))
    assert torch.allclose(found, expected)
    assert torch.equal(dime_x.required(net, batch, own(margin=0.5), (4,)), torch.full((9,), 0.5))


def test_answers_have_the_log_odds_of_the_decision_that_they_replace():
    net, batch = networks(), questions(6, attributes=("third",))
    batch = replace(batch, target=np.array([1, 2] * 3))
    batch.images[:, :, :3] = 180
    images, _, columns = dime_x.explain(
        batch, net, own(margin=0.1, confidence=1.0, classifier_scale=20.0, shrink=1), 4
    )
    assert columns["reached"].all()

    def odds(images, target):
        logits = Linear()(torch.from_numpy(images).float() / 127.5 - 1.0)[:, 2:]
        own = logits.gather(1, target[:, None])
        return (own - logits.scatter(1, target[:, None], -torch.inf).logsumexp(1, keepdim=True))[:, 0]

    decided = Linear()(torch.from_numpy(batch.images).float() / 127.5 - 1.0)[:, 2:].argmax(1)
    before, after = odds(batch.images, decided), odds(images, torch.from_numpy(batch.target))
    assert (before > 1.0).all()
    assert (after > before - 0.05).all()


def test_the_noise_of_the_copies_is_new_in_every_step():
    seen = []

    class Watched(Linear):
        def forward(self, x):
            seen.append(x.detach().clone())
            return super().forward(x)

    net = networks(classifier=Classifier(Watched()))
    dime_x.explain(questions(1, attributes=("right",)), net, own(copies=3, restarts=0, margin=99.0), 1)
    # Each step evaluates the clean image and its three copies, then the image that is shown.
    steps = [torch.stack(seen[first + 1 : first + 4]) - seen[first] for first in range(2, 2 + 5 * 12, 5)]
    added = torch.stack(steps)
    assert added.std().item() == pytest.approx(0.1, rel=0.1)
    between = torch.corrcoef(added.reshape(36, -1))
    assert (between - torch.eye(36)).abs().max() < 0.6


def test_a_harder_pull_takes_the_place_of_more_walks():
    net, batch = networks(), questions(6, attributes=("right",))
    weak = own(classifier_scale=0.5, boost=1.0, restarts=0)
    assert not dime_x.explain(batch, net, weak, 3)[2]["reached"].all()
    assert dime_x.explain(batch, net, own(classifier_scale=0.5, boost=1.8, restarts=0), 3)[2]["reached"].all()


def test_a_walk_without_a_flip_is_repeated_from_nearer():
    net, calls = counted(networks())
    batch = questions(1, attributes=("right",))
    _, _, columns = dime_x.explain(batch, net, own(classifier_scale=-30.0, boost=1.0, restarts=2), 1)
    assert not columns["reached"].any()
    assert np.isnan(columns["scale"]).all()
    walked = [index[0] for index in calls]
    assert walked == [*range(11, -1, -1), *range(5, -1, -1), *range(5, -1, -1)]
    assert columns["network_calls"].tolist() == [48.0]


def test_a_region_confines_the_change():
    batch = questions(4, attributes=("right",))
    confined, _, _ = dime_x.explain(batch, networks(Convolutional(2)), own(threshold=0.9), 4)
    assert 0 < (confined != batch.images).mean() < 0.5


def test_the_nearest_that_leads_by_enough_by_hand():
    net, batch = networks(), rows(questions(3, attributes=("right",)))
    x = torch.full((3, *SHAPE), 0.0)
    x[..., :4] = 0.4  # logit -0.25 * 32 * 0.4 = -3.2
    far = x.clone()
    far[..., :4], far[..., 4:] = -0.4, 0.4  # logit 6.4, so 3.2 lies at 2/3 of the way and 0 at 1/3
    batch = replace(batch, x=x, target=torch.ones(3, dtype=torch.int64))
    best, flipped = dime_x.nearest(net, batch, far, 12, 3.1)
    assert flipped.all()
    assert torch.equal(best, to_bytes(torch.lerp(x, far, 8 / 12)))
    # No point reaches the margin: the end.
    best, flipped = dime_x.nearest(net, batch, far, 12, 9.0)
    assert torch.equal(best, to_bytes(far))
    # Never flipped.
    best, flipped = dime_x.nearest(net, batch, x, 12, 1.0)
    assert torch.equal(best, to_bytes(x))
    assert not flipped.any()
    assert (leads(net, batch, best) < 0).all()
