"""`depth_pro_ros fuse`: a photo and a metric cue in; depth at the cue's scale, its sigma and figures out, without ROS.

For a photo NAME.jpg the output folder receives NAME.npz (fused depth in metres, its relative sigma, the predicted
depth, intrinsics), NAME_depth_mm.png (16 bits, 0 unknown), NAME.png (photo, predicted, fused and sigma side by side)
and NAME.json (the factor and its health, what predict says, and the cue).
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
from depth_pro_ros.errors import AlignmentError, ImageError, SourceError
from depth_pro_ros.fusion import Fused, Fuser, FusionSettings, samples_from_depth
from depth_pro_ros.outputs import files, pictures
from depth_pro_ros.records import DepthMap, MetricSamples

PNG_UNITS = {"mm": 1e-3, "x256": 1.0 / 256.0}
"""Metres of one step of a 16-bit PNG: millimetres (REP 118, most cameras), or 256 steps a metre (KITTI, DGP)."""
SIGMA_COLOURS = (0.002, 0.2)  # relative sigma at the two ends of the colours


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("image", metavar="IMAGE", type=Path, help="the photo")
    parser.add_argument(
        "--cue",
        metavar="FILE",
        type=Path,
        required=True,
        help="metric depth of the same view, at any size: a 16-bit PNG, an NPZ with depth_m, or an NPY in metres; "
        "0, NaN and Inf are unknown",
    )
    parser.add_argument("--cue-unit", choices=PNG_UNITS, default="mm", help="of a PNG cue; default: %(default)s")
    parser.add_argument(
        "--cue-sigma",
        type=predict.positive,
        default=0.02,
        metavar="SHARE",
        help="standard deviation of the cue as a share of its depth; an NPZ's own sigma_m goes first; "
        "default: %(default)s",
    )
    parser.add_argument("-o", "--out", metavar="FOLDER", type=Path, default=Path("fused"), help="default: %(default)s")
    parser.add_argument("--weights", default="tiny", metavar="NAME|PATH", help="default: %(default)s, the embedded one")
    parser.add_argument("--device", default="auto", help="auto, cuda, cpu or mps; default: %(default)s")
    parser.add_argument("--precision", default="auto", help="default: %(default)s, which suits the device")
    parser.add_argument(
        "--focal", type=predict.focal_choice, default="auto", metavar="auto|exif|estimate|PX", help="as for predict"
    )
    parser.add_argument("--max-range", type=predict.positive, default=1000.0, metavar="M", help="as for predict")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(args: argparse.Namespace, load: Callable[..., Any] | None = None) -> int:
    """Fuse one photo with its cue; return 0.

    `load` makes the predictor and is Predictor.load unless a test gives another. Raises AlignmentError when the cue
    does not fix the scale, and ImageError, SourceError, CalibrationError, InferenceError or OutputError.
    """
    photo, cue = photos.read(args.image), read_cue(args.cue, args.cue_unit, args.cue_sigma)
    focal_px, origin = predict.choose_focal(photo, args.focal)
    predictor = (load or _load)(
        args.weights, device=args.device, precision=args.precision, max_range_m=args.max_range, log=_note
    )
    if not predictor.description["trained"]:
        _note(predict.UNTRAINED_WARNING)
    predicted = predictor.predict(photo.rgb, focal_px=focal_px, estimate_focal=True)
    fused = Fuser(FusionSettings(max_range_m=args.max_range)).fuse(predicted, [cue], 0)
    if not fused.factor.known:
        raise AlignmentError(f"{args.cue} does not fix the scale of {args.image}: {fused.factor.reason}")
    record = predict.describe(args.image, photo, fused.depth, origin, predictor.description)
    record.update(cue=describe_cue(args.cue, cue), factor=describe_factor(fused))
    write(files.make_folder(args.out), args.image.stem, photo.rgb, predicted, fused, record)
    print(json.dumps(record, indent=2, allow_nan=False) if args.json else summary(record))
    return 0


def _load(*args: Any, **kwargs: Any) -> Any:
    """Return the real predictor; PyTorch is imported here, after the arguments and the cue proved right."""
    from depth_pro_ros.inference import Predictor

    return Predictor.load(*args, **kwargs)


def _note(line: str) -> None:
    print(line, file=sys.stderr)


def read_cue(path: Path, unit: str, sigma_relative: float) -> MetricSamples:
    """Return the samples of a cue's file.

    Raises SourceError when there is no file and ImageError when it holds no depth image, or none that is known.
    """
    if not path.is_file():
        raise SourceError(f"the cue {path} does not exist: give a 16-bit PNG, an NPZ with depth_m, or an NPY")
    numpy_file = path.suffix.lower() in (".npy", ".npz")
    depth_m, sigma_m = _read_numpy(path) if numpy_file else (_read_png(path, PNG_UNITS[unit]), None)
    given = {"sigma_relative": sigma_relative} if sigma_m is None else {"sigma_m": sigma_m}
    samples = samples_from_depth(depth_m, **given, source=path.name)
    if not len(samples.u):
        raise ImageError(f"the cue {path} knows no depth: every pixel is 0, negative, NaN or infinite")
    return samples


def _read_numpy(path: Path) -> tuple[np.ndarray, np.ndarray | None]:
    """Return (depth_m, sigma_m or None) of an NPY or NPZ file; raises ImageError."""
    try:
        loaded = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ImageError(f"the cue {path} cannot be read ({error}): save it with numpy.save or numpy.savez") from error
    if isinstance(loaded, np.ndarray):
        return loaded, None
    with loaded:
        if "depth_m" not in loaded:
            raise ImageError(
                f"the cue {path} holds {', '.join(loaded.files) or 'nothing'}: it must hold depth_m (h, w)"
            )
        return loaded["depth_m"], loaded["sigma_m"] if "sigma_m" in loaded else None


def _read_png(path: Path, metres: float) -> np.ndarray:
    """Return depth (h, w) in metres of a 16-bit PNG; raises ImageError for another image."""
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16 or pixels.ndim != 2:
        found = "no image" if pixels is None else f"{pixels.dtype} of shape {pixels.shape}"
        raise ImageError(f"the cue {path} is {found}: a PNG cue is grey with 16 bits; see --cue-unit for its step")
    return pixels * metres


def describe_cue(path: Path, cue: MetricSamples) -> dict[str, Any]:
    """Return the cue's figures as values that JSON can hold."""
    return {
        "file": str(path),
        "width": cue.width,
        "height": cue.height,
        "known_share": len(cue.u) / (cue.width * cue.height),
        "median_m": float(np.median(cue.depth_m)),
        "sigma_relative_median": float(np.median(cue.sigma_m / cue.depth_m)),
    }


