"""How training stops: on a signal, when its time is up, or because the numbers have gone."""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Any

from depth_pro_ros.errors import DepthProError

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class TrainingError(DepthProError):
    """Training that cannot go on: a loss or a gradient is no longer a number."""


class Stopper:
    """Turns the first SIGINT or SIGTERM, or the end of `limit_s` seconds, into a wish that the loop reads.

    A second signal is the operating system's again, so that a hung run can still be ended.
    """

    def __init__(self, limit_s: float | None = None):
        self.reason: str | None = None
        self._deadline = None if limit_s is None else time.monotonic() + limit_s
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Stopper:
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exception: object) -> None:
        self._restore()

    def wanted(self) -> bool:
        """Tell whether training should stop after this step; `reason` then says why."""
        if self.reason is None and self._deadline is not None and time.monotonic() >= self._deadline:
            self.reason = "the time limit is reached"
        return self.reason is not None

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self.reason = f"{signal.Signals(number).name} was received"
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
