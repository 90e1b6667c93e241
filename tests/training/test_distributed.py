"""Several processes, one model: the same weights as one process with the same batches."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from toys import Network, Weights, images, log, settings

from counterfactory.errors import UserError
from counterfactory.training.distributed import average_gradients, launch, rank, world_size
from counterfactory.training.loop import fit


def quiet_loss(model, batch, generator, progress):
    """Without noise, and a mean over images, as the mean of gradients over processes supposes."""
    error = (model(batch["x"]).flatten(1).sum(1) - batch["x"].sum((1, 2, 3)) * (1 + progress)) ** 2
    return error.mean(), {}


def step(out: Path, batch_size: int, device: str) -> None:
    """What every process does (at the top level, since it is sent to the others by name)."""
    model = Network()
    model.layers[1] = nn.Identity()  # batch normalisation would see only its own process's images
    given = settings(steps=5, batch_size=batch_size, learning_rate=1e-2, ema=0.5, valid_every=5)
    fit(model, quiet_loss, images(), images(5, seed=1), given, out, 3, device)


def test_two_processes_train_as_one(tmp_path):
    launch(step, tmp_path / "one", 4, device="cpu")
    launch(step, tmp_path / "two", 4, device="cpu", processes=2)
    one, two = (load_file(tmp_path / name / "model.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    start = Network().state_dict()
    assert (one["layers.0.weight"] - start["layers.0.weight"]).abs().min() > 1e-3
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=0, atol=1e-6)
    for first, second in zip(log(tmp_path / "one"), log(tmp_path / "two"), strict=True):
        assert float(first["valid_loss"]) == pytest.approx(float(second["valid_loss"]), rel=1e-5)
    assert json.loads((tmp_path / "two" / "model.json").read_text())["training"]["step"] == 5


def test_a_mistake_in_a_process_is_told_in_one_line(tmp_path):
    with pytest.raises(
        UserError, match="^training.batch_size: 5 cannot be shared evenly by 2 processes; .*$"
    ):
        launch(step, tmp_path, 5, device="cpu", processes=2)


def test_alone(tmp_path):
    assert (rank(), world_size()) == (0, 1)
    model = Weights()
    model.w.sum().backward()
    average_gradients(model)
    assert (model.w.grad == 1).all()
