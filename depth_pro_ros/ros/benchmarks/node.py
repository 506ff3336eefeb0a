"""What depth_node adds to the time of its network: the real process over DDS, beside the copies that it cannot avoid.

`python -m depth_pro_ros.ros.benchmarks.node [--json] [--quick]`. A camera process sends at a pace at which nothing is
dropped; the node runs the untrained network "micro", whose answers mean nothing and take little time.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from depth_pro_ros.ros.benchmarks import measure
from depth_pro_ros.ros.benchmarks.children import Children, shipped_environment
from depth_pro_ros.ros.depth_outputs import DEPTH, DEPTH_INFO, POINTS

SIZES = ((640, 480), (1920, 1080))
RATE_HZ = 2  # slow enough for a laptop's CPU to be done with a frame before the next comes
FRAMES, QUICK_FRAMES = 20, 6
STRIDE = 2  # of the cloud, as depth_node has it by default
NODE_PARAMETERS = {"weights": "micro", "cloud.stride": STRIDE}
TIMEOUT_S = 150.0
NEXT_REPORT_S = 2.5  # depth_node reports once a second
MIDDLE = "_ms_p50"

Status = dict[str, str]
Ages = dict[str, list[float]]


def unavoidable_bytes(width: int, height: int, cloud: bool) -> int:
    """Return the bytes of one rgb8 image in, its 32FC1 depth out, and the cloud of 16 bytes a point out."""
    points = -(-width // STRIDE) * -(-height // STRIDE) if cloud else 0
    return width * height * (3 + 4) + points * 16


def figures(width: int, height: int, cloud: bool, frames: int) -> dict[str, Any]:
    """Run depth_node on `frames` images and return its medians in ms, with copies timed while it runs.

    age: from the image's stamp to the end of publishing; overhead: age less the network's own time; input: the
    part of it before decoding, which is transport and waiting; arrival: from the image's stamp to the callback of
    a Python subscriber. Where `kept_pace` is false frames waited for one another, which the figures then contain.
    """
    copy, copies_ms = measure.Copy(unavoidable_bytes(width, height, cloud)), []
    status, ages_ms = heard(width, height, cloud, frames, lambda: copies_ms.append(measure.elapsed_ms(copy)))
    stages_ms = {key.removesuffix(MIDDLE): float(value) for key, value in status.items() if key.endswith(MIDDLE)}
    age_ms, copy_ms = stages_ms.pop("age"), statistics.median(copies_ms)
    overhead_ms = age_ms - stages_ms["network"]
    return {
        "sent": frames,
        **{count: int(status[count]) for count in ("published", "dropped")},
        "kept_pace": age_ms < 1e3 / RATE_HZ,
        "age_ms": age_ms,
        "overhead_ms": round(overhead_ms, measure.DIGITS),
        "copied_mb": round(copy.nbytes / 1e6, 1),
        "copy_ms": round(copy_ms, measure.DIGITS),
        "ratio": round(overhead_ms / copy_ms, 2),
        "input_ms": round(age_ms - sum(stages_ms.values()), measure.DIGITS),
        "stages_ms": stages_ms,
        "arrival_ms": {topic: measure.percentile(ages, 50) for topic, ages in ages_ms.items()},
        **{fact: status[fact] for fact in ("weights", "device", "precision")},
    }


def heard(width: int, height: int, cloud: bool, frames: int, meanwhile: Callable[[], object]) -> tuple[Status, Ages]:
    """Run a camera, depth_node and a subscriber as processes; return the node's last diagnostics and ages by topic.

    Raises BenchmarkError when a process fails or no frame comes through.
    """
    topics = [DEPTH, DEPTH_INFO, *([POINTS] if cloud else [])]
    parameters = (argument for pair in NODE_PARAMETERS.items() for argument in ("-p", "{}:={}".format(*pair)))
    with Children(shipped_environment()) as children:
        children.start("listener", "benchmarks.listener", *topics)
        children.start("depth_node", "child", "depth_node", "--ros-args", *parameters)
        children.start("sender", "benchmarks.sender", "camera", *map(str, (width, height, RATE_HZ, frames)))
        children.wait("sender", TIMEOUT_S, meanwhile)
        time.sleep(NEXT_REPORT_S)
        report = children.stop("listener")
        status, ages_ms = report["status"], report["ages_ms"]
        if not all(ages_ms.values()):
            raise children.failure("depth_node", f"(state: {status.get('state', 'unknown')}) let no frame through")
    return status, ages_ms


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure each size without and with a cloud; quickly only the least and the most of it."""
    results = []
    for width, height in SIZES:
        for cloud in (False, True):
            if quick and cloud != ((width, height) == SIZES[-1]):
                continue
            row = {"size": f"{width}x{height}", "cloud": cloud}
            measure.progress(f"depth_node on {row['size']}{' with a cloud' if cloud else ''}")
            results.append(row | figures(width, height, cloud, QUICK_FRAMES if quick else FRAMES))
    return results


def main(args: Sequence[str] | None = None) -> int:
    """Measure and print."""
    return measure.main(__doc__.splitlines()[0], run, args)


if __name__ == "__main__":
    sys.exit(main())
