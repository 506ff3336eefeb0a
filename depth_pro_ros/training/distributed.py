"""Data parallel training with torchrun: gradients and figures are added up over all processes.

Every process prepares its own share of each step's images. Losses are already divided by the number of
valid images of the joint batch, so that sums, not means, of gradients are those of one process with the whole batch.
Without torchrun every function here returns what it got.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor

from depth_pro_ros.errors import ConfigurationError


def active() -> bool:
    """Tell whether several processes train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def rank() -> int:
    """Return this process's number; 0 writes what is written."""
    return dist.get_rank() if active() else 0


def world() -> int:
    """Return the number of processes."""
    return dist.get_world_size() if active() else 1


@contextmanager
def group(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started (gloo on CPUs, NCCL on GPUs), and part from them at the end."""
    if "WORLD_SIZE" not in os.environ or int(os.environ["WORLD_SIZE"]) == 1:
        yield
        return
    missing = {"RANK", "MASTER_ADDR", "MASTER_PORT"} - set(os.environ)
    if missing:
        raise ConfigurationError(f"WORLD_SIZE is set but {sorted(missing)} are not: start with torchrun, or unset it")
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def sum_gradients(parameters: Sequence[Tensor]) -> None:
    """Add up the gradients of all processes, in one buffer; a parameter without a gradient stays without."""
    if not active():
        return
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, summed in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(summed.view_as(gradient))


def sum_number(number: int, device: torch.device) -> int:
    """Return the sum of a whole number over all processes."""
    if not active():
        return number
    total = torch.tensor(number, dtype=torch.int64, device=device)
    dist.all_reduce(total)
    return int(total)


def sum_terms(terms: dict[str, float]) -> dict[str, float]:
    """Return the sums of named figures; a process may lack some names."""
    if not active():
        return terms
    everyone: list[dict[str, float]] = [{} for _ in range(world())]
    dist.all_gather_object(everyone, terms)
    names = sorted(set().union(*everyone))
    return {name: sum(one.get(name, 0.0) for one in everyone) for name in names}


def any_of(wish: bool, device: torch.device) -> bool:
    """Tell whether any process wishes to stop."""
    return sum_number(int(wish), device) > 0


def wait() -> None:
    """Wait until every process is here."""
    if active():
        dist.barrier()
