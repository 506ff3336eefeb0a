"""`depth_pro_ros COMMAND`: finds the command's module, parses its arguments, runs it.

A command is a module of this folder with `add_arguments(parser)` and `run(args) -> int`. Only the module
of the chosen command is imported, so that `--help` is quick and no command pays for another's imports.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from depth_pro_ros import __version__
from depth_pro_ros.allocator import keep_frames
from depth_pro_ros.errors import DepthProError

PROGRAM = "depth_pro_ros"
FAILED = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells report it

COMMANDS = {
    "predict": ("depth_pro_ros.cli.predict", "photos in; depth, cloud and picture out"),
    "bag": ("depth_pro_ros.cli.bag", "a ROS 2 bag in; the same bag with depth beside every image out, without ROS"),
    "stereo": ("depth_pro_ros.cli.stereo", "a stereo pair in; metric depth, cloud and picture out"),
    "sfm": ("depth_pro_ros.cli.sfm", "images of a moving camera in; landmarks and its path out"),
    "fuse": ("depth_pro_ros.cli.fuse", "a photo and a metric cue in; depth at the cue's scale and its sigma out"),
    "cutout": ("depth_pro_ros.cli.cutout", "a photo in; its foreground cut out, and its layers in depth, out"),
    "download": ("depth_pro_ros.cli.download", "Apple's published weights into the cache folder"),
    "export": ("depth_pro_ros.cli.export", "weights in; an ONNX model or a PyTorch package out, checked"),
    "train": ("depth_pro_ros.cli.train", "scenes or RGB-D folders in; weights out"),
    "claims": ("depth_pro_ros.cli.claims", "the paper's claims on training, tried with a small network; a table out"),
    "evaluate": ("depth_pro_ros.cli.evaluate", "RGB-D folders or scenes in; the errors of depth and focal length out"),
    "web": ("depth_pro_ros.cli.web", "a page to drop photos on; depth, cloud, cut-out and files to look at and keep"),
    "benchmark": ("depth_pro_ros.cli.benchmark", "how fast this machine is, stage by stage"),
    "demo": ("depth_pro_ros.cli.demo", "the ROS 2 nodes on a camera, with figures, a picture and a cloud"),
}
"""Each command's module and its one line of help."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` (default: the process's arguments) names and return its exit status.

    An error that this package raises on purpose is one line on stderr and status 2; an interrupt is 130.
    """
    chosen = _parser().parse_args(argv)
    module_name, summary = COMMANDS[chosen.command]
    keep_frames()
    try:
        module = importlib.import_module(module_name)
        parser = argparse.ArgumentParser(prog=f"{PROGRAM} {chosen.command}", description=f"{summary}.")
        module.add_arguments(parser)
        return module.run(parser.parse_args(chosen.arguments))
    except DepthProError as error:
        print(f"{PROGRAM}: {error}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    """Return the parser that knows the commands' names and leaves their arguments alone."""
    table = "\n".join(f"  {name:<10} {summary}" for name, (_, summary) in COMMANDS.items())
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Metric depth for any robot with one camera.",
        epilog=f"commands:\n{table}\n\n{PROGRAM} COMMAND --help describes one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND", help="one of the commands below")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="the command's own arguments")
    return parser
