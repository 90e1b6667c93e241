"""The common part of the explainers: log odds, the gradient by hand, targets, and the size of tiles."""

from dataclasses import replace

import pytest
import torch

from counterfactory.core.errors import UserError
from counterfactory.methods.explainer import read_batch, tile_sizes
from counterfactory.methods.guidance import State, decisions, gradient, log_odds, margin
from counterfactory.methods.tiles import largest
from tests.explained import SHAPE, Classifier, Convolutional, Linear, networks, questions, rows, settings


def test_log_odds_are_those_of_sigmoid_and_softmax():
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(0))
    column = torch.tensor([0, 1, 1, -1, -1, -1])
    target = torch.tensor([1, 1, 0, 0, 1, 2])
    share = torch.sigmoid(log_odds(logits, column, target, 2, [3]))
    binary = torch.sigmoid(logits[:, :2])
    classes = torch.softmax(logits[:, 2:], 1)
    expected = [binary[0, 0], binary[1, 1], 1 - binary[2, 1], *(classes[3 + k, k] for k in range(3))]
    assert torch.allclose(share, torch.stack(expected))
    said = margin(logits, column, target, 2, [3]) > 0
    wanted = [binary[0, 0] > 0.5, binary[1, 1] > 0.5, binary[2, 1] <= 0.5]
    assert said[:3].tolist() == wanted
    assert said[3:].tolist() == [int(classes[3 + k].argmax()) == k for k in range(3)]


def test_each_categorical_variable_has_a_softmax_of_its_own():
    """Logits: one attribute, three classes of the first variable and two of the second."""
    logits = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
    column, target = torch.tensor([0, -1, -1, -2, -2]), torch.tensor([1, 0, 2, 0, 1])
    share = torch.sigmoid(log_odds(logits, column, target, 1, [3, 2]))
    first, second = torch.softmax(logits[:, 1:4], 1), torch.softmax(logits[:, 4:], 1)
    expected = [torch.sigmoid(logits[0, 0]), first[1, 0], first[2, 2], second[3, 0], second[4, 1]]
    assert torch.allclose(share, torch.stack(expected))
    leading = margin(logits, column, target, 1, [3, 2]) > 0
    assert leading[1:3].tolist() == [int(first[1].argmax()) == 0, int(first[2].argmax()) == 2]
    assert leading[3:].tolist() == [int(second[3].argmax()) == 0, int(second[4].argmax()) == 1]
    # The softmax of one variable is unchanged by the logits of the other.
    moved = logits.clone()
    moved[:, 4:] += 5.0
    assert torch.equal(
        log_odds(moved, column, target, 1, [3, 2])[:3], log_odds(logits, column, target, 1, [3, 2])[:3]
    )


def test_decisions_are_signs_of_attributes_and_largest_logits_of_a_variable():
    logits = torch.randn(8, 6, generator=torch.Generator().manual_seed(2))
    column = torch.tensor([0, -1, -1, -2, -2, 0, -1, -2])
    decided = decisions(logits, column, 1, [3, 2])
    largest = {-1: logits[:, 1:4].argmax(1), -2: logits[:, 4:].argmax(1), 0: (logits[:, 0] > 0).long()}
    assert decided.tolist() == [int(largest[int(column[i])][i]) for i in range(8)]
    # The classifier predicts what it decided: its margin is positive.
    assert (margin(logits, column, decided, 1, [3, 2]) > 0).all()
    assert torch.equal(decisions(logits[:, 1:4], torch.full((8,), -1), 0, [3]), largest[-1])


def test_a_class_may_lead_with_less_than_half():
    logits = torch.log(torch.tensor([[0.4, 0.3, 0.3]]))
    column, target = torch.tensor([-1]), torch.tensor([0])
    assert log_odds(logits, column, target, 0, [3]) < 0 < margin(logits, column, target, 0, [3])


@pytest.mark.parametrize("use_logits", [True, False])
@pytest.mark.parametrize("scale_grads", [True, False])
def test_the_gradient_by_hand(use_logits, scale_grads):
    net = networks()
    weight = torch.randn(7, 64, generator=torch.Generator().manual_seed(3))
    net = replace(net, features=lambda x: x.flatten(1) @ weight.T)
    batch = rows(questions(4, attributes=("right",)))
    batch = replace(batch, features=net.features(batch.x))
    generator = torch.Generator().manual_seed(4)
    clean, noisy = torch.randn(2, 4, *SHAPE, generator=generator)
    index = torch.tensor([0, 3, 7, 9])
    own = settings(use_logits=use_logits, l1_loss=0.3, l2_loss=0.2, l_perc=2.0)
    found, odds = gradient(net, batch, State(clean, noisy, index, 5.0), own, scale_grads)

    side = (2.0 * batch.target - 1.0)[:, None]
    u = side * (clean.flatten(1) @ Linear().weight[0])[:, None]
    assert torch.allclose(odds, u[:, 0])
    expected = 5.0 * -(1.0 if use_logits else torch.sigmoid(-u)) * side * Linear().weight[0]
    expected = expected + 2.0 * 2.0 * ((clean - batch.x).flatten(1) @ weight.T) @ weight
    if scale_grads:
        expected = expected / net.schedule.alphas_bar[index].sqrt()[:, None].float()
    away = (noisy - batch.x).flatten(1)
    expected = expected + 0.3 * away.sign() + 0.2 * away / away.abs()
    assert torch.allclose(found.flatten(1), expected, rtol=1e-4, atol=1e-3)


def test_images_do_not_touch_each_other():
    net = networks(classifier=Classifier(network=lambda x: Convolutional(5)(x).mean((2, 3))))
    batch = rows(questions(6))
    clean = batch.x * 0.9
    index = torch.full((6,), 4)
    whole, _ = gradient(net, batch, State(clean, batch.x, index, 5.0), settings())
    batch.x[1:] = 0.0
    clean = torch.cat([clean[:1], torch.zeros_like(clean[1:])])
    assert torch.equal(gradient(net, batch, State(clean, batch.x, index, 5.0), settings())[0][0], whole[0])


def test_the_target_is_one_minus_what_the_classifier_says_or_the_class_asked_for():
    batch = questions(9)
    found, answered = read_batch(batch, networks(), 4)
    said = (Linear()(found.x) > 0).long()
    assert answered.all()
    for i, name in enumerate(batch.attribute):
        if name == "third":
            assert found.target[i] == batch.target[i]
            assert found.column[i] == -1
        else:
            assert found.target[i] == 1 - said[i, ("right", "bottom").index(name)]


def test_an_attribute_that_the_classifier_does_not_know_is_refused():
    with pytest.raises(
        UserError, match=r"flip.attributes: long: the classifier predicts right, bottom, third only"
    ):
        read_batch(questions(2, attributes=("long",)), networks(), 4)


def test_rows_are_run_one_by_one_where_the_place_matters():
    assert largest(tile_sizes(networks(Convolutional(2)), settings(), SHAPE)) == 4
    assert tile_sizes(networks(Convolutional(2)), settings(batch_size=1), SHAPE) == (1,)
    uneven = networks(lambda z, t: z * (1 + 1e-6 * torch.arange(len(z)))[:, None, None, None], learned=False)
    assert tile_sizes(uneven, settings(), SHAPE) == (1,)
