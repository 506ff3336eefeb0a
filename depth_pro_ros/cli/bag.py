"""`depth_pro_ros bag`: a ROS 2 bag in, the same bag with depth beside every image out, without ROS.

For an image topic /camera/image_raw the new bag holds, beside all that the old one does, /camera/depth/image_rect,
/camera/depth/camera_info, and on demand /camera/points and /camera/depth/sigma, under the image's own header and at
its receive time. A run that was interrupted goes on where it stopped when the command is given again.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from depth_pro_ros.cli import predict
from depth_pro_ros.cli.bag_arguments import add_arguments, check
from depth_pro_ros.cli.bag_cameras import Camera, Index, assign_cues, choose, describe, read_index, topics_of
from depth_pro_ros.cli.bag_fusion import CueSettings
from depth_pro_ros.cli.bag_images import Job, Network
from depth_pro_ros.cli.bag_input import Bag, open_bag
from depth_pro_ros.cli.bag_output import OutputSettings, Summary, write_bag
from depth_pro_ros.cli.bag_spool import Spool
from depth_pro_ros.cli.bag_workers import Model, workers
from depth_pro_ros.errors import ConfigurationError, SourceError

__all__ = ["add_arguments", "run"]

DONE, SOME_FAILED = 0, 1
TOLD = 5  # different sentences about images that cannot be done; of more, only their number is told


def run(args: argparse.Namespace, load: Callable[..., Any] | None = None) -> int:
    """Write OUT; return 0, or 1 when it lacks the depth of some images (whose reasons are on stderr).

    `load` makes the predictor and is Predictor.load unless a test gives another. Raises SourceError, OutputError,
    ConfigurationError, CheckpointError, CalibrationError, InferenceError or AlignmentError, and then leaves no OUT.
    """
    start = time.perf_counter()
    check(args)
    with open_bag(args.bag) as bag:
        topics = choose(bag, args.topics, args.cue)
        cameras = describe(bag, topics, args.camera_info, args.images, args.under)
        settings = _output_settings(args, bag)
        spool = Spool.open(args.out, _made_with(args), args.restart)
        try:
            record = _process(args, bag, cameras, spool, settings, load)
        finally:
            spool.discard_if_empty()
    record["seconds"] = time.perf_counter() - start
    print(json.dumps(record, indent=2, allow_nan=False) if args.json else _summary(record))
    return SOME_FAILED if any(camera["failed"] for camera in record["cameras"].values()) else DONE


def _process(
    args: argparse.Namespace,
    bag: Bag,
    cameras: Sequence[Camera],
    spool: Spool,
    settings: OutputSettings,
    load: Callable[..., Any] | None,
) -> dict[str, Any]:
    """Read the headers, predict, write the bag; return its figures."""
    with _bar(args, bag.count(topics_of(cameras, args.cue)), "reading", "message") as bar:
        index = read_index(bag, cameras, args.cue, bar.update)
    assigned = assign_cues(index, cameras, args.cue)
    resumed, failed = _predict(args, bag, index, cameras, spool, load)
    tied = {camera: _cue_settings(args, assigned[camera.topic]) for camera in cameras}
    with _bar(args, bag.count(), "writing", "message") as bar, open_bag(args.bag) as cues:
        summaries = write_bag(bag, cues, index, tied, spool, settings, bar.update)
    return _record(args, index, summaries, spool.model, failed) | {"resumed": resumed}


def _made_with(args: argparse.Namespace) -> dict[str, Any]:
    """Return what the predictions depend on, as JSON keeps it."""
    given = Path(args.weights).expanduser()
    weights = [str(given.resolve()), given.stat().st_mtime_ns] if given.is_file() else args.weights
    parts = sorted(args.bag.iterdir()) if args.bag.is_dir() else [args.bag]
    return {
        "bag": str(args.bag.resolve()),
        "bytes": sum(part.stat().st_size for part in parts),
        "weights": weights,
        "precision": args.precision,
        "backend": args.backend,
        "quality": args.quality,
        "focal": args.focal,
        "scale": args.scale,
        "camera_info": args.camera_info,
        "images": args.images,
    }


def _predict(
    args: argparse.Namespace,
    bag: Bag,
    index: Index,
    cameras: Sequence[Camera],
    spool: Spool,
    load: Callable[..., Any] | None,
) -> tuple[int, Counter[str]]:
    """Predict what the spool lacks; return how many images it had, and topic → how many cannot be done."""
    total = sum(len(index.images[camera.topic]) for camera in cameras)
    had = sum(spool.has(camera.topic, n) for camera in cameras for n in range(len(index.images[camera.topic])))
    problems = _Problems()
    if had:
        _note(f"going on with {spool.folder}: {had} of {total} images are done")
    if had < total:
        network = Network(args.weights, args.device, args.precision, args.backend, args.quality)
        model = Model(network, args.focal, args.scale, _threads(args.workers))
        with workers(args.workers, model, load) as working, _bar(args, total, "depth", "image", had) as bar:
            spool.model = working.description
            if not working.description["trained"]:
                _note(predict.UNTRAINED_WARNING)
            for job, problem in working.results(_jobs(bag, index, cameras, spool, problems)):
                if problem is not None:
                    problems.add(job.topic, job.number, problem)
                bar.update()
    problems.close()
    if sum(problems.counts.values()) == total:
        raise SourceError(f"not one of the {total} images of {args.bag} can be used: the reasons are above")
    return had, problems.counts


def _jobs(bag: Bag, index: Index, cameras: Sequence[Camera], spool: Spool, problems: _Problems) -> Iterator[Job]:
    """Yield the images that have no prediction yet, in the order of the bag."""
    by_topic = {camera.topic: camera for camera in cameras}
    seen: Counter[str] = Counter()
    for connection, _, raw in bag.messages(by_topic):
        camera, number = by_topic[connection.topic], seen[connection.topic]
        seen[camera.topic] += 1
        image = index.images[camera.topic][number]
        if image is None:
            problems.add(camera.topic, number, "the message is too short to hold a header: it was damaged")
        elif not spool.has(camera.topic, number):
            info = index.info(camera, image)
            target = spool.path(camera.topic, number)
            yield Job(camera.topic, number, camera.msgtype, raw, info, camera.rectified, target)


class _Problems:
    """Images that cannot be done: each new reason is a line on stderr, up to `TOLD`; the rest is counted."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._reasons: Counter[str] = Counter()

    def add(self, topic: str, number: int, reason: str) -> None:
        """Tell and count an image."""
        self.counts[topic] += 1
        self._reasons[reason] += 1
        if self._reasons[reason] == 1 and len(self._reasons) <= TOLD:
            _note(f"depth_pro_ros: image {number} of {topic}: {reason}")

    def close(self) -> None:
        """Tell how many images have had no line of their own."""
        untold = sum(self.counts.values()) - min(len(self._reasons), TOLD)
        if untold:
            _note(f"depth_pro_ros: {untold} more image{'s' * (untold > 1)} cannot be done, mostly for these reasons")


