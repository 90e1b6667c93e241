"""Trainings that are killed and resumed end with the same bits as uninterrupted ones."""

import itertools
import json
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from counterfactory.core.errors import Unfinished
from counterfactory.training import clock
from tests.training.toys import Weights, drifting, images, log, noisy_loss, train


@pytest.fixture
def hasty(monkeypatch):
    """Advances the clock quickly, so that the loop saves its state after every step."""
    monkeypatch.setattr(clock, "time", SimpleNamespace(monotonic=itertools.count(0.0, 30.0).__next__))


def interrupted(after: int):
    """A loss that is killed in the training step `after`."""
    calls = itertools.count()

    def loss(model, batch, generator, progress):
        if model.training and next(calls) == after:
            raise KeyboardInterrupt
        return noisy_loss(model, batch, generator, progress)

    return loss


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
@pytest.mark.parametrize("after", [0, 1, 4, 5, 8])
def test_a_killed_run_continues_to_the_same_bits(tmp_path, hasty, after, optimizer):
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    options = {"steps": 9, "ema": 0.5, "schedule": "cosine", "warmup": 2, "weight_decay": 0.1}
    options["optimizer"] = optimizer
    train(whole, **options)
    with pytest.raises(KeyboardInterrupt):
        train(halved, loss=interrupted(after), **options)
    assert not (halved / "model.safetensors").exists()
    assert (halved / ".state" / "state.pt").exists() == (after > 0)
    steps = []

    def counted(model, batch, generator, progress):
        steps.extend([progress] * model.training)
        return noisy_loss(model, batch, generator, progress)

    train(halved, loss=counted, **options)
    assert len(steps) == 9 - after
    assert (whole / "model.safetensors").read_bytes() == (halved / "model.safetensors").read_bytes()
    assert log(whole) == log(halved)
    scores = [json.loads((folder / "model.json").read_text()) for folder in (whole, halved)]
    for score in scores:
        del score["training"]["seconds"]
    assert scores[0] == scores[1]
    assert not (halved / ".state").exists()


def test_a_run_killed_after_its_best_keeps_its_best_and_its_patience(tmp_path, hasty):
    def killed(model, batch, generator, progress):
        if model.training and progress == 5 / 40:
            raise KeyboardInterrupt
        return drifting(model, batch, generator, progress)

    whole, halved = tmp_path / "whole", tmp_path / "halved"
    train(whole, Weights(), drifting, steps=40, patience=3)
    with pytest.raises(KeyboardInterrupt):
        train(halved, Weights(), killed, steps=40, patience=3)
    train(halved, Weights(), drifting, steps=40, patience=3)
    assert (whole / "model.safetensors").read_bytes() == (halved / "model.safetensors").read_bytes()
    assert log(whole) == log(halved)


@pytest.mark.parametrize("change", [{"seed": 6}, {"learning_rate": 0.2}, {"data": images(seed=9)}])
def test_the_state_of_another_run_is_not_continued(tmp_path, hasty, change):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", loss=interrupted(4))
    train(tmp_path / "killed", **change)
    train(tmp_path / "fresh", **change)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("killed", "fresh"))
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_a_run_killed_while_it_saved_ends_well(tmp_path, hasty):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, loss=interrupted(3))
    (tmp_path / ".state" / ".state.1234.partial.pt").write_bytes(b"half")
    train(tmp_path)
    assert not (tmp_path / ".state").exists()


def test_a_damaged_state_is_ignored_in_one_line(tmp_path, hasty, capsys):
    train(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, loss=interrupted(3))
    path = tmp_path / ".state" / "state.pt"
    for damaged in (path.read_bytes()[:-100], b"", b"no such thing"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(damaged)
        capsys.readouterr()
        train(tmp_path)
        said = [line for line in capsys.readouterr().err.splitlines() if "state.pt" in line]
        assert len(said) == 1 and said[0].endswith("; the training starts from the beginning")
        whole, again = (
            (folder / "model.safetensors").read_bytes() for folder in (tmp_path / "whole", tmp_path)
        )
        assert whole == again


def test_tensorboard_shows_every_validation_once(tmp_path, hasty):
    event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, loss=interrupted(5), steps=9)
    train(tmp_path, steps=9)
    events = event_accumulator.EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    shown = {event.step: event.value for event in events.Scalars("valid_loss")}
    assert len(events.Scalars("valid_loss")) == len(shown)
    assert shown == {
        int(row["step"]): pytest.approx(float(row["valid_loss"]), rel=1e-6) for row in log(tmp_path)
    }


def test_slices_of_time_end_with_the_same_bits_as_one_run(tmp_path, monkeypatch):
    whole, sliced = tmp_path / "whole", tmp_path / "sliced"
    options = {"steps": 30, "ema": 0.5, "schedule": "cosine", "valid_every": 7}
    train(whole, **options)
    # A time in the past: each slice ends when the clock is first checked.
    monkeypatch.setenv(clock.UNTIL, "1")
    for stop in (10, 20):
        with pytest.raises(Unfinished, match=f"stopped at step {stop} of 30; run it again"):
            train(sliced, **options)
        assert not (sliced / "model.safetensors").exists()
    # After the last step the training is complete.
    train(sliced, **options)
    assert (whole / "model.safetensors").read_bytes() == (sliced / "model.safetensors").read_bytes()
    assert log(whole) == log(sliced)
