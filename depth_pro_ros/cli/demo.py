"""`depth_pro_ros demo`: the real nodes as processes over DDS, on a camera of one's choice.

camera_node plays the source, depth_node predicts, and a recorder hands what arrives over DDS to this
process, which knows no ROS. The output folder receives depth.png (photo and depth, with truth and error
where there is a truth), cloud.png (the cloud from two viewpoints), cloud.ply, report.json and logs/.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tqdm import tqdm

from depth_pro_ros.cli import demo_pictures
from depth_pro_ros.cli.demo_nodes import DemoError, Nodes, ended_by_signals
from depth_pro_ros.cli.demo_report import COUNTS, UNTRAINED, Frame, Tally, make_report, table
from depth_pro_ros.errors import SourceError
from depth_pro_ros.outputs import files

SOURCES = ("scene", "folder", "video", "bag", "device")
RATES_HZ = {"scene": 10.0, "folder": 10.0}  # other sources have a pace of their own: 0
STEREO_RATE_HZ = 3.0
POLL_S = 0.05
BASELINE_M = 0.12
# What measures the scale: the node, and how its topics meet the camera's and depth_node's.
FUSION = {
    "stereo": (
        "stereo_node",
        {
            "__ns": "/stereo",
            "left/image": "/image",
            "left/camera_info": "/camera_info",
            "right/image": "/right/image",
            "right/camera_info": "/right/camera_info",
            "disparity": "/cues/disparity",
        },
    ),
    "odometry": ("landmark_node", {"landmarks": "cues/landmarks"}),
}
SETTLE_S = 6.0  # depth_node reports once a second
HOPELESS = 10  # frames lost, and none out: it will not become better

Status = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "--source",
        default="scene",
        metavar="|".join(SOURCES),
        help="what the camera sees; scene is a procedural room with true depth; a number is that device",
    )
    parser.add_argument("--path", metavar="P", help="the folder, video file, bag or device")
    parser.add_argument("--frames", type=_count, default=30, metavar="N", help="depth images; default: %(default)s")
    parser.add_argument(
        "--rate", type=_positive, metavar="HZ",
        help=f"of the camera; default: 10 for scene and folder, {STEREO_RATE_HZ:g} with stereo, else its own",
    )  # fmt: skip
    parser.add_argument(
        "--fusion", default="none", choices=("none", *FUSION), help="tie the scale to stereo, or to the camera's motion"
    )
    parser.add_argument("--weights", default="tiny", metavar="NAME|PATH", help="default: %(default)s, the embedded one")
    parser.add_argument("--device", default="auto", choices=("auto", "cuda", "cpu", "mps"), help="runs the network")
    parser.add_argument(
        "--output", type=Path, default=Path("demo_output"), metavar="FOLDER", help="default: %(default)s"
    )
    parser.add_argument(
        "--timeout", type=_positive, default=180.0, metavar="S", help="give up after; default: %(default)s"
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON, and no progress bar")


def _positive(text: str) -> float:
    """Return a positive, finite number from the command line."""
    if not (math.isfinite(value := float(text)) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _count(text: str) -> int:
    """Return a positive number of frames from the command line."""
    if (value := int(text)) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of frames")
    return value


def _rate_hz(source: str, args: argparse.Namespace) -> float:
    """Return the camera's rate, 0 for its own: with stereo one that stereo_node keeps beside a network on a CPU.

    Both nodes take the newest images; where both leave some out, few are left that both have taken.
    """
    if args.rate is not None:
        return float(args.rate)
    return STEREO_RATE_HZ if args.fusion == "stereo" else RATES_HZ.get(source, 0.0)


def run(args: argparse.Namespace) -> int:
    """Run the demo; return 0 when all frames came.

    Raises SourceError for a source that cannot be, and DemoError when the frames did not come, after showing
    the log of the node at fault. What did come is written in either case; without any, earlier results stay.
    """
    source, path = choose_source(args.source, args.path)
    if args.fusion == "stereo" and source != "scene":
        raise SourceError(f"--fusion stereo needs a stereo camera, and the source {source} has one image: use a scene")
    out = files.make_folder(args.output)
    logs = files.make_folder(out / "logs")
    failure = None
    with ended_by_signals(), tempfile.TemporaryDirectory(prefix="depth_pro_ros_demo_") as scratch:
        spool = Spool(Path(scratch))
        with Nodes(logs, spool.folder) as nodes, _progress(args) as bar:
            try:
                start(nodes, args, source, path, spool.folder)
                watch(nodes, spool, args.frames, args.timeout, bar)
            except DemoError as error:
                failure = error
    if spool.tally.count and spool.status:
        report = make_report(spool.tally, spool.status, source, path)
        written = write(out, spool.tally.shown, report)
        print(json.dumps(report, indent=2, allow_nan=False) if args.json else f"{table(report)}\n{written}")
    if failure is not None:
        print(f"{nodes.log(failure.node)} ends with:\n{nodes.last_lines(failure.node)}", file=sys.stderr)
        raise failure
    return 0


def choose_source(source: str, path: str | None) -> tuple[str, str | None]:
    """Return the source's kind and its path, as camera_node takes them; a number stands for that device.

    Raises SourceError for an unknown kind, and for a path that is missing, not there, or not wanted.
    """
    if source.isdecimal():
        source, path = "device", source
    if source not in SOURCES:
        raise SourceError(f"the source {source!r} is none of {', '.join(SOURCES)} and no device's number")
    if source == "scene" and path:
        raise SourceError(f"a scene takes no path, but {path} was given: name its kind too, as --source folder")
    if source in ("folder", "video", "bag"):
        if not path:
            raise SourceError(f"the source '{source}' needs a path: give --path, the {source}'s")
        path = str(Path(path).expanduser())
        if not Path(path).exists():
            raise SourceError(f"{path} does not exist: give the path of a {source}")
    return source, path


def start(nodes: Nodes, args: argparse.Namespace, source: str, path: str | None, folder: Path) -> None:
    """Start recorder, depth_node and camera_node; the camera plays from when depth_node is active, over and over."""
    fused = args.fusion in FUSION
    nodes.start("recorder", {"folder": str(folder), "unfused": fused})
    if fused:
        name, remaps = FUSION[args.fusion]
        nodes.start(name, {}, remaps)
    stride = 1 if source == "scene" else 2  # every pixel of a photo would be a cloud of more than 100 MB
    nodes.start("depth_node", {"weights": args.weights, "device": args.device, "cloud.stride": stride})
    camera = {
        "source": source,
        "path": path or "",
        "rate": _rate_hz(source, args),
        "loop": source != "device",
        "exit_at_end": True,
        "wait_for_subscribers": True,
        "subscriber_timeout": min(args.timeout, 3600.0),
        "start_delay": 0.5,  # for the recorder, which subscribes after depth_node
        "baseline": BASELINE_M if args.fusion == "stereo" else 0.0,
    }
    nodes.start("camera_node", camera)


class Spool:
    """The folder between recorder and demo: frames are taken in and deleted, the newest status is kept."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tally = Tally()
        self.status: Status = {}

    def take(self) -> None:
        """Take in what has come since the last call."""
        for path in sorted(self.folder.glob("frame_*.npz")):
            self.tally.add(Frame.read(path))
            path.unlink()
        if (status := self.folder / "status.json").exists():
            self.status = json.loads(status.read_text())


