"""`depth_pro_ros predict`: photos in; depth, cloud, picture and figures out, without ROS.

For a photo NAME.jpg the output folder receives NAME.npz (depth in metres, intrinsics), NAME_depth_mm.png
(16 bits, 0 unknown), NAME.png (the photo beside its depth in colours), NAME.ply (coloured cloud) and
NAME.json (weights, focal length and its origin, timings, percentiles).
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from depth_pro_ros.cli import photos
from depth_pro_ros.errors import CalibrationError, ImageError, InferenceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs import files, pictures
from depth_pro_ros.records import DepthMap

DONE, SOME_FAILED = 0, 1
CLOUD_MAX_POINTS = 2_000_000
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
OUTPUTS = {"npz": ".npz", "depth_mm": "_depth_mm.png", "picture": ".png", "cloud": ".ply", "json": ".json"}

UNTRAINED_WARNING = (
    "THE WEIGHTS ARE UNTRAINED: the depth below is noise that only shows that the program runs; "
    "give --weights a trained checkpoint"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("inputs", nargs="+", metavar="INPUT", type=Path, help="an image, or a folder of images")
    parser.add_argument(
        "-o", "--out", metavar="FOLDER", type=Path, default=Path("predictions"), help="default: %(default)s"
    )
    parser.add_argument("--weights", default="tiny", metavar="NAME|PATH", help="default: %(default)s, the embedded one")
    parser.add_argument("--device", default="auto", help="auto, cuda, cpu or mps; default: %(default)s")
    parser.add_argument("--precision", default="auto", help="default: %(default)s, which suits the device")
    parser.add_argument(
        "--focal",
        type=focal_choice,
        default="auto",
        metavar="auto|exif|estimate|PX",
        help="where the focal length comes from: the photo's EXIF, the network's estimate, or a number of pixels; "
        "auto takes EXIF where there is one, else the estimate",
    )
    parser.add_argument(
        "--max-range",
        type=positive,
        default=1000.0,
        metavar="M",
        help="depth beyond these metres is infinite; default: %(default)s",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON array on stdout, and no progress bar")


def positive(text: str) -> float:
    """Return a positive, finite number from the command line."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def focal_choice(text: str) -> str | float:
    """Return `--focal`: one of its words, or a positive number of pixels."""
    if text in ("auto", "exif", "estimate"):
        return text
    try:
        return positive(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is none of auto, exif, estimate and no number of pixels") from error


def run(args: argparse.Namespace, load: Callable[..., Any] | None = None) -> int:
    """Predict depth for every photo; return 0, or 1 when some could not be done (each has its line on stderr).

    `load` makes the predictor and is Predictor.load unless a test gives another. Raises SourceError without
    any image, OutputError when results cannot be written.
    """
    paths = photos.find(args.inputs)
    out = files.make_folder(args.out)
    predictor = (load or _load)(
        args.weights, device=args.device, precision=args.precision, max_range_m=args.max_range, log=_note
    )
    if not predictor.description["trained"]:
        _note(UNTRAINED_WARNING)
    records = []
    named = zip(paths, unique_names(paths, out), strict=True)
    for path, name in tqdm(named, total=len(paths), unit="photo", disable=args.json):
        try:
            record = predict_one(path, out, name, predictor, args.focal)
        except (ImageError, CalibrationError, InferenceError) as error:
            record = {"input": str(path), "error": str(error)}
            _note(f"depth_pro_ros: {error}" if str(path) in str(error) else f"depth_pro_ros: {path}: {error}")
        records.append(record)
        if not args.json and "error" not in record:
            tqdm.write(summary(record), file=sys.stdout)
    if args.json:
        print(json.dumps(records, indent=2, allow_nan=False))
    return SOME_FAILED if any("error" in record for record in records) else DONE


def _load(*args: Any, **kwargs: Any) -> Any:
    """Return the real predictor; PyTorch is imported here, after the arguments proved right."""
    from depth_pro_ros.inference import Predictor

    return Predictor.load(*args, **kwargs)


def _note(line: str) -> None:
    """Write a line on stderr without breaking a progress bar there."""
    tqdm.write(line, file=sys.stderr)


def unique_names(paths: Iterable[Path], out: Path) -> list[str]:
    """Return each photo's NAME in the output folder: its stem, or stem_2, stem_3, ... where that would clash.

    No output takes the place of another's (a.jpg and a.png; one name in two folders; a.jpg and
    a_depth_mm.jpg), nor of a photo that lies in the output folder itself. Case does not tell names apart.
    """
    paths = list(paths)
    taken = {path.name.casefold() for path in paths if path.resolve().parent == out.resolve()}
    names = []
    for path in paths:
        name, number = path.stem, 1
        while taken & (wanted := {f"{name}{ending}".casefold() for ending in OUTPUTS.values()}):
            number += 1
            name = f"{path.stem}_{number}"
        taken |= wanted
        names.append(name)
    return names


def predict_one(path: Path, out: Path, name: str, predictor: Any, focal: str | float) -> dict[str, Any]:
    """Read one photo, predict its depth, write the five files (JSON last), and return what NAME.json holds."""
    photo = photos.read(path)
    focal_px, origin = choose_focal(photo, focal)
    result = predictor.predict(photo.rgb, focal_px=focal_px, estimate_focal=True)
    targets = {kind: out / f"{name}{ending}" for kind, ending in OUTPUTS.items()}
    record = describe(path, photo, result, origin, predictor.description)
    record["outputs"] = {kind: str(target) for kind, target in targets.items()}
    files.write_npz(targets["npz"], result)
    files.write_png_mm(targets["depth_mm"], result.depth_m)
    files.write_picture(targets["picture"], pictures.side_by_side(photo.rgb, result.depth_m, _caption(record)))
    record["cloud_points"] = write_cloud(targets["cloud"], photo.rgb, result)
    files.write_json(targets["json"], record)
    return record


def choose_focal(photo: photos.Photo, focal: str | float) -> tuple[float | None, str]:
    """Return the focal length in pixels to give to the network (None: its own estimate) and its origin.

    Raises CalibrationError when EXIF is demanded of a photo that has none.
    """
    if isinstance(focal, float):
        return focal, "command line"
    if focal == "exif" and photo.focal_px is None:
        raise CalibrationError("its EXIF holds no focal length: give --focal estimate, or a number of pixels")
    if focal == "estimate" or photo.focal_px is None:
        return None, "network"
    return photo.focal_px, f"EXIF {photo.focal_tag}"


def describe(
    path: Path, photo: photos.Photo, result: DepthMap, focal_origin: str, description: dict[str, Any]
) -> dict[str, Any]:
    """Return the figures of one prediction as values that JSON can hold: units in the names, None for unknown."""
    height, width = result.depth_m.shape
    known = result.depth_m[np.isfinite(result.depth_m)]
    percentiles = np.percentile(known, PERCENTILES).tolist() if known.size else [None] * len(PERCENTILES)
    return {
        "input": str(path),
        "trained": bool(description["trained"]),
        "model": dict(description),
        "width": width,
        "height": height,
        "focal_px": float(result.focal_px),
        "focal_from": focal_origin,
        "focal_exif_px": photo.focal_px,
        "focal_estimated_px": None if result.focal_estimated_px is None else float(result.focal_estimated_px),
        "intrinsics": result.intrinsics.matrix.tolist(),
        "depth_percentiles_m": dict(zip(map(str, PERCENTILES), percentiles, strict=True)),
        "known_share": known.size / result.depth_m.size,
        "timings_ms": {stage: float(value) for stage, value in result.timings_ms.items()},
    }


def _caption(record: dict[str, Any]) -> str:
    """Return the depth panel's title."""
    untrained = "" if record["trained"] else "UNTRAINED WEIGHTS, "
    return f"{untrained}depth, focal {record['focal_px']:.0f} px ({record['focal_from']})"


def write_cloud(path: Path, rgb: np.ndarray, result: DepthMap) -> int:
    """Write the coloured cloud, every k-th pixel of a photo above 2 million; return the number of its points."""
    stride = math.ceil(math.sqrt(max(1.0, result.depth_m.size / CLOUD_MAX_POINTS)))
    thinned = pinhole.subsample(result.intrinsics, stride)
    points = pinhole.unproject(result.depth_m[::stride, ::stride], thinned)
    return files.write_ply(path, points, rgb[::stride, ::stride])


def summary(record: dict[str, Any]) -> str:
    """Return one line for people."""
    low, middle, high = (record["depth_percentiles_m"][p] for p in ("5", "50", "95"))
    depth = "no depth known" if middle is None else f"depth {low:.2f} to {high:.2f} m, median {middle:.2f} m"
    focal = f"focal {record['focal_px']:.0f} px ({record['focal_from']})"
    return f"{record['input']}: {depth}, {focal} -> {record['outputs']['picture']}"
