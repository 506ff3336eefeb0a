"""`depth_pro_ros benchmark`: figures of this machine, as ratios taken within one run.

Shared machines vary from minute to minute, so every figure that is worth comparing is a ratio of two
contenders that took turns.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from depth_pro_ros import network
from depth_pro_ros.cli.benchmark_network import OURS, THEIRS
from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.inference.precision import candidates

# Each is a program of its own, whose imports the others do not pay for.
PROGRAMS = {
    **{name: f"depth_pro_ros.cli.benchmark_{name}" for name in ("stereo", "motion", "fusion", "propagation", "scenes")},
    **{name: f"depth_pro_ros.ros.benchmarks.{name}" for name in ("conversions", "node", "transport")},
}
TARGETS = ("network", *PROGRAMS)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "what",
        nargs="?",
        choices=("all", *TARGETS),
        default="all",
        help="the network against transformers, or another part; default: %(default)s, with a small network",
    )
    parser.add_argument(
        "--preset", choices=network.PRESETS, help="default: depth_pro (minutes a run), with `all` tiny (seconds)"
    )
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"], help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=2, help="turns of each contender; default: %(default)s")
    parser.add_argument("--warm-up", action="store_true", help="one turn each that does not count")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all (%(default)s)")
    parser.add_argument(
        "--limit",
        type=float,
        default=1800.0,
        metavar="S",
        help="seconds that one pass may take, after which its time counts as more than that; default: %(default)s",
    )
    parser.add_argument("--no-memory", action="store_true", help="leave the memory of each contender out")
    parser.add_argument("--quick", action="store_true", help="a shorter run of all but the network")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Measure and print; with `all` one after the other, and --json one object a line or block each."""
    args.preset = args.preset or ("tiny" if args.what == "all" else "depth_pro")
    return max(_run_one(what, args) for what in (TARGETS if args.what == "all" else [args.what]))


def _run_one(what: str, args: argparse.Namespace) -> int:
    if what in PROGRAMS:
        flags = [flag for flag, wanted in (("--json", args.json), ("--quick", args.quick)) if wanted]
        return subprocess.call([sys.executable, "-m", PROGRAMS[what], *flags])
    report = measure_network(args)
    print(json.dumps(report, indent=2) if args.json else table(report), flush=True)
    return 0


def measure_network(args: argparse.Namespace) -> dict[str, Any]:
    """Return ratios by precision, the seconds of each run, and the peak memory of each contender."""
    try:
        import transformers
    except ImportError as error:
        raise ConfigurationError(
            "the benchmark of the network compares with transformers, which is not installed: "
            "pip install -r requirements/dev.txt"
        ) from error
    report: dict[str, Any] = {"machine": machine(), "transformers": transformers.__version__, "preset": args.preset}
    report.update(threads=args.threads, ratios={}, precisions={})
    with tempfile.TemporaryDirectory() as folder:
        say(f"writing random weights of '{args.preset}'")
        config = network.PRESETS[args.preset].published()
        network.save(network.build(config), Path(folder), "transformers")
        for precision in args.precision:
            common = {"path": folder, "precision": precision, "side": config.image_size, "threads": args.threads}
            result = measure_speed(common, args)
            if not args.no_memory:
                result["memory_mb"] = measure_memory(common, args.limit)
            result["arithmetic"] = candidates(precision, torch.device("cpu"))[0].name
            report["precisions"][precision] = result
            report["ratios"][precision] = result["ratio"]
    return report


def measure_speed(common: dict[str, Any], args: argparse.Namespace) -> dict[str, Any]:
    """Return the seconds of each turn and theirs over ours (medians); a lower bound where they ran out of time."""
    seconds: dict[str, list[float]] = {OURS: [], THEIRS: []}
    result: dict[str, Any] = {"seconds": seconds}
    spec = {**common, "what": "speed", "repeats": args.repeats, "warm_up": args.warm_up}
    finished = True
    for line in child(spec, args.limit):
        if line is None:
            finished = False
        elif "seconds" in line:
            seconds[line["contender"]].append(line["seconds"])
            say(f"{common['precision']} {line['contender']}: {line['seconds']:.2f} s")
        elif "contender" not in line:
            result["agreement"] = line
    median = {name: statistics.median(times) if times else None for name, times in seconds.items()}
    result["unfinished"] = None if finished else THEIRS if median[OURS] else OURS
    other = median[THEIRS] or args.limit
    result["ratio"] = round(other / median[OURS], 3) if median[OURS] else None
    result["ratio_is_lower_bound"] = median[THEIRS] is None
    return result


