"""What a node tells of itself: rate, latency of each stage, age, drops, rejections, as diagnostics."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

WINDOW = 100  # frames over which figures are taken
COUNTED = ("received", "dropped", "published", "rejected", "failed")
SILENCE_S = 5.0  # without a frame for this long the input is called silent


class Health:
    """Collects figures from any thread and turns them into one DiagnosticStatus."""

    def __init__(self, name: str, hardware_id: str):
        self._name = name
        self._hardware_id = hardware_id
        self._lock = threading.Lock()
        self.facts: dict[str, object] = {}
        self.reset()

    def reset(self) -> None:
        """Start all figures anew."""
        with self._lock:
            self._counts: Counter[str] = Counter()
            self._laps: dict[str, deque[float]] = {}
            self._published_at: deque[float] = deque(maxlen=WINDOW)
            self._received_at = time.monotonic()
            self._problem: tuple[int, str] | None = None

    def count(self, what: str) -> None:
        """Add one to the figure `what`, such as "received"."""
        with self._lock:
            self._counts[what] += 1
            if what == "received":
                self._received_at = time.monotonic()

    def published(self, stages_ms: Mapping[str, float], age_ms: float) -> None:
        """Note a frame that went out whole, with the time of each stage and its age when it went."""
        with self._lock:
            self._counts["published"] += 1
            self._published_at.append(time.monotonic())
            self._problem = None
        self.worked({**stages_ms, "age": age_ms})

    def worked(self, stages_ms: Mapping[str, float]) -> None:
        """Note the time of stages, as of a frame whose depth does not go out by itself."""
        with self._lock:
            for stage, value in stages_ms.items():
                self._laps.setdefault(stage, deque(maxlen=WINDOW)).append(value)

    def problem(self, kind: str, reason: str, level: bytes = DiagnosticStatus.WARN) -> None:
        """Count a frame lost for a `reason`, which is shown until a frame goes out again."""
        with self._lock:
            self._counts[kind] += 1
            self._problem = (level, reason)

    def status(self, state: str) -> DiagnosticStatus:
        """Return the state now; `state` is the lifecycle's, or a sentence that says why there is none."""
        with self._lock:
            values: dict[str, object] = {**self.facts, "state": state, "rate_hz": self._rate()}
            values.update({kind: self._counts[kind] for kind in COUNTED})
            for stage, laps in self._laps.items():
                values[f"{stage}_ms_p50"], values[f"{stage}_ms_p95"] = np.percentile(laps, (50, 95)).round(2)
            level, message = self._judge(state)
        values["memory_mb"] = resident_mb()
        status = DiagnosticStatus(level=level, name=self._name, message=message, hardware_id=self._hardware_id)
        status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
        return status

    def _judge(self, state: str) -> tuple[bytes, str]:
        if self._problem is not None:
            return self._problem
        if state != "active":
            return DiagnosticStatus.WARN, state
        silent = time.monotonic() - self._received_at
        if silent > SILENCE_S:
            return DiagnosticStatus.WARN, f"no image for {silent:.0f} s: check the topic's name and its QoS"
        return DiagnosticStatus.OK, f"{self._rate():.1f} Hz"

    def _rate(self) -> float:
        """Return frames a second over the window, 0 when the last is long gone."""
        times = self._published_at
        if len(times) < 2 or time.monotonic() - times[-1] > SILENCE_S + times[-1] - times[-2]:
            return 0.0
        return round((len(times) - 1) / (times[-1] - times[0]), 2)


def resident_mb() -> float:
    """Return this process's resident memory in MB, NaN where /proc does not tell it."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)
