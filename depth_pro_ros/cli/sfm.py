"""`depth_pro_ros sfm`: a folder of images of one moving, calibrated camera in; its path and landmarks out.

With poses the landmarks are metric. Without them the path is found too, and lengths have no unit: two images do
not tell a doll's house from a house. The output folder receives trajectory.txt (TUM: NAME tx ty tz qx qy qz qw),
landmarks.ply (landmarks_without_scale.ply where there is no unit) and sfm.json.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from depth_pro_ros.cli import sequence
from depth_pro_ros.cli.sequence import Camera
from depth_pro_ros.errors import TrackingError
from depth_pro_ros.geometry import motion
from depth_pro_ros.matching.landmarks import Triangulator
from depth_pro_ros.matching.structure import NO_POINTS, Points, Structure, reconstruct
from depth_pro_ros.outputs import files

NO_SCALE = "no scale: without --poses all lengths are in a unit that the images do not tell"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="images in order, or a folder rgb of them")
    parser.add_argument("--intrinsics", metavar="FILE", type=Path, required=True, help="JSON or camera_info YAML")
    parser.add_argument(
        "--poses", metavar="FILE", type=Path, help="camera-to-world poses, TUM format; makes the landmarks metric"
    )
    parser.add_argument("-o", "--out", metavar="FOLDER", type=Path, default=Path("sfm"), help="default: %(default)s")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout")


def run(args: argparse.Namespace) -> int:
    """Find the landmarks, and the path where it is not given, and write them; return 0.

    Raises SourceError, ImageError, CalibrationError, OutputError, and TrackingError when the images tell nothing.
    """
    camera = sequence.read_camera(args.intrinsics)
    paths = sequence.find_images(args.folder)
    known = None if args.poses is None else sequence.match_poses(paths, sequence.read_poses(args.poses))
    started = time.perf_counter()
    images = tqdm(sequence.read_images(paths, camera), total=len(paths), unit="image", disable=args.json)
    colours: list[np.ndarray] = []
    if known is None:
        structure = reconstruct(_greys(images, colours), camera.intrinsics, note=_note)
    else:
        structure = triangulated(_greys(images, colours), known, camera)
    record = write(files.make_folder(args.out), paths, structure, colours, metric=known is not None)
    record["seconds"] = round(time.perf_counter() - started, 3)
    files.write_json(Path(record["outputs"]["json"]), record)
    print(json.dumps(record, indent=2) if args.json else summary(record))
    return 0


def _greys(images: Any, colours: list[np.ndarray]) -> Any:
    """Yield grey images, and keep the coloured ones."""
    for rgb in images:
        colours.append(rgb)
        yield cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)


def triangulated(greys: Any, poses: list[np.ndarray | None], camera: Camera) -> Structure:
    """Return the landmarks of images of known poses; those without, or whose pose is wrong, are left out.

    Raises TrackingError when no image yields a landmark, with the last reason.
    """
    triangulator, points, used = Triangulator(camera.intrinsics), NO_POINTS, list(poses)
    reason = "none of the images has a pose: the names in the file of poses are the images' own, or stamps near them"
    for index, (gray, pose) in enumerate(zip(greys, poses, strict=True)):
        if pose is None:
            continue
        try:
            found = triangulator.add(gray, pose)
        except TrackingError as error:
            used[index], reason = None, str(error)
            _note(f"image {index} is left out: {error}")
            continue
        reason = found.state or reason
        ids, world = triangulator.world()
        points = points.updated(Points(ids, world, found.uv, np.full(len(ids), index)))
    if not len(points.ids):
        raise TrackingError(f"no landmarks: {reason}")
    return Structure(used, points.world, points.ids, points.uv, points.image)


def write(
    out: Path, paths: list[Path], structure: Structure, colours: list[np.ndarray], metric: bool
) -> dict[str, Any]:
    """Write trajectory and landmarks, and return what the JSON is to hold."""
    cloud = "landmarks.ply" if metric else "landmarks_without_scale.ply"
    targets = {"trajectory": out / "trajectory.txt", "cloud": out / cloud, "json": out / "sfm.json"}
    located = [(path.stem, pose) for path, pose in zip(paths, structure.poses, strict=True) if pose is not None]
    with files.atomic_file(targets["trajectory"]) as file:
        file.writelines(f"{name} {tum(pose)}\n".encode() for name, pose in located)
    pixels = np.rint(structure.uv).astype(int)
    rgb = np.array([colours[image][v, u] for image, (u, v) in zip(structure.image, pixels, strict=True)], np.uint8)
    count = files.write_ply(targets["cloud"], structure.points, rgb.reshape(-1, 3))
    centres = np.array([pose[:3, 3] for _, pose in located])
    return {
        "metric": metric,
        "unit": "metres" if metric else NO_SCALE,
        "images": len(paths),
        "located": len(located),
        "landmarks": count,
        "path_length": float(np.linalg.norm(np.diff(centres, axis=0), axis=1).sum()),
        "outputs": {kind: str(target) for kind, target in targets.items()},
    }


def tum(T_world_camera: np.ndarray) -> str:
    """Return 'tx ty tz qx qy qz qw' of a pose (4, 4)."""
    values = (*T_world_camera[:3, 3], *motion.quaternion_from_rotation(T_world_camera[:3, :3]))
    return " ".join(f"{value:.7f}" for value in values)


def summary(record: dict[str, Any]) -> str:
    """Return the lines for people."""
    unit = " m" if record["metric"] else ""
    line = (
        f"{record['located']} of {record['images']} images located, path {record['path_length']:.2f}{unit}, "
        f"{record['landmarks']} landmarks -> {record['outputs']['cloud']}"
    )
    return line if record["metric"] else f"{line}\n{NO_SCALE}"


def _note(line: str) -> None:
    """Write a line on stderr without breaking a progress bar there."""
    tqdm.write(line, file=sys.stderr)
