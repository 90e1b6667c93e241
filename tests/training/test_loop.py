"""The training loop: schedules, batches and updates in closed form, saved weights, and errors."""

import itertools
import json
import math

import pytest
import torch
from safetensors.torch import load_file

from counterfactory.core.checkpoint import load_model
from counterfactory.core.device import arithmetic, choose_device
from counterfactory.core.errors import UserError
from counterfactory.training.batches import rows_of_batch
from counterfactory.training.loop import Fit, fit
from counterfactory.training.optimizers import learning_rate
from tests.training.toys import Network, Weights, drifting, images, log, noisy_loss, settings, train

# --- schedules


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_learning_rate(schedule):
    given = settings(steps=40, warmup=8, learning_rate=0.3, schedule=schedule)
    for step in range(40):
        expected = 0.3 * min(1, (step + 1) / 8)
        if schedule == "cosine":
            expected *= math.cos(math.pi * step / 40 / 2) ** 2
        assert learning_rate(step, given) == pytest.approx(expected)
    assert learning_rate(0, settings(warmup=0)) == 0.1


def test_the_log_tells_the_learning_rate(tmp_path):
    train(tmp_path, warmup=3, schedule="cosine")
    given = settings(warmup=3, schedule="cosine")
    assert [float(row["learning_rate"]) for row in log(tmp_path)] == [
        learning_rate(s, given) for s in (1, 3, 5)
    ]


# --- batches