def watch(nodes: Nodes, spool: Spool, frames: int, timeout_s: float, bar: tqdm) -> None:
    """Wait for `frames` frames, end the camera, and wait until depth_node's counts have come to rest.

    Raises DemoError when a node ends or refuses, when frame after frame is lost, and after `timeout_s`.
    """
    deadline = time.monotonic() + timeout_s
    warned = False
    while spool.tally.count < frames:
        nodes.check()
        spool.take()
        if spool.tally.count > bar.n:
            bar.set_description("frames out", refresh=False)
            bar.update(min(spool.tally.count, frames) - bar.n)
        if spool.status.get("trained") == "False" and not warned:
            tqdm.write(UNTRAINED, file=sys.stderr)
            warned = True
        _check_status(spool.status)
        if time.monotonic() > deadline:
            break
        time.sleep(POLL_S)
    late = _too_late(spool, frames, timeout_s) if spool.tally.count < frames else None
    nodes.end("camera_node")
    if spool.tally.count:
        _settle(nodes, spool)
    if late is not None:
        raise late


def _check_status(status: Status) -> None:
    """Raise DemoError when depth_node's diagnostics say that nothing will come."""
    if status.get("state", "").startswith("unconfigured: "):
        raise DemoError(f"depth_node could not be configured: {status['state'].partition(' ')[2]}", "depth_node")
    if status and status["published"] == "0" and int(status["rejected"]) + int(status["failed"]) >= HOPELESS:
        raise DemoError(f"depth_node loses every frame: {status['message']}", "depth_node")


def _too_late(spool: Spool, frames: int, timeout_s: float) -> DemoError:
    """Return the error of a demo that took too long, which lies with the camera when no image came."""
    status, count = spool.status, spool.tally.count
    state = f"depth_node is {status['state']}, {status['received']} images reached it" if status else "no diagnostics"
    node = "camera_node" if status.get("state") == "active" and status["received"] == "0" else "depth_node"
    return DemoError(
        f"{count or 'none'} of {frames} frames within {timeout_s:g} s ({state}): give more time (--timeout), "
        "ask for fewer --frames, or name smaller --weights",
        node,
    )


def _settle(nodes: Nodes, spool: Spool) -> None:
    """Wait, not for long, until two of depth_node's reports in a row have the same counts."""
    counts, heard = None, None
    end = time.monotonic() + SETTLE_S
    while time.monotonic() < end:
        nodes.check()
        spool.take()
        if spool.status.get("heard") != heard:
            newest = [spool.status[name] for name in COUNTS.values()]
            if newest == counts:
                return
            counts, heard = newest, spool.status["heard"]
        time.sleep(POLL_S)


def write(out: Path, frame: Frame, report: dict[str, Any]) -> str:
    """Write pictures, cloud and, last, the report; return a line that names them. Adds `cloud_points` to the report."""
    trained = report["trained"]
    files.write_picture(out / "depth.png", demo_pictures.depth_picture(frame, trained))
    report["cloud_points"] = files.write_ply(out / "cloud.ply", frame.points, frame.colours)
    if report["cloud_points"]:
        files.write_picture(out / "cloud.png", demo_pictures.cloud_picture(frame, trained))
    files.write_json(out / "report.json", report)
    names = ("depth.png", "cloud.png", "cloud.ply", "report.json") if report["cloud_points"] else ("depth.png",)
    return f"written: {', '.join(str(out / name) for name in names)}"


def _progress(args: argparse.Namespace) -> tqdm:
    return tqdm(total=args.frames, desc="starting the nodes", unit="frame", disable=args.json)
