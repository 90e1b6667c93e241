"""LPIPS: the squared distance between embeddings equals the value of the package."""

import numpy as np
import pytest
import torch

from counterfactory.core.errors import UserError
from counterfactory.metrics.inputs import load_suite
from counterfactory.metrics.lpips import embed, first_questions, lpips_distance, lpips_scores
from counterfactory.pretrained import lpips as lpips_weights
from counterfactory.pretrained.lpips import REFERENCE, fetch_lpips, load_lpips, reference_distance


@pytest.fixture(scope="module")
def model():
    """An AlexNet with random weights and the heads of the package."""
    bare = lpips_weights._bare("alex")
    generator = torch.Generator().manual_seed(0)
    trunk = []
    for module in bare.net.modules():
        if isinstance(module, torch.nn.Conv2d):
            size = module.weight.shape
            weight = torch.randn(size, generator=generator) / (size[1] * size[2] * size[3]) ** 0.5
            trunk.append((weight, 0.1 * torch.randn(size[0], generator=generator)))
    bare.load_state_dict(lpips_weights._state(bare, trunk, lpips_weights._heads("alex")), assign=True)
    return bare.eval().requires_grad_(False)


def package_distance(model, first, second):
    first, second = (
        torch.from_numpy(x).float().div(127.5).sub(1).expand(-1, 3, -1, -1) for x in (first, second)
    )
    with torch.inference_mode():
        return model(first, second).flatten().numpy()


def images(count, channels=1, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, channels, 32, 32), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_equals_the_package(model, channels):
    first, second = images(5, channels), images(5, channels, seed=1)
    expected = package_distance(model, first, second)
    np.testing.assert_allclose(lpips_distance(model, first, second), expected, rtol=1e-4)
    near = first ^ 1
    np.testing.assert_allclose(
        lpips_distance(model, first, near), package_distance(model, first, near), rtol=1e-3
    )


def test_references_are_shared_without_mixing(model, monkeypatch):
    monkeypatch.setattr("counterfactory.metrics.lpips.BATCH", 2)
    answers, references = images(9), images(5, seed=1)[[4, 0, 4, 1, 2, 3, 0, 4, 2]]
    expected = package_distance(model, answers, references)
    np.testing.assert_allclose(lpips_distance(model, answers, references), expected, rtol=1e-4)


def test_identical_images_have_distance_0_and_are_not_embedded(model, monkeypatch):
    same = images(4)
    calls = []
    monkeypatch.setattr(
        "counterfactory.metrics.lpips.embed", lambda m, x: calls.append(len(x)) or embed(m, x)
    )
    assert lpips_distance(model, same, same.copy()).tolist() == [0.0] * 4 and not calls
    other = same.copy()
    other[2, 0, 5, 5] ^= 128
    distances = lpips_distance(model, same, other)
    assert distances[2] > 0 and distances[[0, 1, 3]].tolist() == [0.0] * 3 and calls == [1, 1]


def test_the_first_questions_of_each_set_are_scored(place, model):
    kinds = [
        ("thickness", "marginal"),
        ("thickness", "other_bin"),
        ("thickness", "marginal"),
        ("digit", "marginal"),
    ]
    rows = [
        {"intervention": i, "protocol": p, "steps": [{i: 2}], "index": n % 6}
        for n, (i, p) in enumerate(kinds * 2)
    ]
    questions = place.write_questions("do", rows)
    truth = place.write_answers("truth", questions, place.images[questions["index"]])
    answers = place.write_answers("shift", questions, place.images[questions["index"]] + np.uint8(20))
    answered = load_suite("do", place.data, place.questions["do"], answers, truth)
    assert first_questions(answered.questions, 1).tolist() == [0, 1, 3]
    assert first_questions(answered.questions, 2).tolist() == [0, 1, 2, 3, 5, 7]
    (score,) = lpips_scores(answered, model, 2)
    assert score.metric == "truth_lpips" and score.rows.tolist() == [0, 1, 2, 3, 5, 7]
    assert np.isnan(score.values).tolist() == [
        False,
        False,
        False,
        True,
        False,
        True,
    ]  # no truth under do(digit)


def test_null_interventions_are_compared_with_the_factual_image(place, model):
    questions = place.write_questions("null", [{}, {"cycles": 10}])
    answers = place.write_answers("partly", questions, np.stack([place.images[0], place.images[1] // 2]))
    (score,) = lpips_scores(load_suite("null", place.data, place.questions["null"], answers), model, 5)
    assert score.metric == "lpips" and score.values[0] == 0.0 < score.values[1]


def test_weights_are_written_and_read(model, tmp_path, monkeypatch):
    trunk = [(m.weight, m.bias) for m in model.net.modules() if isinstance(m, torch.nn.Conv2d)]
    monkeypatch.setattr(lpips_weights, "_trunk", lambda net, source: (trunk, "test"))
    with pytest.raises(UserError, match="on the reference pair"):
        fetch_lpips("alex", "auto", tmp_path / "refused")
    assert not (tmp_path / "refused").exists()
    monkeypatch.setitem(REFERENCE, "alex", reference_distance(model))
    fetch_lpips("alex", "auto", tmp_path / "kept")
    assert reference_distance(load_lpips(tmp_path / "kept")) == reference_distance(model)


def test_weights_that_were_not_fetched(tmp_path):
    with pytest.raises(UserError, match="fetch them first"):
        load_lpips(tmp_path)


def test_a_missing_source_is_a_one_line_error(tmp_path, monkeypatch):
    def fail(net):
        raise UserError("out of reach")

    monkeypatch.setattr(lpips_weights, "_from_torchvision", fail)
    monkeypatch.setattr(lpips_weights, "_from_package", fail)
    with pytest.raises(UserError, match="remove lpips from scores.metrics") as caught:
        fetch_lpips("vgg", "auto", tmp_path)
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="did you mean 'package'"):
        fetch_lpips("vgg", "pakage", tmp_path)
    with pytest.raises(UserError, match="choose one of alex, vgg"):
        fetch_lpips("squeeze", "auto", tmp_path)
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    with pytest.raises(UserError, match="broken.pth: not a checkpoint"):
        fetch_lpips("vgg", str(tmp_path / "broken.pth"), tmp_path)
    (tmp_path / "broken.tar.gz").write_bytes(b"no archive")
    with pytest.raises(UserError, match="cannot be read"):
        fetch_lpips("vgg", str(tmp_path / "broken.tar.gz"), tmp_path)


@pytest.mark.slow
@pytest.mark.network
def test_the_package_gives_the_known_distance(tmp_path):
    fetch_lpips("alex", "package", tmp_path)
    assert reference_distance(load_lpips(tmp_path)) == pytest.approx(REFERENCE["alex"], abs=1e-5)
