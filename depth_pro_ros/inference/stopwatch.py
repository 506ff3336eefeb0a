"""How long the stages of a frame take, on a device that works off a queue of its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol, cast

import torch


class Mark(Protocol):
    """A point in a device's queue of work; torch.cuda.Event is one."""

    def record(self) -> None:
        """Set the mark behind what was queued so far."""

    def elapsed_time(self, later: Any, /) -> float:
        """Return the milliseconds from here to a `later` mark of the same kind; both must have been reached."""


class _Now:
    """A mark by the clock, once `drain` has waited for what was queued."""

    def __init__(self, drain: Callable[[], None]):
        self._drain = drain

    def record(self) -> None:
        self._drain()
        self.seconds = time.perf_counter()

    def elapsed_time(self, later: _Now) -> float:
        return (later.seconds - self.seconds) * 1e3


class Stopwatch:
    """Time of consecutive stages in milliseconds.

    On a CUDA device the marks lie in its queue, so that measuring does not hold up the host, and are read once it is
    drained: `laps_ms` synchronises. Elsewhere each lap waits for the device and takes the wall time.
    """

    def __init__(self, device: torch.device):
        self._device = device
        self._marks: list[tuple[str, Mark]] = []
        self.lap("")

    def lap(self, name: str) -> None:
        """End the stage `name`, which began with the lap before."""
        mark = self._mark()
        mark.record()
        self._marks.append((name, mark))

    def _mark(self) -> Mark:
        if self._device.type == "cuda":
            return cast(Mark, torch.cuda.Event(enable_timing=True))
        return _Now(torch.mps.synchronize if self._device.type == "mps" else lambda: None)

    def laps_ms(self) -> dict[str, float]:
        """Wait for the device and return the time of each stage so far."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        pairs = zip(self._marks, self._marks[1:], strict=False)
        return {name: start.elapsed_time(end) for (_, start), (name, end) in pairs}
