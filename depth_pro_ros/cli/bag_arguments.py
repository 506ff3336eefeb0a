"""The arguments of `depth_pro_ros bag`."""

from __future__ import annotations

import argparse
from pathlib import Path

from depth_pro_ros.cli.predict_arguments import add_model, count, focal_choice, positive
from depth_pro_ros.errors import ConfigurationError

STORAGES = ("mcap", "sqlite3")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("bag", metavar="IN", type=Path, help="a bag's folder, or a .mcap or .db3 file")
    parser.add_argument("out", metavar="OUT", type=Path, help="the new bag's folder, which must not exist")
    _add_topics(parser)
    _add_model(parser)
    _add_outputs(parser)
    _add_cues(parser)
    parser.add_argument("--restart", action="store_true", help="throw away what an interrupted run left in OUT.partial")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, and no progress bar")


def _add_topics(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--topics", nargs="+", default=[], metavar="TOPIC", help="image topics; default: all that show pictures"
    )
    parser.add_argument(
        "--camera-info",
        nargs="+",
        default=[],
        metavar="[IMAGE=]TOPIC",
        help="camera_info for all images, or for one image topic; default: the sibling of the image topic",
    )
    parser.add_argument(
        "--images",
        choices=("auto", "raw", "rectified"),
        default="auto",
        help="whether they must be undistorted; auto: yes, unless the topic's last name contains 'rect'",
    )
    parser.add_argument("--under", default="", metavar="NAME", help="a name before those of what is written")


def _add_model(parser: argparse.ArgumentParser) -> None:
    add_model(parser)
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="processes; default: %(default)s")
    parser.add_argument(
        "--focal",
        type=focal,
        default="auto",
        metavar="auto|estimate|PX",
        help="auto takes camera_info where there is one, else the median of the network's estimates",
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scale", type=share, default=1.0, help="the depth's size as a share of the image's, up to 1")
    parser.add_argument("--encoding", choices=("32FC1", "16UC1"), default="32FC1", help="metres, or millimetres")
    parser.add_argument("--max-range", type=positive, default=1000.0, metavar="M", help="as for predict")
    parser.add_argument("--cloud", action="store_true", help="write point clouds")
    parser.add_argument(
        "--cloud-stride", type=count, default=2, metavar="N", help="of every n-th pixel; default: %(default)s"
    )
    parser.add_argument("--cloud-max-range", type=positive, default=100.0, metavar="M", help="default: %(default)s")
    parser.add_argument("--sigma", action="store_true", help="write the relative sigma of fused depth")
    parser.add_argument("--storage", choices=STORAGES, help="default: that of IN")
    parser.add_argument("--compress", action="store_true", help="with zstd, chunk by chunk; mcap only")


def _add_cues(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cue", action="append", default=[], metavar="TOPIC", help="disparity or depth of the bag that fixes the scale"
    )
    parser.add_argument(
        "--cue-tolerance",
        type=positive,
        default=0.02,
        metavar="S",
        help="how far apart in time a cue and its image may lie; default: %(default)s",
    )
    parser.add_argument("--disparity-sigma", type=positive, default=0.5, metavar="PX", help="default: %(default)s")
    parser.add_argument(
        "--depth-sigma", type=positive, default=0.02, metavar="SHARE", help="of depth; default: %(default)s"
    )


def share(text: str) -> float:
    """Return a number above 0 and up to 1."""
    value = positive(text)
    if value > 1:
        raise argparse.ArgumentTypeError(f"{text} is above 1")
    return value


def focal(text: str) -> str | float:
    """Return `--focal`: one of its words, or a positive number of pixels."""
    if text == "exif":
        raise argparse.ArgumentTypeError(
            "the images of a bag have no EXIF: choose auto, estimate or a number of pixels"
        )
    return focal_choice(text)


def check(args: argparse.Namespace) -> None:
    """Raise ConfigurationError for arguments that do not go together."""
    if args.out.suffix in (".mcap", ".db3", ".bag"):
        raise ConfigurationError(
            f"{args.out} is the name of a file, and a bag is a folder: leave {args.out.suffix} away"
        )
    if args.sigma and not args.cue:
        raise ConfigurationError("--sigma is of fused depth: give a --cue, or leave it away")
