"""How much memory the network takes while it runs, and how it is made to take less.

What it takes is not guessed but counted: the network runs once on PyTorch's meta device, where tensors have sizes and
no contents, and the sizes of those that live at the same time are added up.
"""

from __future__ import annotations

import bisect
import contextlib
import functools
import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from depth_pro_ros.errors import ConfigurationError, DepthProError
from depth_pro_ros.inference.precision import Log
from depth_pro_ros.network import DepthPro, NetworkConfig
from depth_pro_ros.network.encoder import PATCHES
from depth_pro_ros.network.simplify import simplify

GB = 1e9
MARGIN = 1.1  # for what kernels take for themselves and for memory that lies in pieces

# PyTorch before 2.5 (JetPack 6) has it under torch.cuda only.
OutOfMemory: type[Exception] = getattr(torch, "OutOfMemoryError", torch.cuda.OutOfMemoryError)
CPU_OUT_OF_MEMORY = "can't allocate memory"  # a RuntimeError of PyTorch's CPU allocator


@dataclass(frozen=True)
class Parts:
    """In how many parts a network works: patches encoded at once, strips of the finest level."""

    patch_batch: int
    strips: int

    @classmethod
    def of(cls, network: DepthPro) -> Parts:
        """Return those of `network`."""
        return cls(network.patch_batch or PATCHES, network.strips)

    def set_on(self, network: DepthPro) -> None:
        """Let `network` work so."""
        network.patch_batch, network.strips = self.patch_batch, self.strips

    def halved(self) -> Parts | None:
        """Return parts half as large, None when patches are encoded one by one already."""
        return Parts(self.patch_batch // 2, 2 * self.strips) if self.patch_batch > 1 else None


# From the fastest on a GPU to the least that needs memory.
LADDER = tuple(Parts(*rung) for rung in ((PATCHES, 1), (18, 2), (12, 3), (9, 4), (5, 6), (3, 8), (2, 12), (1, 24)))


def weight_bytes(network: torch.nn.Module) -> int:
    """Return the bytes of a network's weights and buffers."""
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))


@functools.lru_cache(maxsize=64)
def activation_bytes(config: NetworkConfig, dtype: torch.dtype, parts: Parts) -> int:
    """Return the most bytes that the tensors of one pass of one image take at a time, weights not counted.

    Without what kernels take for themselves. All blocks of an encoder are alike, so three stand for them. It is a GPU's
    figure; on a CPU, where the head works in strips of its own, it is above what a pass takes.
    """
    with torch.device("meta"):
        network = simplify(DepthPro(replace(config, blocks=3, hooks=(0, 1))).to(dtype))
        image = torch.empty(1, 3, config.image_size, config.image_size)
    network.compute_dtype = dtype
    parts.set_on(network)
    with torch.inference_mode(), _FusedAttention(), _Live() as live:
        network(image, fov=False)
    return int(live.peak)


class _FusedAttention(TorchFunctionMode):
    """Lets attention take the memory of its result alone, as fused kernels do; the meta device has none."""

    def __torch_function__(
        self, function: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if function is F.scaled_dot_product_attention:
            return torch.empty_like(args[0])
        return function(*args, **(kwargs or {}))


class _Live(TorchDispatchMode):
    """Adds up the bytes of the storages that operators make, as long as they live; `peak` is the most at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.peak = self._now = 0
        self._known: dict[int, int] = {}

    def __torch_dispatch__(
        self, operator: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = operator(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, Tensor):
                self._see(tensor.untyped_storage())
        return result

    def _see(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key not in self._known:
            self._known[key] = storage.nbytes()
            weakref.finalize(storage, self._forget, key)
            self._now += storage.nbytes()
            self.peak = max(self.peak, self._now)

    def _forget(self, key: int) -> None:
        self._now -= self._known.pop(key)


def fit(network: DepthPro, start: Parts, max_memory_gb: float, measure: Callable[[], int] | None = None) -> float:
    """Make `network` work in parts no larger than `start` whose memory keeps to the budget; return the GB it takes.

    `measure`, where the device can tell, returns the bytes that a pass really takes at most: parts that do not keep to
    the budget are then given up for smaller ones. Raises ConfigurationError that says the least that is needed.
    """
    weights, dtype = weight_bytes(network), network.compute_dtype

    def expected_gb(parts: Parts) -> float:
        return (weights + MARGIN * activation_bytes(network.config, dtype, parts)) / GB

    rungs = [start, *(rung for rung in LADDER if rung.patch_batch < start.patch_batch)]
    first = 0  # mostly: counting takes a while
    if expected_gb(start) > max_memory_gb:
        first = bisect.bisect_left(rungs, True, key=lambda rung: expected_gb(rung) <= max_memory_gb)
    taken_gb = math.nan
    for rung in rungs[first:] or rungs[-1:]:
        rung.set_on(network)
        taken_gb = expected_gb(rung) if measure is None else measure() / GB
        if taken_gb <= max_memory_gb:
            return taken_gb
    raise ConfigurationError(
        f"max_memory_gb is {max_memory_gb:g}, but this network takes at least {taken_gb:.2f} GB in "
        f"{str(dtype).removeprefix('torch.')}, {weights / GB:.2f} of it for its weights: allow more, choose half "
        "precision, or a smaller network"
    )


def measured_bytes(network: DepthPro, device: torch.device) -> int:
    """Run `network` on an empty image on a CUDA device and return the most bytes that PyTorch held."""
    side = network.config.image_size
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats(device)
    with torch.inference_mode():
        network(torch.zeros(1, 3, side, side, device=device))
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device)


def is_out_of_memory(error: Exception) -> bool:
    """Return whether PyTorch found no memory, on a GPU or on the CPU."""
    return isinstance(error, OutOfMemory) or CPU_OUT_OF_MEMORY in str(error)


@contextlib.contextmanager
def memory_limit(error: type[DepthProError], doing: str, advice: str) -> Iterator[None]:
    """Turn running out of memory into `error`, and give back what was cached."""
    try:
        yield
    except RuntimeError as reason:
        if not is_out_of_memory(reason):
            raise
        give_back()
        raise error(f"the device ran out of memory with {doing}: {advice} ({reason})") from reason


def give_back() -> None:
    """Let PyTorch give its cached memory back to the GPU, which other programs may need."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


class Thrifty:
    """Runs a network, and when memory runs out runs it once more in parts half as large, which it keeps."""

    def __init__(self, run: Callable[..., tuple[Tensor, Tensor | None]], network: DepthPro, log: Log):
        self._run, self._network, self._log = run, network, log

    def __call__(self, image: Tensor, fov: bool = True) -> tuple[Tensor, Tensor | None]:
        """Return what the network does; raises what PyTorch raises when smaller parts do not fit either."""
        try:
            return self._run(image, fov=fov)
        except RuntimeError as error:
            parts = Parts.of(self._network).halved()
            if not is_out_of_memory(error) or parts is None:
                raise
            reason = str(error)
        give_back()  # not before here, where the failed pass is let go of
        parts.set_on(self._network)
        self._log(
            f"the device ran out of memory: from now on {parts.patch_batch} patches are encoded at once and the finest "
            f"level comes in {parts.strips} strips, which is slower; set max_memory_gb to have it so from the start "
            f"({reason})"
        )
        return self._run(image, fov=fov)
