r"""The training loop of every network of this package.

Minimizes the mean of a loss over the training data with AdamW or Muon, a warm-up and an optional cosine decay of the
learning rate, gradient clipping, and an exponential moving average of the weights. The averaged weights with the best
*validation* loss are saved; the test split is never read.

All randomness is a function of (seed, step). The order of the data is a permutation drawn from (seed, epoch), and the
noise of a step is drawn from a generator seeded with (seed, step). A resumed training therefore needs no state of a
generator, and a training killed at any moment ends with the same weights, bit for bit, as an uninterrupted one (a
compiled one: up to rounding).
"""

import io
import math
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..core.checkpoint import save_model
from ..core.device import arithmetic
from ..core.errors import Unfinished, UserError
from ..core.noise import derive_seed
from ..core.progress import progress
from .batches import Batches
from .clock import Clock
from .compiling import as_written, compiled
from .distributed import average_gradients, rank
from .ema import average_weights
from .logs import Logs
from .optimizers import learning_rate, make_optimizers, set_learning_rate
from .resume import State, fingerprint_of, restore, save
from .validation import Loss, validate_average

if TYPE_CHECKING:
    from ..config.training import TrainingSettings

__all__ = ["Fit", "Loss", "fit"]

MAX_SKIPPED = 100
"""Consecutive skipped updates after which a training fails."""


@dataclass(frozen=True)
class Fit:
    """How one network is fitted and where it is written.

    Arguments:
        out: The model's folder.
        seed: The seed of the order of the data and of all noise. The caller seeds the initial weights.
        device: `cpu`, `cuda` or a device such as `cuda:1`.
        meta: The description of the model in `model.json`; the loop adds its settings and results.
        label: The label of the progress line.
        transient: The prefix of the names of weights that only the training requires; they are not written.
        finish: Called with the selected weights, in evaluation mode, before they are written.
        select: The validation loss as a function of the mean loss and scores on the validation split; by default the
            mean loss.
    """

    out: Path
    seed: int
    device: str = "cpu"
    meta: Mapping[str, Any] = field(default_factory=dict)
    label: str = "training"
    transient: str = ""
    finish: Callable[[nn.Module], None] | None = None
    select: Callable[[dict[str, float]], float] | None = None


