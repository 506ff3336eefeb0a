"""The arguments of `depth_pro_ros predict`, and the types of number that other commands take as well."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

OUTPUTS = {
    "npz": ".npz",
    "depth_mm": "_depth_mm.png",
    "picture": ".png",
    "cloud": ".ply",
    "mp4": ".mp4",
    "json": ".json",
}
"""What may be written for an input NAME, and how its file's name ends after NAME."""
SAVED = ("npz", "depth_mm", "picture", "cloud")
"""What `--save` chooses from."""
BACKENDS = ("torch", "onnxruntime")
QUALITIES = ("full", "balanced", "fast")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "inputs",
        nargs="+",
        metavar="INPUT",
        type=Path,
        help="an image or a video, a folder of them, or a pattern such as 'in/**/*.jpg'",
    )
    parser.add_argument(
        "-o", "--out", metavar="FOLDER", type=Path, default=Path("predictions"), help="default: %(default)s"
    )
    add_model(parser)
    parser.add_argument(
        "--focal",
        type=focal_choice,
        default="auto",
        metavar="auto|exif|estimate|PX",
        help="where the focal length comes from: the photo's EXIF, the network's estimate, or a number of pixels; "
        "auto takes EXIF where there is one, else the estimate",
    )
    add_max_range(parser)
    _add_outputs(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON array on stdout, and no progress bar")


def add_max_range(parser: argparse.ArgumentParser) -> None:
    """Declare the range beyond which depth is infinite."""
    parser.add_argument(
        "--max-range",
        type=positive,
        default=1000.0,
        metavar="M",
        help="depth beyond these metres is infinite; default: %(default)s",
    )


def add_model(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments that say what network runs, where and how."""
    parser.add_argument("--weights", default="tiny", metavar="NAME|PATH", help="default: %(default)s, the embedded one")
    parser.add_argument(
        "--backend",
        choices=BACKENDS,
        default=BACKENDS[0],
        help="what runs it; onnxruntime takes an export of the weights",
    )
    parser.add_argument("--device", default="auto", help="auto, cuda, cpu or mps; default: %(default)s")
    parser.add_argument("--precision", default="auto", help="default: %(default)s, which suits the device")
    parser.add_argument(
        "--quality",
        choices=QUALITIES,
        default=QUALITIES[0],
        help="full computes the whole network, the others approximate it for speed; default: %(default)s",
    )


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch", type=count, default=1, metavar="N", help="images to predict at once; default: %(default)s"
    )
    parser.add_argument(
        "--save",
        type=kinds,
        metavar="KIND,...",
        help=f"what to write beside the JSON: {', '.join(SAVED)}, or none; default: all of a photo, none of a video's "
        "pictures",
    )
    parser.add_argument(
        "--fps",
        type=positive,
        help="join the photos' pictures into predictions.mp4 at this rate; of a video, instead of its own rate",
    )
    parser.add_argument(
        "--every", type=count, default=1, metavar="N", help="take each n-th picture of a video; default: %(default)s"
    )


def positive(text: str) -> float:
    """Return a positive, finite number from the command line."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def count(text: str) -> int:
    """Return a whole number from 1 on."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not 1 or more")
    return value


def kinds(text: str) -> tuple[str, ...]:
    """Return `--save`: some of SAVED."""
    named = () if text == "none" else tuple(text.split(","))
    if unknown := [name for name in named if name not in SAVED]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} is none of {', '.join(SAVED)}")
    return named


def focal_choice(text: str) -> str | float:
    """Return `--focal`: one of its words, or a positive number of pixels."""
    if text in ("auto", "exif", "estimate"):
        return text
    try:
        return positive(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is none of auto, exif, estimate and no number of pixels") from error
