"""Kept steps and DDIM equal those that the code of DiME and of CausalDiffAE printed."""

import pytest
import torch

from counterfactory.diffusion.denoiser import denoiser
from counterfactory.diffusion.schedule import linear, respace
from counterfactory.diffusion.steps import ddim_decode, ddim_step, q_sample
from tests.fixtures.originals import check_value, made, values


@pytest.mark.parametrize(
    "row", [row for row in values("respacing")["rows"] if row["sections"].isdigit()], ids=str
)
def test_kept_steps(row):
    """The option `ddim25` of the original, other steps for the same number, is not in this package."""
    kept = respace(linear(row["T"]), int(row["sections"])).timesteps
    assert len(kept) == row["count"]
    check_value("respacing", f"first of {row['count']}", kept[:6].tolist(), row["first"], 0.0)
    check_value("respacing", f"last of {row['count']}", kept[-6:].tolist(), row["last"], 0.0)
    check_value("respacing", f"sum of {row['count']}", int(kept.sum()), row["sum"], 0.0)


@pytest.mark.parametrize("row", values("ddim")["rows"], ids=lambda row: f"{row['kept']} steps")
def test_ddim(row):
    fixture = values("ddim")
    x, noise, z = (made(name, *fixture["inputs"][name]).double() for name in ("x", "noise", "z"))

    def network(x_t: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return 0.6 * x_t + 0.2 * z.reshape(-1, 1, 1, 1) + 0.1 * t.reshape(-1, 1, 1, 1) / 1000

    schedule = respace(linear(row["T"]), row["kept"])
    last = row["kept"] - 1

    def check(output: str, mine: torch.Tensor, theirs: list[float]) -> None:
        check_value("ddim", f"{output}, {row['kept']} steps", mine.flatten(), theirs, fixture["tolerance"])

    noisy = q_sample(schedule, x, last, noise)
    check("noised", noisy, row["x_t"])
    clipped = denoiser(network, schedule, clip=True, learned=False)
    check("decoded", ddim_decode(clipped, schedule, noisy, last), row["decoded"])
    plain = denoiser(network, schedule, clip=False, learned=False)
    for index, values_ in row["one_step"].items():
        step = int(index)
        check(f"step {step}", ddim_step(schedule, noise, plain(noise, step), step, step - 1), values_)
