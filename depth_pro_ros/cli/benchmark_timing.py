"""What the benchmarks of this folder share: contenders in turns, the machine, the flags, the report and the trace."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.errors import DepthProError, OutputError

FAILED = 2
Report = dict[str, Any]
Work = Callable[[], object]


def in_turns(
    contenders: Mapping[str, Work], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> dict[str, list[float]]:
    """Return the milliseconds that each contender took in each of `repeats` turns, after one to warm up.

    In every turn each contender comes once, so that a busy machine hits all. `clock` time.process_time takes the
    time of this process on processors alone. Work for a GPU must wait for it.
    """
    turns: dict[str, list[float]] = {name: [] for name in contenders}
    for turn in range(repeats + 1):
        for name, work in contenders.items():
            started = clock()
            work()
            if turn:
                turns[name].append(1e3 * (clock() - started))
    return turns


def medians(turns: Mapping[str, Sequence[float]], digits: int = 3) -> dict[str, float]:
    """Return the median of each contender's turns."""
    return {name: round(statistics.median(times), digits) for name, times in turns.items()}


def ratio(turns: Mapping[str, Sequence[float]], one: str, other: str) -> float:
    """Return the median over the turns of the time of `one` over that of `other`."""
    return round(statistics.median(a / b for a, b in zip(turns[one], turns[other], strict=True)), 3)


def machine() -> Report:
    """Return what figures depend on: the processor, the cores that this process may use, versions, precision."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    facts: Report = {"cpu": cpu_name(), "cores": cores, "load": round(os.getloadavg()[0], 1)}
    facts.update(python=platform.python_version(), numpy=np.__version__, opencv=cv2.__version__)
    if "torch" in sys.modules:  # a benchmark that does without it does not pay for its import
        facts.update(torch_facts())
    return facts


def torch_facts() -> Report:
    """Return what figures of the network depend on."""
    import torch

    from depth_pro_ros.inference.precision import candidates

    return {
        "torch": torch.__version__,
        "torch_threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_arithmetic": len(candidates("auto", torch.device("cpu"))) > 1,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def cpu_name() -> str:
    """Return the processor's name as Linux tells it, else as Python does."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = (line.split(":")[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def machine_line(facts: Mapping[str, Any]) -> str:
    """Return the machine for people."""
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items() if value is not None)


def say(text: str) -> None:
    """Tell the progress."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def traced(path: Path | None) -> Iterator[None]:
    """Write a trace of the block to `path` for chrome://tracing or Perfetto; without a path do nothing.

    Raises OutputError when it cannot be written.
    """
    if path is None:
        yield
        return
    import torch

    if not path.parent.is_dir():
        raise OutputError(f"the trace {path} cannot be written: its folder does not exist; make it or name another")
    with torch.profiler.profile() as profile:
        yield
    profile.export_chrome_trace(str(path))
    say(f"trace: {path} (open it with chrome://tracing or ui.perfetto.dev)")


def parser(subject: str, description: str | None) -> argparse.ArgumentParser:
    """Return a parser with the flags that every subject has."""
    result = argparse.ArgumentParser(prog=f"depth_pro_ros benchmark {subject}", description=description)
    result.add_argument("--quick", action="store_true", help="measure less, for a first impression")
    result.add_argument("--json", action="store_true", help="print one JSON object")
    result.add_argument("--profile", type=Path, metavar="FILE", help="write a trace of the measurement for Chrome")
    return result


def report(
    args: argparse.Namespace,
    measure: Callable[[argparse.Namespace], Report],
    table: Callable[[Report], str],
    own_trace: bool = False,
) -> int:
    """Measure, print the machine and the figures, and return the exit status.

    2 after an error that this package raises on purpose, which is one line on stderr. With `own_trace` it is `measure`
    that sees to --profile, since its work is done elsewhere.
    """
    try:
        with traced(None if own_trace else args.profile):
            figures = measure(args)
    except DepthProError as error:
        say(f"benchmark: {error}")
        return FAILED
    facts = machine()
    print(json.dumps({"machine": facts, **figures}) if args.json else f"{machine_line(facts)}\n{table(figures)}")
    return 0