def _threads(workers: int) -> int:
    """Return how many threads each of several workers takes, so that together they fill the processor."""
    return 0 if workers == 1 else max(1, (os.cpu_count() or 1) // workers)


def _cue_settings(args: argparse.Namespace, topics: Sequence[str]) -> CueSettings:
    return CueSettings(tuple(topics), args.cue_tolerance, args.disparity_sigma, args.depth_sigma)


def _output_settings(args: argparse.Namespace, bag: Bag) -> OutputSettings:
    """Return what is to be written; raises ConfigurationError for a storage that cannot compress."""
    storage = args.storage or bag.storage
    if args.compress and storage != "mcap":
        raise ConfigurationError("--compress works chunk by chunk, which sqlite3 has not: give --storage mcap with it")
    return OutputSettings(
        storage,
        compress=args.compress,
        encoding=args.encoding,
        max_range_m=args.max_range,
        cloud_stride=args.cloud_stride if args.cloud else 0,
        cloud_max_range_m=args.cloud_max_range,
        sigma=args.sigma,
        focal=args.focal,
    )


def _bar(args: argparse.Namespace, total: int, what: str, unit: str, initial: int = 0) -> tqdm:
    return tqdm(total=total, initial=initial, desc=what, unit=unit, disable=args.json)


def _note(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def _record(
    args: argparse.Namespace,
    index: Index,
    summaries: Mapping[Camera, Summary],
    model: Mapping[str, Any] | None,
    problems: Mapping[str, int],
) -> dict[str, Any]:
    """Return the figures as values that JSON can hold."""
    cameras = {
        camera.topic: {
            "images": len(index.images[camera.topic]),
            "written": summary.images,
            "failed": problems.get(camera.topic, 0),
            "namespace": camera.namespace or "/",
            "camera_info": camera.info_topic,
            "depth_focal_px": summary.focal_px if summary.images else None,
            "fusion": dict(summary.states),
        }
        for camera, summary in summaries.items()
    }
    return {"input": str(args.bag), "output": str(args.out), "model": dict(model or {}), "cameras": cameras}


def _summary(record: Mapping[str, Any]) -> str:
    """Return the lines for people."""
    lines = []
    for topic, camera in record["cameras"].items():
        focal = "" if camera["depth_focal_px"] is None else f", focal {camera['depth_focal_px']:.0f} px"
        fused = "".join(f", {count} {state}" for state, count in camera["fusion"].items())
        where = camera["namespace"].rstrip("/") + "/depth"
        lines.append(f"{topic}: depth of {camera['written']} of {camera['images']} images{focal}{fused} -> {where}")
    return "\n".join([*lines, f"{record['output']}: written in {record['seconds']:.1f} s"])
