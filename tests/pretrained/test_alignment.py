"""The alignment of faces: landmarks are mapped onto the frame, images follow, unaligned networks are unchanged."""

import numpy as np
import pytest
import torch

from counterfactory.data.celeba_entry import LANDMARKS, SIZES, landmarks
from counterfactory.pretrained.alignment import FRAME, SIZE, align, similarity
from counterfactory.pretrained.identity_networks import build_published_identity
from tests.faces import draw_face


def normalized(points, size):
    return 2.0 * (torch.tensor(points) + 0.5) / size - 1.0


def test_the_frame_itself_needs_no_alignment():
    shares = [((x + 0.5) / SIZE, (y + 0.5) / SIZE) for x, y in FRAME]
    torch.testing.assert_close(
        similarity(shares), torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]), atol=1e-6, rtol=0
    )
    images = torch.rand(2, 3, SIZE, SIZE)
    torch.testing.assert_close(align(images, similarity(shares)), images, atol=1e-4, rtol=0)


def test_a_turned_and_scaled_frame_is_found_back():
    angle, scale = 0.3, 0.6
    turn = scale * torch.tensor([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).float()
    points = normalized(FRAME, SIZE) @ turn.T + torch.tensor([0.1, -0.2])
    found = similarity(((points + 1) / 2).tolist())
    torch.testing.assert_close(found[:, :2], turn, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[:, 2], torch.tensor([0.1, -0.2]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", SIZES)
def test_landmarks_of_faces_are_near_the_frame_after_alignment(name):
    matrix = similarity(landmarks(name))
    mapped = normalized(FRAME, SIZE) @ matrix[:, :2].T + matrix[:, 2]
    wanted = 2.0 * torch.tensor(landmarks(name)) - 1.0
    # Least squares: the five points of a mean face are no exact similarity of those of the frame.
    assert (mapped - wanted).norm(dim=1).max() < 0.08


def test_eyes_of_a_drawn_face_are_at_the_eyes_of_the_frame():
    attributes = dict.fromkeys(("Bald", "Young", "No_Beard"), True)
    names = ("Eyeglasses", "Mustache", "Wearing_Lipstick", "Smiling", "Mouth_Slightly_Open", "Male")
    attributes |= dict.fromkeys((*names, "Black_Hair", "Brown_Hair", "Blond_Hair"), False)
    face = np.asarray(draw_face(attributes, np.random.default_rng(0)).crop((14, 34, 164, 184)), np.float32)
    aligned = align(torch.from_numpy(face.copy()).permute(2, 0, 1)[None], similarity(landmarks("benchmark")))[
        0
    ]
    # The whites of the eyes are the brightest of a face.
    white = (aligned.amin(0) > 215).nonzero().float()
    for x, y in FRAME[:2]:
        near = white[(white - torch.tensor([y, x])).abs().amax(1) < 15]
        assert len(near) > 10 and (near.mean(0) - torch.tensor([y, x])).norm() < 4


def test_only_mobilefacenet_aligns():
    assert len(LANDMARKS) == 5
    plain, aligned = (
        build_published_identity("mobilefacenet", one) for one in (None, landmarks("benchmark"))
    )
    assert list(plain.state_dict()) == list(aligned.state_dict())
    images = torch.rand(1, 3, 64, 64)
    assert aligned.prepare(images).shape == (1, 3, 112, 112)
    assert not torch.equal(aligned.prepare(images), plain.prepare(images))
    build_published_identity("vggface2_resnet50", landmarks("dime"))
