"""`depth_pro_ros cutout`: a photo in; its foreground with transparency, a mask and its layers out, without ROS.

For a photo NAME.jpg the output folder receives NAME_cutout.png (RGBA: what is not foreground is transparent),
NAME_foreground.png (255 foreground, 0 not), NAME_labels.png (1 the nearest layer, 2 the next, ...; 0 unknown),
NAME_layers.png (the photo beside its layers, for people) and NAME_cutout.json (where the layers end, in metres).
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depth_pro_ros.cli import photos, predict
from depth_pro_ros.errors import ImageError
from depth_pro_ros.evaluation.rgbd_files import read_depth
from depth_pro_ros.outputs import files, pictures
from depth_pro_ros.outputs.layers import Layers, separate

OUTPUTS = {
    "cutout": "_cutout.png",
    "foreground": "_foreground.png",
    "labels": "_labels.png",
    "picture": "_layers.png",
    "json": "_cutout.json",
}
MILLIMETRES = 1000.0
SAME_ASPECT = 0.02  # how far width / height of photo and depth may differ


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("image", metavar="IMAGE", type=Path, help="the photo")
    parser.add_argument(
        "--depth",
        metavar="FILE",
        type=Path,
        help="its depth, at any size: an NPZ as predict writes it, an NPY in metres, or a 16-bit PNG in millimetres; "
        "default: predicted",
    )
    parser.add_argument(
        "--foreground", type=predict.positive, metavar="M", help="what is nearer than this; default: found by itself"
    )
    parser.add_argument("--layers", type=int, default=4, metavar="N", help="at most; default: %(default)s")
    parser.add_argument(
        "-o", "--out", metavar="FOLDER", type=Path, default=Path("cutouts"), help="default: %(default)s"
    )
    parser.add_argument("--weights", default="tiny", metavar="NAME|PATH", help="default: %(default)s, the embedded one")
    parser.add_argument("--device", default="auto", help="auto, cuda, cpu or mps; default: %(default)s")
    parser.add_argument("--precision", default="auto", help="default: %(default)s, which suits the device")
    parser.add_argument(
        "--focal", type=predict.focal_choice, default="auto", metavar="auto|exif|estimate|PX", help="as for predict"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(args: argparse.Namespace, load: Callable[..., Any] | None = None) -> int:
    """Cut one photo out; return 0.

    `load` makes the predictor and is Predictor.load unless a test gives another. Raises ImageError, SourceError,
    ConfigurationError, CalibrationError, InferenceError or OutputError.
    """
    photo = photos.read(args.image)
    depth_m, origin = (
        (read_depth(args.depth, MILLIMETRES), str(args.depth)) if args.depth else _predict(photo, args, load)
    )
    layers = separate(on_photo(depth_m, photo.rgb.shape[:2]), args.layers, args.foreground)
    out = files.make_folder(args.out)
    targets = {kind: out / f"{args.image.stem}{ending}" for kind, ending in OUTPUTS.items()}
    record = {"input": str(args.image), "depth": origin, **describe(layers)}
    record["outputs"] = {kind: str(target) for kind, target in targets.items()}
    write(targets, photo.rgb, layers, record)
    print(json.dumps(record, indent=2, allow_nan=False) if args.json else summary(record))
    return 0


def _predict(photo: photos.Photo, args: argparse.Namespace, load: Callable[..., Any] | None) -> tuple[np.ndarray, str]:
    """Return the predicted depth (H, W) in metres, and what predicted it."""
    focal_px, _ = predict.choose_focal(photo, args.focal)
    predictor = (load or _load)(args.weights, device=args.device, precision=args.precision, log=_note)
    if not predictor.description["trained"]:
        _note(predict.UNTRAINED_WARNING)
    return predictor.predict(photo.rgb, focal_px=focal_px).depth_m, f"predicted by {predictor.description['weights']}"


def _load(*args: Any, **kwargs: Any) -> Any:
    """Return the real predictor; PyTorch is imported here, and not at all with --depth."""
    from depth_pro_ros.inference import Predictor

    return Predictor.load(*args, **kwargs)


def _note(line: str) -> None:
    print(line, file=sys.stderr)


def on_photo(depth_m: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return depth (h, w) on the pixels of a photo of `shape` (H, W), each taking the nearest; 0 becomes NaN.

    Raises ImageError when the two cannot be of one view.
    """
    ours, theirs = depth_m.shape[1] / depth_m.shape[0], shape[1] / shape[0]
    if abs(ours / theirs - 1) > SAME_ASPECT:
        raise ImageError(
            f"the depth is {depth_m.shape[1]}x{depth_m.shape[0]}, the photo {shape[1]}x{shape[0]}: both must show the "
            "same view, as predict writes them (a photo is turned upright by its EXIF first)"
        )
    depth_m = np.where(depth_m > 0, depth_m, np.nan).astype(np.float32)
    return depth_m if depth_m.shape == shape else cv2.resize(depth_m, shape[::-1], interpolation=cv2.INTER_NEAREST)


def describe(layers: Layers) -> dict[str, Any]:
    """Return the figures of a separation as values that JSON can hold: lengths in metres, shares of the image."""
    count = len(layers.limits_m) + 1
    return {
        "foreground_m": layers.split_m,
        "foreground_share": float(layers.foreground.mean()),
        "outline_on_jumps": layers.on_jumps,
        "layer_ends_m": list(layers.limits_m),
        "layer_shares": [float((layers.labels == label).mean()) for label in range(1, count + 1)],
        "unknown_share": float((layers.labels == 0).mean()),
    }


def write(targets: dict[str, Path], rgb: np.ndarray, layers: Layers, record: dict[str, Any]) -> None:
    """Write the five files, JSON last."""
    mask = layers.foreground.astype(np.uint8) * 255
    files.write_pixels(targets["cutout"], np.dstack([rgb, mask]))
    files.write_pixels(targets["foreground"], mask)
    files.write_pixels(targets["labels"], layers.labels)
    files.write_picture(
        targets["picture"], pictures.panels([("photo", rgb), (_caption(layers), coloured(rgb, layers))])
    )
    files.write_json(targets["json"], record)


def coloured(rgb: np.ndarray, layers: Layers) -> np.ndarray:
    """Return the photo (H, W, 3) uint8 with a colour over each layer, near red to far blue, unknown black."""
    count = len(layers.limits_m) + 1
    steps = np.linspace(1.0, 0.15, count)[None]  # in inverse depth, which the colours follow
    table = np.vstack([np.zeros((1, 3), np.uint8), pictures.colour_depth(1 / steps, 1.0, 1 / 0.1)[0]])
    over = table[layers.labels]
    return np.where(layers.labels[..., None] > 0, rgb // 2 + over // 2, over).astype(np.uint8)


def _caption(layers: Layers) -> str:
    ends = ", ".join(f"{end:.2f}" for end in layers.limits_m)
    return f"layers end at {ends} m; foreground up to {layers.split_m:.2f} m"


def summary(record: dict[str, Any]) -> str:
    """Return one line for people."""
    return (
        f"{record['input']}: foreground up to {record['foreground_m']:.2f} m, {record['foreground_share']:.0%} of the "
        f"image, {record['outline_on_jumps']:.0%} of its outline on jumps -> {record['outputs']['cutout']}"
    )