@contextmanager
def _denormals_flushed() -> Iterator[None]:
    """Treats denormal numbers as zero: decaying averages contain many, and CPUs are slow on them."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@_denormals_flushed()
def fit(
    model: nn.Module,
    loss: Loss,
    train: Mapping[str, Tensor],
    valid: Mapping[str, Tensor],
    settings: "TrainingSettings",
    options: Fit,
) -> None:
    """Trains a model and writes `model.safetensors`, `model.json`, `log.csv` and `tensorboard/` to `options.out`.

    A killed training resumes from `.state/` in that folder when the function is called again with the same arguments.

    Arguments:
        model: The network. It is trained in place and ends with the weights that were written.
        loss: The function to minimize.
        train: The training data: tensors of equal first dimension, one row per image.
        valid: The validation data in the same form; they select the weights.
        settings: Steps, batch size, learning rate and so on.
        options: Folder, seed, device and the rest.

    Raises:
        UserError: If the batch is larger than the split or cannot be divided equally among the processes, 100
            consecutive updates are skipped, or no validation loss is finite.
        Unfinished: If the time slice of the environment variable `COUNTERFACTORY_TRAIN_UNTIL` is over; the same call
            resumes.
    """
    device, seed = options.device, options.seed
    torch.set_num_threads(settings.threads)
    model.to(device).train()
    dtype = arithmetic(settings.precision, device)
    train, valid = ({name: tensor.to(device) for name, tensor in split.items()} for split in (train, valid))
    batches = Batches(train, settings.batch_size, seed)

    average = {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}
    best = {name: tensor.clone() for name, tensor in average.items()}
    state = State(model, make_optimizers(_trainable(model), settings), average, best)
    path = options.out / ".state" / "state.pt"
    fingerprint = fingerprint_of(model, train, settings, seed, {**options.meta, "arithmetic": str(dtype)})
    restore(path, fingerprint, state, device)

    counters, clock = state.counters, Clock(state.counters.seconds)
    logs = Logs(options.out, state.rows) if rank() == 0 else None
    update = _Update(state, loss, settings, options, dtype)
    fused = settings.compile == "always" or (settings.compile == "gpu" and device != "cpu")
    steps = _steps(counters.step, settings.steps, options.label)
    with compiled(model, fused):
        for step in steps:
            if settings.patience and counters.bad >= settings.patience:
                steps.converged()
                break
            row = update(batches[step], step)
            average_weights(state.average, model, step, settings.ema)
            counters.step = step + 1
            if counters.step % settings.valid_every == 0 or counters.step == settings.steps:
                with as_written(fused):
                    means = validate_average(model, state.average, loss, valid, settings.batch_size, seed)
                _select(state, means, options)
                counters.seconds = clock.seconds()
                if logs:
                    start = {"step": counters.step, "seconds": counters.seconds}
                    logs.add({**start, **row(), **{f"valid_{name}": mean for name, mean in means.items()}})
                steps.set(valid=means["loss"])
            over = counters.step < settings.steps and clock.is_over(counters.step)
            if over or clock.save_is_due():
                counters.seconds = clock.seconds()
                if rank() == 0:
                    save(path, fingerprint, state)
                clock.saved()
            if over:
                raise Unfinished(
                    f"{options.label}: stopped at step {counters.step} of {settings.steps}; run it again"
                )
    _finish(state, logs, settings, options, dtype)


class _Update:
    """One step of the optimizers. Calling it returns a function that computes its row of the log."""

    def __init__(
        self, state: State, loss: Loss, settings: "TrainingSettings", options: Fit, dtype: torch.dtype
    ) -> None:
        self.state, self.loss, self.settings, self.options, self.dtype = state, loss, settings, options, dtype
        self.parameters = _trainable(state.model)
        self.skipped = 0  # consecutive updates

    def __call__(self, batch: dict[str, Tensor], step: int) -> Callable[[], dict[str, float]]:
        model, settings, device = self.state.model, self.settings, self.options.device
        generator = torch.Generator(device).manual_seed(derive_seed(self.options.seed, "noise", step, rank()))
        rate = learning_rate(step, settings)
        set_learning_rate(self.state.optimizers, rate)
        with torch.autocast(torch.device(device).type, torch.bfloat16, enabled=self.dtype == torch.bfloat16):
            value, scores = self.loss(model, batch, generator, step / settings.steps)
        model.zero_grad(set_to_none=True)
        value.backward()
        average_gradients(model)
        norm = float(nn.utils.clip_grad_norm_(self.parameters, settings.clip))
        # The comparison is false for NaN too, so that a diverged batch is skipped.
        if norm < settings.skip:
            for optimizer in self.state.optimizers:
                optimizer.step()
            self.skipped = 0
        else:
            self._skip(norm)

        def row() -> dict[str, float]:
            means = {
                "train_loss": value.detach(),
                **{f"train_{name}": score for name, score in scores.items()},
            }
            return {"learning_rate": rate, **{name: float(mean) for name, mean in means.items()}}

        return row

    def _skip(self, norm: float) -> None:
        self.state.counters.skipped += 1
        self.skipped += 1
        if self.skipped >= MAX_SKIPPED:
            raise UserError(
                f"{self.options.label}: {MAX_SKIPPED} consecutive updates were skipped (gradient norm {norm:.3g}); "
                "lower learning_rate"
            )


def _select(state: State, means: dict[str, float], options: Fit) -> None:
    """Keeps the averaged weights if their validation loss is the best so far; replaces the loss in `means`."""
    if options.select:
        means["loss"] = options.select(means)
    counters = state.counters
    if means["loss"] < counters.best:
        counters.best, counters.best_step, counters.bad = means["loss"], counters.step, 0
        state.best = {name: tensor.clone() for name, tensor in state.average.items()}
    else:
        counters.bad += 1


def _finish(
    state: State, logs: Logs | None, settings: "TrainingSettings", options: Fit, dtype: torch.dtype
) -> None:
    """Writes the selected weights and removes the saved state."""
    counters, model = state.counters, state.model
    if not math.isfinite(counters.best):
        raise UserError(f"{options.label}: the validation loss was never finite; lower learning_rate")
    model.load_state_dict(state.best)
    model.eval()
    weights = state.best
    if options.finish:
        options.finish(model)
        weights = model.state_dict()
    if logs is None:
        return
    logs.close()
    results = ("step", "best", "best_step", "skipped", "seconds")
    meta = {
        **options.meta,
        "settings": dict(settings),
        "arithmetic": str(dtype),
        "seed": options.seed,
        "training": {name: getattr(counters, name) for name in results},
    }
    kept = {
        name: tensor
        for name, tensor in weights.items()
        if not (options.transient and name.startswith(options.transient))
    }
    save_model(options.out, kept, meta)
    # The whole folder: a training killed while saving leaves partial files there.
    shutil.rmtree(options.out / ".state", ignore_errors=True)


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _steps(first: int, count: int, label: str) -> Any:
    """Returns the steps that remain, with a progress line in the first process only."""
    stream = None if rank() == 0 else io.StringIO()
    return progress(range(first, count), total=count, label=label, unit="steps", start=first, stream=stream)
