"""The state of a training, saved so that a killed training resumes with the same result."""

import hashlib
import json
import math
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from ..core.errors import BadFile, reading
from ..core.files import writing
from .distributed import rank

__all__ = ["Counters", "State", "fingerprint_of", "restore", "save"]


@dataclass
class Counters:
    """The numbers that change during a training.

    Arguments:
        step: Completed steps.
        best: The best validation loss.
        best_step: The step of the best validation loss.
        bad: Validations since then.
        skipped: Skipped updates.
        seconds: The duration of the training.
    """

    step: int = 0
    best: float = math.inf
    best_step: int = 0
    bad: int = 0
    skipped: int = 0
    seconds: float = 0.0


@dataclass
class State:
    """Everything that changes during a training.

    Arguments:
        model: The model.
        optimizers: Its optimizers.
        average: The average of its weights.
        best: The averaged weights with the best validation loss.
        rows: The rows of the log.
        counters: The counters.
    """

    model: nn.Module
    optimizers: list[Optimizer]
    average: dict[str, Tensor]
    best: dict[str, Tensor]
    rows: list[dict[str, float]] = field(default_factory=list)
    counters: Counters = field(default_factory=Counters)


def fingerprint_of(
    model: nn.Module, data: Mapping[str, Tensor], settings: Any, seed: int, meta: Mapping[str, Any]
) -> str:
    """Returns a hash of everything that determines the result: a state is resumed only by the same training."""
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    described = {name: [list(t.shape), float(t.double().mean())] for name, t in data.items()}
    text = json.dumps([shapes, described, dict(settings), seed, meta], default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def save(path: Path, fingerprint: str, state: State) -> None:
    """Writes the state, atomically."""
    with writing(path) as temporary:
        torch.save(
            {
                "fingerprint": fingerprint,
                "model": state.model.state_dict(),
                "optimizers": [optimizer.state_dict() for optimizer in state.optimizers],
                "average": state.average,
                "best": state.best,
                "rows": state.rows,
                "state": asdict(state.counters),
            },
            temporary,
        )


def restore(path: Path, fingerprint: str, state: State, device: str) -> None:
    """Restores a saved state in place, if there is one of the same training.

    A damaged file is reported on stderr and ignored: the training then starts from the beginning.

    Arguments:
        path: The file that :func:`save` wrote; it may be missing.
        fingerprint: The fingerprint of this training.
        state: The initial state.
        device: The device of the training.

    Raises:
        UserError: If the file cannot be read for lack of permission or memory.
    """
    if not path.exists():
        return
    try:
        with reading(path, "not a complete training state"):
            saved = torch.load(path, map_location=device, weights_only=True)
            if saved["fingerprint"] != fingerprint:
                return
            counters = Counters(**saved["state"])
            average, best, rows = saved["average"], saved["best"], list(saved["rows"])
            optimizers = saved["optimizers"]
            state.model.load_state_dict(saved["model"])
            for optimizer, values in zip(state.optimizers, optimizers, strict=True):
                optimizer.load_state_dict(values)
    except BadFile as error:
        if rank() == 0:
            print(f"{str(error).rpartition(';')[0]}; the training starts from the beginning", file=sys.stderr)
        return
    state.average, state.best, state.rows, state.counters = average, best, rows, counters
