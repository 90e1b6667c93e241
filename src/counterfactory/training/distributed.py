"""Data-parallel training on several GPUs: each process trains on a slice of every batch and averages the gradients.

With G processes that each use B/G images of a batch of B images, the mean of their gradients is the gradient of the
whole batch. Settings, including published ones, therefore do not depend on the number of GPUs.
"""

import os
import socket
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.multiprocessing import ProcessRaisedException

from ..core.errors import Unfinished, UserError

__all__ = ["any_of_all", "average_gradients", "launch", "rank", "world_size"]


def rank() -> int:
    """Returns the number of this process; 0 if there is only one."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Returns the number of processes that train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def average_gradients(model: nn.Module) -> None:
    """Replaces every gradient by its mean over the processes, in one message."""
    if world_size() == 1:
        return
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    flat /= world_size()
    for gradient, part in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def any_of_all(value: bool) -> bool:
    """Returns whether `value` is true in any process. All processes must call this at the same step."""
    if world_size() == 1:
        return value
    flag = torch.tensor(float(value), device="cuda" if dist.get_backend() == "nccl" else "cpu")
    dist.all_reduce(flag)
    return bool(flag > 0)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _worker(
    number: int,
    count: int,
    port: int,
    device: str,
    step: Callable[..., None],
    arguments: tuple,
    errors: SimpleQueue,
) -> None:
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("nccl" if device == "cuda" else "gloo", rank=number, world_size=count)
    try:
        step(*arguments, device=f"cuda:{number}" if device == "cuda" else device)
    except (Unfinished, UserError) as error:
        errors.put((type(error), str(error)))
        raise
    finally:
        dist.destroy_process_group()


def launch(step: Callable[..., None], *arguments: Any, device: str, processes: int | None = None) -> None:
    """Calls `step(*arguments, device=...)` in one process per visible GPU, or once if there is a single device.

    Arguments:
        step: A top-level function of a module (it is sent to other processes by name).
        arguments: Its positional arguments.
        device: `cpu` or `cuda`.
        processes: The number of processes; by default one per visible GPU, and one on the CPU.

    Raises:
        UserError: If one of the processes raises it.
        Unfinished: If one of the processes raises it.
    """
    count = processes or (torch.cuda.device_count() if device == "cuda" else 1)
    if count <= 1:
        step(*arguments, device=device)
        return
    errors = torch.multiprocessing.get_context("spawn").SimpleQueue()
    try:
        torch.multiprocessing.spawn(
            _worker, (count, _free_port(), device, step, arguments, errors), nprocs=count
        )
    except ProcessRaisedException:
        if errors.empty():
            raise
        kind, text = errors.get()
        raise kind(text) from None
