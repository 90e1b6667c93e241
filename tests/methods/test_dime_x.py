"""DIME-X: no image waits for another nor depends on one, it stops early, pulls harder, and ends near the image."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from counterfactory.methods import dime_x
from counterfactory.methods.explainer import as_bytes, leads
from explained import SHAPE, Convolutional, Linear, networks, questions, rows, settings, some


def own(**changes):
    return settings(
        **{
            "classifier_scale": 4.0,
            "boost": 1.3,
            "margin": 0.5,
            "sampling": 1.0,
            "stop_step": 8,
            "restart_step": 6,
            "restarts": 2,
            "copies": 2,
            "jitter": 0.1,
            "shrink": 8,
            "threshold": 0.3,
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
    whole, _, columns = dime_x.explain(batch, net, own(), size)
    assert len(np.unique(columns["network_calls"])) > 1
    for which in ([0], [9, 2], [1, 3, 5, 7, 8], list(range(6))):
        part, _, few = dime_x.explain(some(batch, which), net, own(), size)
        assert part.tobytes() == whole[which].tobytes()
        for name, values in few.items():
            np.testing.assert_array_equal(values, columns[name][which])


def test_tiles_stay_full_and_only_running_images_are_counted():
    net, calls = counted(networks(Convolutional(2)))
    _, _, columns = dime_x.explain(questions(10), net, own(), 4)
    assert all(len(indices) == 4 for indices in calls)
    # All but the last tiles are full: every row of them is counted.
    assert (
        4 * len(calls) >= columns["network_calls"].sum() > 4 * len(calls) - 4 * columns["network_calls"].max()
    )


def test_an_image_that_has_flipped_with_a_margin_stops_early():
    net, calls = counted(networks())
    _, _, eager = dime_x.explain(questions(6), net, own(classifier_scale=60.0, stop_step=11), 2)
    assert eager["reached"].all()
    assert (eager["network_calls"] < 12).all()
    _, _, patient = dime_x.explain(questions(6), net, own(classifier_scale=60.0, stop_step=0), 2)
    assert (patient["network_calls"] == 12).all()


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
    assert columns["network_calls"].tolist() == [24.0]


def test_nothing_changes_outside_of_the_region():
    net, batch = networks(), questions(4)
    images, _, _ = dime_x.explain(batch, net, own(threshold=0.95, classifier_scale=20.0), 4)
    assert (images == batch.images).mean() > 0.5
    assert (images != batch.images).any()


def test_the_nearest_that_leads_by_enough_by_hand():
    net, batch = networks(), rows(questions(3, attributes=("right",)))
    x = torch.full((3, *SHAPE), 0.0)
    x[..., :4] = 0.4  # logit -0.25 * 32 * 0.4 = -3.2
    far = x.clone()
    far[..., :4], far[..., 4:] = -0.4, 0.4  # logit 6.4, so 3.2 lies at 2/3 of the way and 0 at 1/3
    batch = replace(batch, x=x, target=torch.ones(3, dtype=torch.int64))
    best, flipped = dime_x.nearest(net, batch, far, 12, 3.1)
    assert flipped.all()
    assert torch.equal(best, as_bytes(torch.lerp(x, far, 8 / 12)))
    # Nowhere far enough: the end, if it has flipped.
    best, flipped = dime_x.nearest(net, batch, far, 12, 9.0)
    assert torch.equal(best, as_bytes(far))
    # Never flipped.
    best, flipped = dime_x.nearest(net, batch, x, 12, 1.0)
    assert torch.equal(best, as_bytes(x))
    assert not flipped.any()
    assert (leads(net, batch, best) < 0).all()
