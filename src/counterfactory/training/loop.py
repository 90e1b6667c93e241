r"""The training loop of every network here.

Minimises the mean of `loss` over the training data with AdamW or Muon, a warm-up and an optional cosine decay of
the learning rate, gradient clipping, and an exponential moving average of the weights. The average that does best
on the *validation* split is what is kept; the test split is never seen.

Randomness is a function of (seed, step) and nothing else: the order of the data is a permutation drawn from
(seed, epoch) and the noise of a step from a generator seeded by (seed, step). Resuming therefore needs no state of
any generator, and a run killed at any moment ends with the same weights, bit for bit, as one left alone (a compiled one
but for rounding).
"""

import csv
import hashlib
import io
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ..core.checkpoint import save_model
from ..core.device import arithmetic
from ..core.errors import Unfinished, UserError
from ..core.files import writing
from ..core.noise import derive_seed
from ..core.progress import progress
from .compiling import as_written, compiled
from .distributed import any_of_all, average_gradients, rank, world_size
from .ema import average_weights
from .optimizers import OptimizerSettings, make_optimizers

__all__ = ["UNTIL", "Loss", "TrainingSettings", "fit", "learning_rate"]

UNTIL = "COUNTERFACTORY_TRAIN_UNTIL"
"""The environment's variable that says when a training keeps its state and stops, in seconds since 1970."""

LOOK = 10  # steps between two looks at the clock

Loss = Callable[[nn.Module, dict[str, Tensor], torch.Generator, float], tuple[Tensor, dict[str, Tensor]]]
"""`loss(model, batch, generator, progress)` returns a scalar to minimise and the scores to log, each a scalar tensor;
`progress` is the share of the steps that are done, for schedules, and 1 when validating."""


class TrainingSettings(OptimizerSettings, Protocol):
    """What the loop reads of the configuration (`counterfactory.config.TrainingSettings`)."""

    steps: int
    batch_size: int
    warmup: int
    schedule: str
    ema: float
    clip: float
    skip: float
    valid_every: int
    patience: int
    precision: str
    compile: str
    threads: int


def learning_rate(step: int, settings: TrainingSettings) -> float:
    """Returns the learning rate of a step: linear warm-up, then constant or half a cosine down to 0."""
    rate = settings.learning_rate * min(1.0, (step + 1) / max(1, settings.warmup))
    if settings.schedule == "cosine":
        rate *= 0.5 * (1.0 + math.cos(math.pi * step / settings.steps))
    return rate