def test_batches_are_a_permutation_an_epoch(tmp_path):
    seen = []

    def loss(model, batch, generator, progress):
        if model.training:
            seen.append(batch["row"].tolist())
        return noisy_loss(model, batch, generator, progress)

    train(tmp_path, loss=loss, data=images(12), steps=9)
    epochs = [sum(seen[start : start + 3], []) for start in (0, 3, 6)]
    assert all(sorted(epoch) == list(range(12)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 3
    # The remaining image is dropped; it differs from epoch to epoch.
    seen.clear()
    train(tmp_path / "odd", loss=loss, data=images(13), steps=9)
    epochs = [sum(seen[start : start + 3], []) for start in (0, 3, 6)]
    assert all(len(set(epoch)) == 12 for epoch in epochs)
    assert len({min(set(range(13)) - set(epoch)) for epoch in epochs}) > 1


def test_progress_and_noise_are_functions_of_the_step(tmp_path):
    seen = {}

    def loss(model, batch, generator, progress):
        if model.training:
            seen[progress] = torch.randn(2, generator=generator).tolist()
        else:
            assert progress == 1.0
        return noisy_loss(model, batch, generator, progress)

    train(tmp_path / "a", loss=loss)
    first = dict(seen)
    assert list(first) == [step / 6 for step in range(6)]
    assert len({tuple(noise) for noise in first.values()}) == 6
    train(tmp_path / "b", loss=loss)
    assert seen == first
    train(tmp_path / "c", loss=loss, seed=6)
    assert all(seen[progress] != noise for progress, noise in first.items())


def test_validation_is_the_mean_over_images(tmp_path):
    def loss(model, batch, generator, progress):
        error = (model.w.sum() - batch["x"].mean((1, 2, 3))) ** 2
        return error.mean(), {"largest": batch["row"].float().mean()}

    valid = images(10)
    model = train(tmp_path, Weights(), loss, valid=valid, steps=2)
    (row,) = log(tmp_path)
    # Batches of 4, 4 and 2: the last one must not count double.
    expected = ((model.w.sum() - valid["x"].mean((1, 2, 3))) ** 2).mean()
    assert float(row["valid_loss"]) == pytest.approx(expected.item(), rel=1e-5)
    assert float(row["valid_largest"]) == pytest.approx(4.5)


# --- updates


def rows_as_gradients(model, batch, generator, progress):
    value = (model.w * batch["g"].mean(0)).sum()
    return value, {}


def test_clipping_scales_gradients_down_to_the_norm(tmp_path):
    g = torch.randn(12, 3, generator=torch.Generator().manual_seed(0)) * torch.logspace(-2, 2, 12)[:, None]
    norms = g.norm(dim=1, keepdim=True)
    assert (norms > 1).any() and (norms < 1).any()
    short = {"batch_size": 1, "steps": 12, "betas": (0.5, 0.9), "valid_every": 12}
    clipped, scaled, free = (
        train(tmp_path / name, Weights(), rows_as_gradients, {"g": data}, {"g": data}, clip=clip, **short).w
        for name, data, clip in (
            ("clipped", g, 1.0),
            ("scaled", g / norms.clamp(min=1.0), 1e9),
            ("free", g, 1e9),
        )
    )
    torch.testing.assert_close(clipped, scaled, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(clipped, free, atol=1e-2)


@pytest.mark.parametrize("bad", [1e3, math.inf, math.nan])
def test_updates_of_bad_gradients_are_skipped(tmp_path, bad):
    g = torch.full((8, 3), 0.1)
    spoiled = torch.cat([g, torch.full((4, 3), bad)])
    # An epoch without the bad rows must end with the same weights, because all good rows are equal.
    short = {"batch_size": 1, "valid": {"g": g}, "seed": 5, "skip": 100.0, "valid_every": 12}
    one = train(tmp_path / "a", Weights(), rows_as_gradients, {"g": spoiled}, steps=12, **short)
    other = train(tmp_path / "b", Weights(), rows_as_gradients, {"g": g}, steps=8, **short)
    torch.testing.assert_close(one.w, other.w)
    assert json.loads((tmp_path / "a" / "model.json").read_text())["training"]["skipped"] == 4
    assert json.loads((tmp_path / "b" / "model.json").read_text())["training"]["skipped"] == 0


@pytest.mark.parametrize("schedule", ["constant", "cosine"])
def test_updates_are_those_of_adamw(tmp_path, schedule):
    g = torch.randn(8, 3, generator=torch.Generator().manual_seed(0))
    given = {"batch_size": 1, "steps": 8, "valid_every": 8, "weight_decay": 0.2, "betas": (0.7, 0.8)}
    found = train(tmp_path, Weights(), rows_as_gradients, {"g": g}, {"g": g}, schedule=schedule, **given).w
    w, m, v = Weights().w.detach().double(), torch.zeros(3), torch.zeros(3)
    for step in range(8):
        rate = learning_rate(step, settings(schedule=schedule, steps=8))
        gradient = g[rows_of_batch(8, 1, 5, step).item()]
        m, v = 0.7 * m + 0.3 * gradient, 0.8 * v + 0.2 * gradient**2
        w = w * (1 - rate * 0.2)
        w = w - rate * (m / (1 - 0.7 ** (step + 1))) / ((v / (1 - 0.8 ** (step + 1))).sqrt() + 1e-8)
    torch.testing.assert_close(found.double(), w, rtol=1e-5, atol=1e-5)


# --- saved weights


def test_the_best_validated_weights_are_kept_and_patience_ends_the_run(tmp_path):
    model = train(tmp_path, Weights(), drifting, steps=40, patience=3)
    rows = log(tmp_path)
    assert [int(row["step"]) for row in rows] == [2, 4, 6, 8]
    assert sorted(rows, key=lambda row: float(row["valid_loss"]))[0] == rows[0]
    saved = load_file(tmp_path / "model.safetensors")["w"]
    assert torch.equal(saved, model.w)
    assert saved.sum().item() == pytest.approx(float(rows[0]["valid_loss"]))
    training = json.loads((tmp_path / "model.json").read_text())["training"]
    assert (training["step"], training["best_step"]) == (8, 2)
    assert training["best"] == pytest.approx(float(rows[0]["valid_loss"]))


def test_patience_counts_validations_since_the_last_gain(tmp_path):
    losses = iter([5.0, 6.0, 6.0, 4.0, 6.0, 4.0, 6.0, 1.0])

    def loss(model, batch, generator, progress):
        return model.w.sum() * 0 + (0.0 if model.training else next(losses)), {}

    train(tmp_path, Weights(), loss, valid=images(4), steps=40, patience=3)
    assert [float(row["valid_loss"]) for row in log(tmp_path)] == [5, 6, 6, 4, 6, 4, 6]
    training = json.loads((tmp_path / "model.json").read_text())["training"]
    assert (training["best_step"], training["best"]) == (8, 4.0)


def test_without_patience_all_steps_are_made(tmp_path):
    train(tmp_path, Weights(), drifting, steps=9)
    assert [int(row["step"]) for row in log(tmp_path)] == [2, 4, 6, 8, 9]


def test_what_is_kept_is_the_average(tmp_path):
    g = {"g": torch.randn(12, 3, generator=torch.Generator().manual_seed(0))}
    weights = {}
    for count, decay in itertools.product(range(1, 6), (0.0, 0.9)):
        short = {"batch_size": 1, "steps": count, "valid_every": count, "ema": decay}
        model = train(tmp_path / f"{decay}-{count}", Weights(), rows_as_gradients, g, g, **short)
        weights[count, decay] = model.w.detach()
    average = Weights().w.detach()
    for step in range(5):
        decay = min(0.9, (1 + step) / (10 + step))
        average = decay * average + (1 - decay) * weights[step + 1, 0.0]
        torch.testing.assert_close(weights[step + 1, 0.9], average)


def test_checkpoint_says_what_made_it(tmp_path):
    model = train(tmp_path)
    assert not model.training
    state, meta = load_model(tmp_path)
    assert {"model", "settings", "seed", "training"} <= meta.keys()
    assert meta["model"] == "toy" and meta["seed"] == 5
    assert meta["settings"] == json.loads(settings().model_dump_json())
    fresh = Network().eval()
    fresh.load_state_dict(state)
    assert torch.equal(fresh(images()["x"]), model(images()["x"]))

    def refuse(text: str) -> None:
        raise AssertionError(f"{text} is not JSON")

    json.loads((tmp_path / "model.json").read_text(), parse_constant=refuse)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "log.csv",
        "model.json",
        "model.safetensors",
        "tensorboard",
    ]


def test_transient_weights_are_not_written(tmp_path):
    model = Network()
    fit(model, noisy_loss, images(), images(5), settings(), Fit(tmp_path, 0, transient="layers.0."))
    kept = load_file(tmp_path / "model.safetensors").keys()
    assert set(model.state_dict()) - set(kept) == {"layers.0.weight", "layers.0.bias"}


def test_bfloat16(tmp_path):
    train(tmp_path, precision="bfloat16")
    assert {tensor.dtype for tensor in load_file(tmp_path / "model.safetensors").values()} <= {
        torch.float32,
        torch.int64,
    }
    assert all(math.isfinite(float(row["valid_loss"])) for row in log(tmp_path))


# --- errors


def test_a_loss_that_is_never_a_number_is_refused(tmp_path):
    calls = []

    def loss(model, batch, generator, progress):
        calls.append(model.training)
        return model.w.sum() * math.nan, {}

    with pytest.raises(
        UserError, match=r"toy: 100 consecutive updates were skipped .*lower learning_rate"
    ) as error:
        train(tmp_path, Weights(), loss, steps=500, valid_every=500)
    assert "\n" not in str(error.value)
    assert calls == [True] * 100
    assert not (tmp_path / "model.safetensors").exists()


def test_now_and_then_a_bad_batch_is_no_reason_to_stop(tmp_path):
    def loss(model, batch, generator, progress):
        bad = model.training and round(progress * 300) % 99
        return model.w.sum() * (math.nan if bad else 1.0), {}

    train(tmp_path, Weights(), loss, steps=300, valid_every=300)
    assert json.loads((tmp_path / "model.json").read_text())["training"]["skipped"] == 300 - 4


def test_a_validation_that_is_never_a_number_is_refused(tmp_path):
    def loss(model, batch, generator, progress):
        return model.w.sum() * (1.0 if model.training else math.nan), {}

    with pytest.raises(UserError, match="toy: the validation loss was never finite"):
        train(tmp_path, Weights(), loss)
    assert not (tmp_path / "model.safetensors").exists()


def test_a_batch_larger_than_the_split_is_refused(tmp_path):
    with pytest.raises(UserError, match="training.batch_size: 14 is more than the 13 images"):
        train(tmp_path, batch_size=14)


def test_devices():
    assert choose_device("cpu") == "cpu"
    if torch.cuda.is_available():
        assert choose_device("auto") == choose_device("cuda") == "cuda"
    else:
        assert choose_device("auto") == "cpu"
        with pytest.raises(UserError, match="device: cuda"):
            choose_device("cuda")


def test_arithmetic():
    assert arithmetic("float32", "cpu") == torch.float32
    assert arithmetic("bfloat16", "cpu") == torch.bfloat16
    assert arithmetic("auto", "cpu") in (torch.float32, torch.bfloat16)
