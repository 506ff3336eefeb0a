"""The network against transformers' implementation, if it is installed: speed by turns in one process, and memory.

`network`: from the network's input to its output; `end_to_end`: from an image of a camera's size to its depth, with the
same preparation for both; `memory`: the peak of each alone, above the interpreter. Ratios are theirs over ours in time,
ours over theirs in memory. With `--exact` transformers' float32 takes turns as well where the precision is another: one
run then tells how much faster than it each is, and by how much each is off.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from depth_pro_ros import network
from depth_pro_ros.cli.benchmark_network import EXACT, OURS, THEIRS
from depth_pro_ros.cli.benchmark_timing import Report, parser, report, say
from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.inference.precision import candidates

SUBJECTS = ("network", "end_to_end", "memory")
CAMERA = "640x480"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of all three."""
    parser.add_argument("--preset", choices=network.PRESETS, default="depth_pro", help="default: %(default)s")
    parser.add_argument("--precision", nargs="+", default=["float32", "bfloat16"], help="default: %(default)s")
    parser.add_argument("--repeats", type=int, default=2, help="turns of each contender; default: %(default)s")
    parser.add_argument("--warm-up", action="store_true", help="one turn each that does not count")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1, help="default: all (%(default)s)")
    parser.add_argument("--size", default=CAMERA, metavar="WxH", help="of end_to_end's image; default: %(default)s")
    parser.add_argument(
        "--limit",
        type=float,
        default=1800.0,
        metavar="S",
        help="seconds that one pass may take, after which its time counts as more than that; default: %(default)s",
    )
    parser.add_argument("--exact", action="store_true", help="let transformers' float32 take turns as well")
    parser.add_argument("--no-memory", action="store_true", help="leave the memory of each contender out")


def measured(subject: str, args: argparse.Namespace) -> Report:
    """Return ratios by precision, the seconds of each run, and the peak memory of each contender."""
    if args.quick:
        args.preset, args.repeats = "tiny", 1
    contenders = [OURS, *([THEIRS] if importlib.util.find_spec("transformers") else [])]
    if THEIRS not in contenders:
        say("transformers is not installed, so that there is nothing to compare with: pip install depth_pro_ros[bench]")
    figures: Report = {"subject": subject, "preset": args.preset, "threads": args.threads, "contenders": contenders}
    figures.update(ratios={}, precisions={})
    with tempfile.TemporaryDirectory() as folder:
        say(f"writing random weights of '{args.preset}'")
        config = network.PRESETS[args.preset].published()
        network.save(network.build(config), Path(folder), "transformers")
        for precision in args.precision:
            common = {"path": folder, "precision": precision, "side": config.image_size, "threads": args.threads}
            if subject == "end_to_end":
                common["size"] = size_of(args.size)
            result: Report = {"ratio": None}
            if subject != "memory":
                exact = [EXACT] if args.exact and THEIRS in contenders and precision != "float32" else []
                result = measure_speed({**common, "contenders": [*contenders, *exact]}, args)
            if subject == "memory" or (subject == "network" and not args.no_memory):
                result["memory_mb"] = measure_memory(common, contenders, args.limit)
            result["arithmetic"] = candidates(precision, torch.device("cpu"))[0].name
            figures["precisions"][precision] = result
            figures["ratios"][precision] = result["ratio"]
    return figures


def size_of(text: str) -> tuple[int, int]:
    """Return (w, h) of "WxH"; raises ConfigurationError."""
    parts = text.split("x")
    if len(parts) != 2 or not all(part.isdecimal() and int(part) for part in parts):
        raise ConfigurationError(f"the size is '{text}'; it must be width x height in pixels, as {CAMERA}")
    return int(parts[0]), int(parts[1])


