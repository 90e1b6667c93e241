"""Several processes, one model: the same weights as one process with the same batches."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from counterfactory.core.errors import UserError
from counterfactory.core.files import read_json, write_json
from counterfactory.training.distributed import average_gradients, launch, rank, world_size
from counterfactory.training.loop import Fit, fit
from tests.training.toys import Network, images, log, settings


def quiet_loss(model, batch, generator, progress):
    """A mean over images without noise, so that its gradient is the mean of the gradients of the processes."""
    error = (model(batch["x"]).flatten(1).sum(1) - batch["x"].sum((1, 2, 3)) * (1 + progress)) ** 2
    return error.mean(), {}


def mean_gradient(own: float) -> list[float]:
    """This process's gradients of two weights, of different shapes and one without, after averaging."""
    model = nn.Linear(2, 1)
    model.idle = nn.Parameter(torch.zeros(1))
    model.weight.grad, model.bias.grad = torch.tensor([[own, -own]]), torch.tensor([own**2])
    average_gradients(model)
    assert model.idle.grad is None
    return [*model.weight.grad[0].tolist(), *model.bias.grad.tolist()]


def step(out: Path, device: str) -> None:
    """The function that every process runs (at the top level, because it is sent to the processes by name)."""
    model = Network()
    model.layers[1] = nn.Identity()  # batch normalisation would use the images of one process only
    given = {"steps": 5, "learning_rate": 1e-2, "ema": 0.5, "valid_every": 5}
    data = images(), images(5, seed=1)
    fit(model, quiet_loss, *data, settings(**given), Fit(out, 3, device))
    if world_size() > 1:
        write_json(out / f"gradient{rank()}.json", mean_gradient(float(rank() + 1)))
        fit(model, quiet_loss, *data, settings(**given, batch_size=5), Fit(out / "uneven", 3, device))


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> tuple[Path, Path, str]:
    """The model of one process, that of two, and the error of two processes with an odd batch size."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    launch(step, one, device="cpu")
    with pytest.raises(UserError) as mistake:
        launch(step, two, device="cpu", processes=2)
    return one, two, str(mistake.value)


def test_two_processes_train_as_one(trained):
    one, two = (load_file(out / "model.safetensors") for out in trained[:2])
    assert one.keys() == two.keys()
    moved = one["layers.0.weight"] - Network().state_dict()["layers.0.weight"]
    assert moved.abs().mean() > 1e-2
    for name, weight in one.items():
        torch.testing.assert_close(two[name], weight, rtol=0, atol=1e-6)
    for first, second in zip(*(log(out) for out in trained[:2]), strict=True):
        assert float(first["valid_loss"]) == pytest.approx(float(second["valid_loss"]), rel=1e-5)
    assert read_json(trained[1] / "model.json")["training"]["step"] == 5


def test_an_error_in_a_process_is_one_line(trained):
    assert trained[2] == (
        "training.batch_size: 5 cannot be shared evenly by 2 processes; make it a multiple of that"
    )
    assert not (trained[1] / "uneven").exists()


def test_gradients_are_averaged(trained):
    # AdamW is invariant to a factor on the gradient, so equal weights alone would not detect a wrong one.
    for number in (0, 1):
        assert read_json(trained[1] / f"gradient{number}.json") == [1.5, -1.5, 2.5]


def test_alone():
    assert (rank(), world_size()) == (0, 1)
    assert mean_gradient(3.0) == [3.0, -3.0, 9.0]
