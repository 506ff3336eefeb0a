"""What the benchmarks share: the machine they ran on, a plain copy to compare with, and the report."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.errors import DepthProError

FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it
DIGITS = 4

Row = Mapping[str, Any]


def machine() -> dict[str, Any]:
    """Return what figures depend on: processor, cores that this process may use, versions."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "cpu": _cpu_model(),
        "cores": cores,
        "python": platform.python_version(),
        "numpy": np.__version__,
        "opencv": cv2.__version__,
        "opencv_threads": cv2.getNumThreads(),
    }


def _cpu_model() -> str:
    """Return the processor's name; Arm's /proc/cpuinfo has none, so that the architecture must do."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


class Copy:
    """A plain NumPy copy of `nbytes` bytes into memory that exists already: nothing can move them faster."""

    def __init__(self, nbytes: int) -> None:
        self.nbytes = nbytes
        self._source = np.arange(nbytes, dtype=np.uint8)
        self._target = self._source.copy()

    def __call__(self) -> None:
        """Copy once."""
        np.copyto(self._target, self._source)


def elapsed_ms(step: Callable[[], object]) -> float:
    """Return the milliseconds that one call of `step` takes."""
    start = time.perf_counter()
    step()
    return (time.perf_counter() - start) * 1e3


def in_turn_ms(step: Callable[[], object], other: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Return the median milliseconds of `step` and of `other`, called in turn so that a busy machine hits both."""
    pairs = [(elapsed_ms(step), elapsed_ms(other)) for _ in range(rounds)]
    steps, others = zip(*pairs, strict=True)
    return statistics.median(steps), statistics.median(others)


def percentile(values: Sequence[float], percent: float) -> float | None:
    """Return a percentile rounded for a report, None of no values."""
    return round(float(np.percentile(values, percent)), DIGITS) if len(values) else None


def progress(text: str) -> None:
    """Say what is being measured, on stderr, since stdout is for the figures."""
    print(text, file=sys.stderr, flush=True)


def main(description: str, measure: Callable[[bool], list[dict[str, Any]]], args: Sequence[str] | None) -> int:
    """Run `measure(quick)` and print machine and results, as a table or (--json) as one JSON object.

    Returns the exit status: 2 after an error that this package raises on purpose, which stderr tells. SIGTERM
    unwinds the process, so that its children are ended too.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--quick", action="store_true", help="measure less, for a first impression")
    chosen = parser.parse_args(args)
    signal.signal(signal.SIGTERM, _leave)
    try:
        report = {"machine": machine(), "results": measure(chosen.quick)}
    except DepthProError as error:
        progress(f"benchmark: {error}")
        return FAILED
    except KeyboardInterrupt:
        progress("benchmark: interrupted")
        return INTERRUPTED
    print(json.dumps(report, allow_nan=False) if chosen.json else text_of(report))
    return 0


def _leave(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)


def text_of(report: Mapping[str, Any]) -> str:
    """Return the report for people: a line about the machine, and a table with a row for each result."""
    about = ", ".join(f"{name} {value}" for name, value in report["machine"].items())
    return f"{about}\n\n{table(report['results'])}"


def table(rows: Sequence[Row]) -> str:
    """Return rows of the same keys as aligned columns under the keys."""
    lines = [list(rows[0]), *([_cell(value) for value in row.values()] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = ("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)
    return "\n".join(padded)


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_cell(part)}" for name, part in value.items())
    if isinstance(value, float):
        return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
    return "-" if value is None else str(value)
