"""What arrives of large messages between two processes, with Fast DDS's defaults and with the shipped profile.

`python -m depth_pro_ros.ros.benchmarks.transport [--json] [--quick]`. Images go best-effort at 15 Hz, clouds reliably
at 10 Hz. Latency is from before publish() to the subscriber's callback in Python.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from depth_pro_ros.ros.benchmarks import measure
from depth_pro_ros.ros.benchmarks.children import Children, shipped_environment
from depth_pro_ros.ros.transport import PROFILE_VARIABLES, profile_path

SECONDS, QUICK_SECONDS = 10, 4
MARGIN_S = 90.0  # over the time of sending, for processes to start and to find each other


@dataclass(frozen=True)
class Stream:
    """One kind of message: what the sender makes, its topic, size in pixels and rate."""

    kind: str
    topic: str
    width: int
    height: int
    rate_hz: int
    reliability: str


STREAMS = (
    Stream("camera", "image", 1920, 1080, 15, "best_effort"),
    Stream("cloud", "points", 640, 480, 10, "reliable"),
)


def default_environment(folder: Path) -> dict[str, str]:
    """Return an environment of Fast DDS's and malloc's defaults, but on loopback only.

    That is the shipped loopback profile, written into `folder` without the size of the shared-memory segment,
    which is all that it changes.
    """
    namespace = "http://www.eprosima.com"
    ElementTree.register_namespace("", namespace)
    profile = ElementTree.parse(profile_path(loopback=True))
    for transport in profile.iter(f"{{{namespace}}}transport_descriptor"):
        for size in transport.findall(f"{{{namespace}}}segment_size"):
            transport.remove(size)
    path = folder / "fastdds_defaults.xml"
    profile.write(path, encoding="utf-8", xml_declaration=True)
    shipped = {name: value for name, value in shipped_environment().items() if not name.startswith("MALLOC_")}
    return shipped | {name: str(path) for name in PROFILE_VARIABLES if name in shipped}


def figures(stream: Stream, environment: Mapping[str, str], seconds: float) -> dict[str, Any]:
    """Send one stream from one process to another and return what arrived; latencies are None when nothing did."""
    count = round(seconds * stream.rate_hz)
    what = (stream.kind, stream.width, stream.height, stream.rate_hz, count)
    with Children(environment) as children:
        children.start("listener", "benchmarks.listener", stream.topic)
        children.start("sender", "benchmarks.sender", *map(str, what))
        sent = children.wait("sender", seconds + MARGIN_S)
        ages_ms = children.stop("listener")["ages_ms"][stream.topic]
    return {
        "mb": round(sent["bytes"] / 1e6, 1),
        "rate_hz": stream.rate_hz,
        "sent": count,
        "arrived": len(ages_ms),
        "share_arrived": round(len(ages_ms) / count, 3),
        "latency_ms_p50": measure.percentile(ages_ms, 50),
        "latency_ms_p95": measure.percentile(ages_ms, 95),
        "rmw": sent["rmw"],
    }


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure both streams under both settings."""
    results = []
    with tempfile.TemporaryDirectory(prefix="depth_pro_ros_benchmark_") as folder:
        environments = {"defaults": default_environment(Path(folder)), "profile": shipped_environment()}
        for stream in STREAMS:
            for case, environment in environments.items():
                measure.progress(f"{stream.topic} with {case}")
                row = {"what": stream.topic, "reliability": stream.reliability, "case": case}
                results.append(row | figures(stream, environment, QUICK_SECONDS if quick else SECONDS))
    return results


def main(args: Sequence[str] | None = None) -> int:
    """Measure and print."""
    return measure.main(__doc__.splitlines()[0], run, args)


if __name__ == "__main__":
    sys.exit(main())