def measure_memory(common: dict[str, Any], limit: float) -> dict[str, Any]:
    """Return the peak of each contender alone, and ours over theirs."""
    peaks: dict[str, Any] = {}
    for name in (OURS, THEIRS):
        for line in child({**common, "what": "memory", "contender": name}, limit):
            peaks[name] = {key: round(value) for key, value in (line or {}).items() if key != "contender"} or None
        say(f"{common['precision']} {name}: {peaks[name]}")
    if peaks[OURS] and peaks[THEIRS]:
        peaks["ratio"] = round(peaks[OURS]["peak_mb"] / peaks[THEIRS]["peak_mb"], 3)
        peaks["ratio_anonymous"] = round(peaks[OURS]["peak_anonymous_mb"] / peaks[THEIRS]["peak_anonymous_mb"], 3)
    return peaks


def child(spec: dict[str, Any], limit: float) -> Iterator[dict[str, Any] | None]:
    """Yield the JSON lines of a child; None, last, when one line took longer than `limit` seconds to come."""
    command = [sys.executable, "-m", "depth_pro_ros.cli.benchmark_network", json.dumps(spec)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    watch = Watchdog(process, limit)
    try:
        for line in process.stdout:
            watch.feed()
            yield json.loads(line)
        if process.wait() and not watch.bitten:
            raise ConfigurationError(f"the benchmark's child failed with status {process.returncode}; see above")
    finally:
        watch.stop()
        process.kill()
        process.wait()
    if watch.bitten:
        yield None


class Watchdog:
    """Kills a process that stays silent for too long."""

    def __init__(self, process: subprocess.Popen[str], limit: float):
        self._process, self._limit = process, limit
        self.bitten = False
        self._start()

    def _start(self) -> None:
        self._timer = threading.Timer(self._limit, self._bite)
        self._timer.daemon = True
        self._timer.start()

    def feed(self) -> None:
        """Start the time anew."""
        self._timer.cancel()
        self._start()

    def _bite(self) -> None:
        self.bitten = True
        self._process.kill()

    def stop(self) -> None:
        """Leave the process alone."""
        self._timer.cancel()


def machine() -> dict[str, Any]:
    """Return what the figures depend on."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "bfloat16_arithmetic": len(candidates("auto", torch.device("cpu"))) > 1,
        "python": platform.python_version(),
        "torch": torch.__version__,
    }


def cpu_name() -> str:
    """Return the processor's name as Linux tells it, else as Python does."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def table(report: dict[str, Any]) -> str:
    """Return the report for people."""
    lines = [
        f"{report['preset']} on {report['machine']['cpu']}, {report['threads']} threads, "
        f"torch {report['machine']['torch']}, against transformers {report['transformers']}"
    ]
    for precision, result in report["precisions"].items():
        bound = "more than " if result["ratio_is_lower_bound"] else ""
        runs = {name: ", ".join(f"{t:.2f}" for t in times) or "-" for name, times in result["seconds"].items()}
        lines.append(f"{precision} ({result['arithmetic']}): {bound}{result['ratio']} times transformers' speed")
        lines.append(f"  seconds  ours {runs[OURS]}   transformers {runs[THEIRS]}")
        memory = result.get("memory_mb", {})
        for name in (OURS, THEIRS):
            if memory.get(name):
                peak = memory[name]
                lines.append(f"  memory   {name}: {peak['peak_mb']} MB, {peak['peak_anonymous_mb']} MB of it anonymous")
        if "ratio" in memory:
            lines.append(f"  memory   ours / transformers: {memory['ratio']}, anonymous {memory['ratio_anonymous']}")
    return "\n".join(lines)


def say(text: str) -> None:
    """Tell the progress."""
    print(text, file=sys.stderr, flush=True)
