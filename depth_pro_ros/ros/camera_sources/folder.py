"""A folder of images, with calibration, depth and poses beside them where there are any.

    PATH/*.png or PATH/rgb/*.png     images, sorted naturally by name (2 before 10)
    PATH/intrinsics.json             or camera_info.yaml
    PATH/depth/NAME.png              uint16, depth_scale of intrinsics.json units per metre, 0 = unknown
    PATH/poses.txt                   NAME tx ty tz qx qy qz qw, camera-to-world, metres (TUM RGB-D)

Names that are seconds with a fraction, or nanoseconds, are the images' stamps; then a depth image or a pose
without a namesake is matched to the nearest within 20 ms, as TUM's associate.py does.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from depth_pro_ros.errors import ImageError, SourceError
from depth_pro_ros.records import Pose
from depth_pro_ros.ros.camera_sources.calibration_file import NAMES, read_calibration, read_depth_scale
from depth_pro_ros.ros.camera_sources.frame import CameraFrame
from depth_pro_ros.ros.standins import tf_transformations

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")
NOMINAL_RATE_HZ = 10.0
ASSOCIATION_NS = 20_000_000

_STAMP = re.compile(r"(?P<seconds>\d+\.\d+)|(?P<nanoseconds>\d{16,19})")
_Item = TypeVar("_Item")


class FolderSource:
    """The images of a folder; see the module for its layout."""

    live = False

    def __init__(self, path: str, intrinsics: str = "", warn: Callable[[str], None] = print) -> None:
        """Open `path`; raises SourceError without a readable image, CalibrationError when the sizes differ."""
        self._root = Path(path).expanduser()
        self._paths = _image_paths(self._root)
        self._warn = warn
        self.skipped = 0
        self.description = f"{len(self._paths)} images of {self._root}"
        calibration_path = Path(intrinsics).expanduser() if intrinsics else _beside(self._root)
        self._calibration = read_calibration(calibration_path) if calibration_path else None
        self._depths = {file.stem: file for file in _files(self._root / "depth", (".png",))}
        self._depth_scale = read_depth_scale(calibration_path) if calibration_path and self._depths else 1000.0
        self._poses = _read_poses(self._root / "poses.txt")
        self.has_depth, self.has_pose, self.has_right = bool(self._depths), bool(self._poses), False
        self._stamps = _stamps(self._paths)
        self._check_first()

    def frames(self) -> Iterator[CameraFrame]:
        """Yield the readable images; the others are counted in `skipped` and reported to `warn`."""
        for file, stamp_ns in zip(self._paths, self._stamps, strict=True):
            rgb = self._read(file)
            if rgb is None:
                self.skipped += 1
                self._warn(f"skipped {file}: not a readable image ({self.skipped} so far)")
                continue
            pose = _match(self._poses, file.stem)
            yield CameraFrame(
                stamp_ns,
                rgb,
                self._calibration,
                self._depth(file.stem, rgb),
                None if pose is None else Pose(pose, stamp_ns),
            )

    def close(self) -> None:
        """Do nothing: each file is closed once it is read."""

    def _check_first(self) -> None:
        for file in self._paths:
            if self._read(file) is not None:
                return
        raise SourceError(
            f"none of the {len(self._paths)} images of {self._root} can be read: check that they are whole"
        )

    def _read(self, file: Path) -> np.ndarray | None:
        """Return the image (H, W, 3) as 8-bit RGB, None when it cannot be read.

        Calibration and depth belong to the pixels as they are stored, so there EXIF's orientation is left
        alone; a photo without either is turned upright, as people see it.
        """
        stored = cv2.IMREAD_IGNORE_ORIENTATION if self._calibration or self._depths else 0
        bgr = cv2.imread(str(file), cv2.IMREAD_COLOR | stored)
        if bgr is None:
            return None
        if self._calibration is not None:
            self._calibration.check_size(bgr.shape[1], bgr.shape[0], str(file))
        return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)

    def _depth(self, stem: str, rgb: np.ndarray) -> np.ndarray | None:
        """Return the depth (H, W) float32 in metres that belongs to an image, None when there is none."""
        file = _match(self._depths, stem)
        if file is None:
            return None
        raw = cv2.imread(str(file), cv2.IMREAD_UNCHANGED)
        if raw is None or raw.dtype != np.uint16 or raw.shape != rgb.shape[:2]:
            found = "unreadable" if raw is None else f"{raw.dtype} of shape {raw.shape}"
            raise ImageError(f"{file} is {found}; the depth of its image is uint16 of shape {rgb.shape[:2]}")
        return np.where(raw == 0, np.float32(np.nan), raw / np.float32(self._depth_scale))


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Return a sort key by which img2 comes before img10."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.findall(r"\d+|\D+", name)]


def stamp_from_name(stem: str) -> int | None:
    """Return the time in nanoseconds that a file name is (1305031453.359684, 1403636579763555584), else None."""
    found = _STAMP.fullmatch(stem)
    if found is None:
        return None
    return int(stem) if found["nanoseconds"] else int(Decimal(stem) * 10**9)


def _files(folder: Path, suffixes: tuple[str, ...]) -> list[Path]:
    if not folder.is_dir():
        return []
    found = (file for file in folder.iterdir() if file.suffix.lower() in suffixes and not file.name.startswith("."))
    return sorted(found, key=lambda file: natural_key(file.name))


def _image_paths(root: Path) -> list[Path]:
    if not root.is_dir():
        raise SourceError(f"there is no folder {root}: set 'path' to a folder of images")
    paths = _files(root / "rgb", SUFFIXES) or _files(root, SUFFIXES)
    if not paths:
        raise SourceError(f"no images in {root} or {root / 'rgb'}: they must end in {', '.join(SUFFIXES)}")
    return paths


def _beside(root: Path) -> Path | None:
    folders = (root, root.parent) if root.name == "rgb" else (root,)
    return next((folder / name for folder in folders for name in NAMES if (folder / name).is_file()), None)


def _stamps(paths: list[Path]) -> list[int]:
    """Return the stamps in the names where every name is one and they increase, else nominal ones from 0."""
    named = [stamp_from_name(path.stem) for path in paths]
    if all(stamp is not None for stamp in named) and all(a < b for a, b in zip(named, named[1:], strict=False)):
        return named
    return [round(index * 1e9 / NOMINAL_RATE_HZ) for index in range(len(paths))]


def _read_poses(file: Path) -> dict[str, np.ndarray]:
    """Return name → T_world_camera (4, 4) of a TUM file; {} when there is none."""
    poses: dict[str, np.ndarray] = {}
    if not file.is_file():
        return poses
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        name, *words = line.split()
        try:
            tx, ty, tz, *quaternion = (float(word) for word in words)
            matrix = tf_transformations.quaternion_matrix(quaternion)
        except ValueError as error:
            raise SourceError(f"{file}, line {number}: {line!r} is not 'name tx ty tz qx qy qz qw'") from error
        matrix[:3, 3] = tx, ty, tz
        poses[name] = matrix
    return poses


def _match(items: Mapping[str, _Item], stem: str) -> _Item | None:
    """Return the item of that name, else the one nearest in time within ASSOCIATION_NS, else None."""
    if stem in items:
        return items[stem]
    stamp = stamp_from_name(stem)
    times = {name: stamp_from_name(name) for name in items} if stamp is not None else {}
    gaps = {name: abs(time - stamp) for name, time in times.items() if time is not None}
    nearest = min(gaps, key=gaps.__getitem__, default=None)
    return items[nearest] if nearest is not None and gaps[nearest] <= ASSOCIATION_NS else None