def _order(count: int, batch_size: int, seed: int, step: int) -> Tensor:
    """Returns the rows of the batch of `step`, from a permutation of (seed, epoch)."""
    per_epoch = max(1, count // batch_size)
    epoch, position = divmod(step, per_epoch)
    generator = torch.Generator().manual_seed(derive_seed(seed, "order", epoch))
    return torch.randperm(count, generator=generator)[position * batch_size : (position + 1) * batch_size]


def _fingerprint(
    model: nn.Module, data: dict[str, Tensor], settings: TrainingSettings, seed: int, meta: dict
) -> str:
    """Returns a hash of all that decides the result, so that a resumed state belongs to this very run."""
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    described = {name: [list(t.shape), float(t.double().mean())] for name, t in data.items()}
    text = json.dumps([shapes, described, dict(settings), seed, meta], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _load_state(path: Path, device: str) -> dict[str, Any]:
    """Reads the state of a killed run."""
    try:
        saved = torch.load(path, map_location=device, weights_only=True)
        saved["fingerprint"]
    except Exception as error:
        raise UserError(
            f"{path}: not a whole training state ({type(error).__name__}); delete it and train again"
        ) from None
    return saved


class _Writers:
    """The two logs: rows of `log.csv`, and the same for TensorBoard."""

    def __init__(self, out: Path, rows: list[dict[str, float]]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.path, self.rows = out / "log.csv", rows
        self.board = SummaryWriter(out / "tensorboard", purge_step=int(rows[-1]["step"]) + 1 if rows else 0)

    def add(self, row: dict[str, float]) -> None:
        self.rows.append(row)
        for name, value in row.items():
            if name != "step":
                self.board.add_scalar(name, value, int(row["step"]))

    def close(self) -> None:
        names = list(dict.fromkeys(name for row in self.rows for name in row))
        with writing(self.path) as temporary, open(temporary, "w", newline="") as file:
            table = csv.DictWriter(file, names)
            table.writeheader()
            table.writerows(self.rows)
        self.board.close()


@torch.no_grad()
def _evaluate(
    model: nn.Module, loss: Loss, data: dict[str, Tensor], batch_size: int, seed: int
) -> dict[str, float]:
    """Returns the mean loss and scores over `data`, always under the same noise."""
    model.eval()
    count = len(next(iter(data.values())))
    totals: dict[str, float] = {}
    for start in range(0, count, batch_size):
        batch = {name: tensor[start : start + batch_size] for name, tensor in data.items()}
        device = next(iter(batch.values())).device
        generator = torch.Generator(device).manual_seed(derive_seed(seed, "valid", start))
        value, scores = loss(model, batch, generator, 1.0)
        size = len(next(iter(batch.values())))
        for name, score in {"loss": value, **scores}.items():
            totals[name] = totals.get(name, 0.0) + float(score) * size / count
    model.train()
    return totals


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Takes denormal numbers, which decaying averages are full of, for zero: they are slow on CPUs."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@_denormals_flushed()
def fit(
    model: nn.Module,
    loss: Loss,
    data: dict[str, Tensor],
    valid: dict[str, Tensor],
    settings: TrainingSettings,
    out: Path | str,
    seed: int,
    device: str,
    meta: dict[str, Any] | None = None,
    label: str = "training",
    transient: str | None = None,
    finish: Callable[[nn.Module], None] | None = None,
    select: Callable[[dict[str, float]], float] | None = None,
) -> None:
    """Trains `model` and writes `model.safetensors`, `model.json`, `log.csv` and `tensorboard/` in `out`.

    A killed run continues from `out/.state` when called again with the same arguments.

    Arguments:
        model: The network; it is trained in place and ends with the weights that were written.
        loss: What to minimise.
        data: The training data: tensors of equal first dimension, one row an image.
        valid: The validation data, likewise; it selects the weights kept.
        settings: Steps, batch size, learning rate and so on.
        out: The model's folder.
        seed: The seed of the data's order and of all noise (the caller seeds the initial weights).
        device: Where to train, `cpu`, `cuda` or `cuda:1`.
        meta: What `model.json` says beside the loop's own settings.
        label: What the progress line calls this run.
        transient: The prefix of weights that only training needs and that are not written.
        finish: What is done to the chosen weights, in evaluation mode, before they are written.
        select: From the means of loss and scores over `valid`, what is to be least; by default the loss.

    Raises:
        UserError: If the batch is larger than the split or cannot be shared evenly among the processes, the state of a
            killed run is damaged, 100 updates on end are skipped, or no validation loss is finite.
        Unfinished: If the time has come that the environment's variable `COUNTERFACTORY_TRAIN_UNTIL` names; the same
            call goes on.
    """
    out = Path(out)
    torch.set_num_threads(settings.threads)
    model.to(device).train()
    dtype = arithmetic(settings.precision, device)
    data = {name: tensor.to(device) for name, tensor in data.items()}
    valid = {name: tensor.to(device) for name, tensor in valid.items()}
    count = len(next(iter(data.values())))
    if count < settings.batch_size:
        raise UserError(
            f"training.batch_size: {settings.batch_size} is more than the {count} images of the split; lower it"
        )
    share, left_over = divmod(settings.batch_size, world_size())
    if left_over:
        raise UserError(
            f"training.batch_size: {settings.batch_size} cannot be shared evenly by {world_size()} processes; "
            "make it a multiple of that"
        )

    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizers = make_optimizers(parameters, settings)
    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    state: dict[str, Any] = {
        "step": 0,
        "best": math.inf,
        "best_step": 0,
        "bad": 0,
        "skipped": 0,
        "seconds": 0.0,
    }
    best = {name: tensor.clone() for name, tensor in average.items()}
    rows: list[dict[str, float]] = []

    path = out / ".state" / "state.pt"
    fingerprint = _fingerprint(model, data, settings, seed, {**(meta or {}), "arithmetic": str(dtype)})
    if path.exists():
        saved = _load_state(path, device)
        if saved["fingerprint"] == fingerprint:
            model.load_state_dict(saved["model"])
            for optimizer, saved_state in zip(optimizers, saved["optimizers"], strict=True):
                optimizer.load_state_dict(saved_state)
            average, best, rows, state = saved["average"], saved["best"], saved["rows"], saved["state"]

    def save() -> None:
        if rank() == 0:
            with writing(path) as temporary:
                torch.save(
                    {
                        "fingerprint": fingerprint,
                        "model": model.state_dict(),
                        "optimizers": [optimizer.state_dict() for optimizer in optimizers],
                        "average": average,
                        "best": best,
                        "rows": rows,
                        "state": state,
                    },
                    temporary,
                )

    writers = _Writers(out, rows) if rank() == 0 else None
    started, saved_at = time.monotonic() - state["seconds"], time.monotonic()
    bar = progress(
        range(state["step"], settings.steps),
        total=settings.steps,
        label=label,
        unit="steps",
        start=state["step"],
        stream=None if rank() == 0 else io.StringIO(),
    )
    scores: dict[str, Tensor] = {}
    until = float(os.environ.get(UNTIL) or 0)
    wasted = 0
    fused = settings.compile == "always" or (settings.compile == "gpu" and device != "cpu")
    with compiled(model, fused):
        for step in bar:
            if settings.patience and state["bad"] >= settings.patience:
                break
            rows_of_batch = _order(count, settings.batch_size, seed, step)[
                rank() * share : (rank() + 1) * share
            ].to(device)
            batch = {name: tensor[rows_of_batch] for name, tensor in data.items()}
            generator = torch.Generator(device).manual_seed(derive_seed(seed, "noise", step, rank()))
            for group in (group for optimizer in optimizers for group in optimizer.param_groups):
                group["lr"] = learning_rate(step, settings)
            with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=dtype == torch.bfloat16):
                value, scores = loss(model, batch, generator, step / settings.steps)
            model.zero_grad(set_to_none=True)
            value.backward()
            average_gradients(model)
            norm = nn.utils.clip_grad_norm_(parameters, settings.clip)
            # A NaN fails this comparison too, so a batch that blew up is skipped and not averaged in.
            if float(norm) < settings.skip:
                for optimizer in optimizers:
                    optimizer.step()
                wasted = 0
            else:
                state["skipped"] += 1
                wasted += 1
                if wasted >= 100:
                    raise UserError(
                        f"{label}: 100 updates on end were skipped (gradient norm {float(norm):.3g}); "
                        "lower learning_rate"
                    )
            average_weights(average, model, step, settings.ema)
            state["step"] = step + 1

            if state["step"] % settings.valid_every == 0 or state["step"] == settings.steps:
                current = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
                model.load_state_dict(average)
                with as_written(fused):
                    validated = _evaluate(model, loss, valid, settings.batch_size, seed)
                model.load_state_dict(current)
                if select:
                    validated["loss"] = select(validated)
                if validated["loss"] < state["best"]:
                    state["best"], state["best_step"], state["bad"] = validated["loss"], state["step"], 0
                    best = {name: tensor.clone() for name, tensor in average.items()}
                else:
                    state["bad"] += 1
                state["seconds"] = time.monotonic() - started
                row = {
                    "step": state["step"],
                    "seconds": state["seconds"],
                    "learning_rate": learning_rate(step, settings),
                }
                row |= {"train_loss": float(value.detach())} | {
                    f"train_{name}": float(score) for name, score in scores.items()
                }
                row |= {f"valid_{name}": score for name, score in validated.items()}
                if writers:
                    writers.add(row)
                bar.set(valid=validated["loss"])
            if time.monotonic() - saved_at > 20.0:
                state["seconds"] = time.monotonic() - started
                save()
                saved_at = time.monotonic()
            looks = until and state["step"] % LOOK == 0 and state["step"] < settings.steps
            if looks and any_of_all(time.time() > until):
                state["seconds"] = time.monotonic() - started
                save()
                raise Unfinished(
                    f"{label}: stopped at step {state['step']} of {settings.steps}; run it again"
                )

    if not math.isfinite(state["best"]):
        raise UserError(f"{label}: the validation loss was never finite; lower learning_rate")
    model.load_state_dict(best)
    model.eval()
    if finish:
        finish(model)
        best = model.state_dict()
    if writers:
        writers.close()
        training = {name: state[name] for name in ("step", "best", "best_step", "skipped", "seconds")}
        kept = {
            name: tensor for name, tensor in best.items() if not (transient and name.startswith(transient))
        }
        save_model(
            out,
            kept,
            {
                **(meta or {}),
                "settings": dict(settings),
                "arithmetic": str(dtype),
                "seed": seed,
                "training": training,
            },
        )
        # With what a run killed while it was saving left half-written.
        shutil.rmtree(path.parent, ignore_errors=True)
