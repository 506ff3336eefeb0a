"""`depth_pro_ros stereo`: a stereo pair in; metric depth, cloud, picture and figures out, without ROS.

For a left image NAME.png the output folder receives NAME.npz (depth in metres, intrinsics),
NAME_depth_mm.png (16 bits, 0 unknown), NAME.png (the rectified left image beside its depth), NAME.ply (coloured
cloud) and NAME.json (baseline, focal length, matched share, percentiles).
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from depth_pro_ros.cli import photos, stereo_calibration
from depth_pro_ros.cli.predict import OUTPUTS, PERCENTILES, write_cloud
from depth_pro_ros.errors import CalibrationError, ConfigurationError, ImageError
from depth_pro_ros.geometry.stereo import StereoCalibration, StereoRig, depth_from_disparity, sigma_from_disparity
from depth_pro_ros.matching.disparity import STEPS, Disparity, StereoMatcher
from depth_pro_ros.outputs import files, pictures
from depth_pro_ros.records import DepthMap


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("left", metavar="LEFT", type=Path, help="image of the left camera")
    parser.add_argument("right", metavar="RIGHT", type=Path, help="image of the right camera")
    parser.add_argument(
        "--calib",
        metavar="FILE",
        type=Path,
        nargs="+",
        required=True,
        help="one JSON of the pair, or the camera_info YAML of the left and of the right camera",
    )
    parser.add_argument("-o", "--out", metavar="FOLDER", type=Path, default=Path("stereo"), help="default: %(default)s")
    parser.add_argument(
        "--min-disparity", metavar="PX", type=int, default=0, help="where the search begins; default: %(default)s"
    )
    parser.add_argument(
        "--num-disparities", metavar="PX", type=int, help="how far it goes, a multiple of 16; default: width / 5"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Match the pair and write what came of it; return 0.

    Raises ImageError, CalibrationError, ConfigurationError or OutputError.
    """
    if len(args.calib) > 2:
        raise ConfigurationError(f"{len(args.calib)} calibration files; give one JSON, or two YAML (left, right)")
    calibration = stereo_calibration.read(args.calib)
    left, right = (photos.read(path).rgb for path in (args.left, args.right))
    left, right = rectified(calibration, left, right)
    matcher = StereoMatcher(args.min_disparity, args.num_disparities or default_range(left.shape[1]))
    started = time.perf_counter()
    disparity = match(matcher, left, right)
    record = write(files.make_folder(args.out), args.left.stem, left, disparity, calibration)
    record.update(left=str(args.left), right=str(args.right), seconds=round(time.perf_counter() - started, 3))
    files.write_json(Path(record["outputs"]["json"]), record)
    print(json.dumps(record, indent=2) if args.json else summary(record))
    return 0


def default_range(width: int) -> int:
    """Return the number of disparities to search: a fifth of the width, as a multiple of 16."""
    return max(1, round(width / 5 / STEPS)) * STEPS


def rectified(calibration: StereoCalibration, left: np.ndarray, right: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return both images rectified; raises CalibrationError when one is not of the calibration's size."""
    camera = calibration.rig.left
    for side, image in (("left", left), ("right", right)):
        if image.shape[:2] != (camera.height, camera.width):
            raise CalibrationError(
                f"the {side} image is {image.shape[1]}x{image.shape[0]}, the calibration is for "
                f"{camera.width}x{camera.height}: calibrate at the image's size, or give images of that size"
            )
    return calibration.rectify(left, right)


def match(matcher: StereoMatcher, left: np.ndarray, right: np.ndarray) -> Disparity:
    """Return the match of a rectified pair; raises ImageError when left and right look exchanged."""
    disparity = matcher.match(left, right)
    if matcher.looks_swapped(left, right, disparity.share):
        raise ImageError("left and right look swapped (their disparities are negative): exchange LEFT and RIGHT")
    return disparity


def write(
    out: Path, name: str, left: np.ndarray, disparity: Disparity, calibration: StereoCalibration
) -> dict[str, Any]:
    """Write all files but the JSON, and return what it is to hold."""
    rig = calibration.rig
    seen = disparity.disparity_px
    if calibration.left is not None:
        seen = np.where(calibration.left.valid_mask, seen, np.float32(np.nan))
    optics = (rig.left.fx, rig.baseline_m, rig.doffs_px)
    depth_m = depth_from_disparity(seen, *optics)
    sigma_m = sigma_from_disparity(seen, disparity.sigma_px, *optics)
    depth = DepthMap(depth_m, rig.left, rig.left.fx)
    targets = {kind: out / f"{name}{ending}" for kind, ending in OUTPUTS.items()}
    files.write_npz(targets["npz"], depth)
    files.write_png_mm(targets["depth_mm"], depth_m)
    files.write_picture(targets["picture"], pictures.side_by_side(left, depth_m, "depth from stereo"))
    record = describe(rig, depth_m, sigma_m)
    record["cloud_points"] = write_cloud(targets["cloud"], left, depth)
    record["searched_px"] = [disparity.min_disparity, disparity.max_disparity]
    record["outputs"] = {kind: str(target) for kind, target in targets.items()}
    return record


def describe(rig: StereoRig, depth_m: np.ndarray, sigma_m: np.ndarray) -> dict[str, Any]:
    """Return the figures of one pair as values that JSON can hold: units in the names, None for unknown."""
    known = np.isfinite(depth_m)
    percentiles = np.percentile(depth_m[known], PERCENTILES).tolist() if known.any() else [None] * len(PERCENTILES)
    return {
        "width": rig.left.width,
        "height": rig.left.height,
        "focal_px": rig.left.fx,
        "baseline_m": rig.baseline_m,
        "doffs_px": rig.doffs_px,
        "intrinsics": rig.left.matrix.tolist(),
        "matched_share": float(known.mean()),
        "depth_percentiles_m": dict(zip(map(str, PERCENTILES), percentiles, strict=True)),
        "sigma_median_m": float(np.median(sigma_m[known])) if known.any() else None,
    }


def summary(record: dict[str, Any]) -> str:
    """Return one line for people."""
    share = f"{100 * record['matched_share']:.0f} % of the pixels matched"
    if record["matched_share"] == 0:
        return f"{record['left']}: {share}: too little texture, or not a pair of this calibration"
    low, middle, high = (record["depth_percentiles_m"][p] for p in ("5", "50", "95"))
    depth = f"depth {low:.2f} to {high:.2f} m, median {middle:.2f} m +- {1e3 * record['sigma_median_m']:.0f} mm"
    return f"{record['left']}: {depth}, {share} -> {record['outputs']['picture']}"