def measure_speed(common: Report, args: argparse.Namespace) -> Report:
    """Return the seconds of each turn and theirs over ours (medians); a lower bound where they ran out of time."""
    seconds: dict[str, list[float]] = {name: [] for name in common["contenders"]}
    result: Report = {"seconds": seconds}
    profile = str(args.profile.resolve()) if args.profile else None
    spec = {**common, "what": "speed", "repeats": args.repeats, "warm_up": args.warm_up, "profile": profile}
    finished = True
    for line in child(spec, args.limit):
        if line is None:
            finished = False
        elif "seconds" in line:
            seconds[line["contender"]].append(line["seconds"])
            say(f"{common['precision']} {line['contender']}: {line['seconds']:.2f} s")
        elif "errors" in line:
            result["errors"] = line["errors"]
        elif "contender" not in line:
            result["agreement"] = line
    if seconds.get(EXACT):
        result["ratio_to_float32"] = round(statistics.median(seconds[EXACT]) / statistics.median(seconds[OURS]), 3)
    return result | summary(seconds, finished, args.limit)


def summary(seconds: dict[str, list[float]], finished: bool, limit: float) -> Report:
    """Return the ratio of the medians, or its lower bound when transformers did not finish within `limit` seconds."""
    ours, theirs = (statistics.median(seconds[name]) if seconds.get(name) else None for name in (OURS, THEIRS))
    bound = THEIRS in seconds and theirs is None
    other = limit if bound else theirs
    return {
        "unfinished": None if finished else THEIRS if ours else OURS,
        "ratio": round(other / ours, 3) if ours and other else None,
        "ratio_is_lower_bound": bound,
    }


def measure_memory(common: Report, contenders: Sequence[str], limit: float) -> Report:
    """Return the peak of each contender alone, and ours over theirs."""
    peaks: Report = {}
    for name in contenders:
        for line in child({**common, "what": "memory", "contender": name}, limit):
            peaks[name] = {key: round(value) for key, value in (line or {}).items() if key != "contender"} or None
        say(f"{common['precision']} {name}: {peaks[name]}")
    if all(peaks.get(name) for name in (OURS, THEIRS)):
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


def table(figures: Report) -> str:
    """Return the report for people."""
    lines = [f"{figures['subject']} of {figures['preset']}, {figures['threads']} threads"]
    for precision, result in figures["precisions"].items():
        lines.append(f"{precision} ({result['arithmetic']})")
        if "seconds" in result:
            lines += _speed_lines(result)
        memory = result.get("memory_mb", {})
        for name in (OURS, THEIRS):
            if memory.get(name):
                peak = memory[name]
                lines.append(f"  memory   {name}: {peak['peak_mb']} MB, {peak['peak_anonymous_mb']} MB of it anonymous")
        if "ratio" in memory:
            lines.append(f"  memory   ours / transformers: {memory['ratio']}, anonymous {memory['ratio_anonymous']}")
    return "\n".join(lines)


def _speed_lines(result: dict[str, Any]) -> list[str]:
    runs = (f"{name} {', '.join(f'{t:.2f}' for t in times) or '-'}" for name, times in result["seconds"].items())
    lines = [f"  seconds  {'   '.join(runs)}"]
    if result["ratio"]:
        bound = "more than " if result["ratio_is_lower_bound"] else ""
        lines.append(f"  speed    {bound}{result['ratio']} times transformers'")
    if "ratio_to_float32" in result:
        lines.append(f"  speed    {result['ratio_to_float32']} times transformers' float32")
    for name, error in result.get("errors", {}).items():
        mean = error["mean_difference_over_sigma"]
        lines.append(f"  error    {name}: {mean:.2%} of sigma in the mean, against that float32")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Measure the subject that comes first and print; return the exit status."""
    subject, *rest = sys.argv[1:] if argv is None else argv
    arguments = parser(subject, __doc__)
    add_arguments(arguments)
    return report(arguments.parse_args(rest), lambda args: measured(subject, args), table, own_trace=True)


if __name__ == "__main__":
    raise SystemExit(main())