def describe_factor(fused: Fused) -> dict[str, Any]:
    """Return the factor and its health as values that JSON can hold."""
    factor = fused.factor
    sigma = fused.sigma_relative[np.isfinite(fused.sigma_relative)]
    return {
        "scale": factor.scale,
        "shift_inv": factor.shift_inv,
        "sigma_log": factor.sigma_log,
        "inliers": factor.inliers,
        "residual": factor.residual,
        "state": factor.state,
        "reason": factor.reason,
        "sigma_relative_median": float(np.median(sigma)) if sigma.size else None,
    }


def write(out: Path, name: str, rgb: np.ndarray, predicted: DepthMap, fused: Fused, record: dict[str, Any]) -> None:
    """Write the four files (JSON last) and add their paths to the record."""
    targets = {kind: out / f"{name}{predict.OUTPUTS[kind]}" for kind in ("npz", "depth_mm", "picture", "json")}
    with files.atomic_file(targets["npz"]) as file:
        np.savez(
            file,
            depth_m=fused.depth.depth_m,
            sigma_relative=fused.sigma_relative,
            predicted_m=predicted.depth_m,
            intrinsics=fused.depth.intrinsics.matrix,
            focal_px=np.float64(fused.depth.focal_px),
        )
    files.write_png_mm(targets["depth_mm"], fused.depth.depth_m)
    files.write_picture(targets["picture"], picture(rgb, predicted, fused))
    record["outputs"] = {kind: str(target) for kind, target in targets.items()}
    files.write_json(targets["json"], record)


def picture(rgb: np.ndarray, predicted: DepthMap, fused: Fused) -> np.ndarray:
    """Return photo, predicted depth, fused depth (one scale of colours) and sigma (blue is sure) side by side."""
    span = pictures.depth_range(fused.depth.depth_m)
    sure, unsure = SIGMA_COLOURS
    certainty = np.exp(np.log(unsure) + np.log(sure) - np.log(np.clip(fused.sigma_relative, sure, unsure)))
    factor = fused.factor
    shift = f", shift {factor.shift_inv:+.3f}/m" if factor.shift_inv else ""
    panels = [
        ("photo", rgb),
        ("predicted", pictures.colour_depth(predicted.depth_m, *(span or ()))),
        (
            f"fused: inverse depth x {factor.scale:.3f}{shift}",
            pictures.colour_depth(fused.depth.depth_m, *(span or ())),
        ),
        (f"sigma: blue {sure:.1%}, red {unsure:.0%}", pictures.colour_depth(certainty, sure, unsure)),
    ]
    return pictures.panels(panels, span, height=min(max(rgb.shape[0], 240), 480))


def summary(record: dict[str, Any]) -> str:
    """Return one line for people."""
    factor, middle = record["factor"], record["depth_percentiles_m"]["50"]
    depth = "no depth known" if middle is None else f"median {middle:.2f} m"
    shift = f", shift {factor['shift_inv']:+.4f}/m" if factor["shift_inv"] else ""
    return (
        f"{record['input']}: {depth}, inverse depth x {factor['scale']:.3f}{shift}, residual {factor['residual']:.1%}, "
        f"{factor['inliers']:.0%} inliers -> {record['outputs']['picture']}"
    )
