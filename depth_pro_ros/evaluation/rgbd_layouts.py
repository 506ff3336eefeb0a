"""Folders of RGB-D images: which file belongs to which.

A folder is read by the first of these layouts that it has; PNG depth is uint16, 0 unknown, and its units a metre are
`depth_scale` of the camera's file, else what stands in brackets.

    tum         FOLDER/rgb.txt, depth.txt: `stamp FILE` a line, matched within 20 ms (TUM RGB-D) [5000]
    kitti       FOLDER/image/A_sync_image_B.png, groundtruth_depth/A_sync_groundtruth_depth_B.png,
                intrinsics/A_sync_image_B.txt (nine numbers of K): KITTI's depth selection [256]
    middlebury  FOLDER or FOLDER/SCENE: im0.png, disp0.pfm, calib.txt (Middlebury 2014); other endings of PHOTOS do
    pairs       FOLDER/rgb/NAME.png (any of PHOTOS) and depth/NAME.png, .npy, .npz or .pfm (metres) [1000]; instead of
                or beside depth/ there may be mask/NAME.png, the opacity of a foreground, 0 to 255; names need not
                agree where associations.txt lists `stamp rgb/A.png stamp depth/B.png`
    flat        FOLDER/.../rgb_KEY.jpg beside depth_KEY.png or sync_depth_KEY.png (NYU v2's usual extraction) [1000];
                depth_KEY_mm.png holds millimetres and depth_KEY_x256.png 256 units a metre

FOLDER/intrinsics.json (or camera.yaml, calib.json, camera_info.yaml, ... see camera_files) holds the camera of tum,
pairs and flat: width, height, fx, fy, cx, cy, optionally distortion and depth_scale. Images with distortion are
undistorted when they are read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from depth_pro_ros.errors import SourceError
from depth_pro_ros.evaluation.camera_files import find_camera, read_kitti, read_middlebury
from depth_pro_ros.evaluation.rgbd import MILLIMETRES, SHOWN, Item
from depth_pro_ros.evaluation.rgbd_files import DEPTHS, PHOTOS

TUM_UNITS, KITTI_UNITS = 5000.0, 256.0  # a metre
ASSOCIATION_S = 0.02  # between a photo and its depth, as TUM's associate.py

_FLAT_PHOTO = re.compile(r"rgb(?:_(?P<key>.+))?")
_FLAT_DEPTH = re.compile(r"(?:sync_)?depth(?:_(?P<key>.+?))??(?:_(?P<unit>mm|x[1-9]\d*))?")


@dataclass(frozen=True)
class RgbdSet:
    """A folder's labelled images, in the order of their names or stamps."""

    folder: Path
    layout: str
    items: tuple[Item, ...]


def open_folder(folder: Path, units_per_m: float | None = None) -> RgbdSet:
    """Return what the folder holds; `units_per_m`, where given, is that of every depth PNG.

    Raises SourceError for a folder of no known layout and for files without a partner, CalibrationError for a faulty
    camera file. Only names are read, not images.
    """
    if not folder.is_dir():
        raise SourceError(f"there is no folder '{folder}': give a folder of RGB-D images")
    for layout, (fits, find) in LAYOUTS.items():
        if fits(folder):
            items = find(folder)
            if not items:
                raise SourceError(f"'{folder}' looks like the layout {layout}, but has no image with a truth")
            _check_names(items, folder)
            if units_per_m is not None:
                items = [replace(item, units_per_m=units_per_m) for item in items]
            return RgbdSet(folder, layout, tuple(items))
    raise SourceError(
        f"'{folder}' has none of the layouts {', '.join(LAYOUTS)}: put photos into rgb/ and depth of the same names "
        "(uint16 PNG in millimetres, NPY, NPZ or PFM in metres) into depth/"
    )


def _check_names(items: Sequence[Item], folder: Path) -> None:
    names = [item.name for item in items]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise SourceError(f"'{folder}' has '{twice}' twice: list each photo once, and give photos different names")


def _tum(folder: Path) -> list[Item]:
    photos, depths = (_stamped(folder / name) for name in ("rgb.txt", "depth.txt"))
    camera = find_camera(folder)
    units = camera.depth_scale if camera and camera.depth_scale else TUM_UNITS
    items = []
    for stamp, photo in photos:
        other, depth = min(depths, key=lambda entry: abs(entry[0] - stamp))
        if abs(other - stamp) <= ASSOCIATION_S:
            items.append(Item(photo.stem, photo, depth, None, camera, units))
    return items


def _stamped(path: Path) -> list[tuple[float, Path]]:
    """Return the (stamp, file) of each line, by rising stamp."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        words = [line.split() for line in lines if line.strip() and not line.startswith("#")]
        files = sorted((float(stamp), path.parent / name) for stamp, name in words)
    except (OSError, ValueError) as error:
        raise SourceError(f"'{path}' is not `stamp FILE` a line ({error}): correct it") from error
    _check_exist([file for _, file in files], path)
    return files


def _check_exist(files: Sequence[Path], listed_in: Path) -> None:
    missing = [str(file) for file in files if not file.is_file()]
    if missing or not files:
        raise SourceError(
            f"'{listed_in}' lists {len(files)} files, of which {len(missing)} are missing: "
            f"{', '.join(missing[:SHOWN]) or 'none'}; correct the list, or add the files"
        )


def _kitti(folder: Path) -> list[Item]:
    items, depths = [], []
    for photo in _photos(folder / "image"):
        depth = folder / "groundtruth_depth" / photo.name.replace("sync_image", "sync_groundtruth_depth")
        calibration = folder / "intrinsics" / f"{photo.stem}.txt"
        camera = read_kitti(calibration) if calibration.is_file() else None
        items.append(Item(photo.stem, photo, depth, None, camera, KITTI_UNITS))
        depths.append(depth)
    _check_exist(depths, folder / "image")
    return items


def _middlebury(folder: Path) -> list[Item]:
    items = []
    for calibration in _calibrations(folder):
        scene = calibration.parent
        photo = next((path for path in _photos(scene) if path.stem == "im0"), scene / "im0.png")
        items.append(Item(scene.name, photo, scene / "disp0.pfm", rig=read_middlebury(calibration)))
        _check_exist([photo, scene / "disp0.pfm"], calibration)
    return items


def _calibrations(folder: Path) -> list[Path]:
    return sorted(folder.glob("calib.txt")) or sorted(folder.glob("*/calib.txt"))


def _pairs(folder: Path) -> list[Item]:
    camera = find_camera(folder)
    units = camera.depth_scale if camera and camera.depth_scale else MILLIMETRES
    listed = folder / "associations.txt"
    files = _associated(listed) if listed.is_file() else _of_one_name(folder)
    return [Item(photo.stem, photo, depth, mask, camera, units) for photo, depth, mask in files]


def _of_one_name(folder: Path) -> list[tuple[Path, Path | None, Path | None]]:
    """Return photo, depth and mask files that share a name, in its order."""
    kinds = {"rgb": PHOTOS, "depth": DEPTHS, "mask": PHOTOS}
    files = {kind: _by_stem(folder / kind, endings) for kind, endings in kinds.items() if (folder / kind).is_dir()}
    photos = files.pop("rgb")
    alone = [photos[stem] for truths in files.values() for stem in photos.keys() - truths.keys()]
    alone += [truths[stem] for truths in files.values() for stem in truths.keys() - photos.keys()]
    if alone:
        raise SourceError(
            f"'{folder}': {len(alone)} files of rgb/ and {'/, '.join(files)}/ have no partner of the same name: "
            f"{', '.join(sorted(map(str, alone))[:SHOWN])}; add it, remove them, or write associations.txt"
        )
    depths, masks = files.get("depth", {}), files.get("mask", {})
    return [(photos[stem], depths.get(stem), masks.get(stem)) for stem in sorted(photos)]


def _by_stem(folder: Path, endings: tuple[str, ...]) -> dict[str, Path]:
    found = _files(folder, endings)
    stems = {path.stem: path for path in found}
    if not found or len(stems) < len(found):
        fault = "files that differ only in their ending" if found else f"no file of {' '.join(endings)}"
        raise SourceError(f"'{folder}' has {fault}: keep one of each name")
    return stems


def _associated(listed: Path) -> list[tuple[Path, Path, None]]:
    """Return the pairs that associations.txt lists, in its order."""
    lines = [line for line in listed.read_text(encoding="utf-8").splitlines() if line.strip() and line[0] != "#"]
    words = [line.split() for line in lines]
    wrong = next((line for line, parts in zip(lines, words, strict=True) if len(parts) != 4), None)
    if wrong is not None:
        raise SourceError(f"'{listed}': '{wrong}' is not `stamp rgb/FILE stamp depth/FILE`")
    pairs = [(listed.parent / parts[1], listed.parent / parts[3], None) for parts in words]
    _check_exist([path for pair in pairs for path in pair[:2]], listed)
    return pairs


def _flat(folder: Path) -> list[Item]:
    camera = find_camera(folder)
    depths = {}
    for path in _files(folder, DEPTHS, recursive=True):
        if found := _FLAT_DEPTH.fullmatch(path.stem):
            depths[path.parent, found["key"]] = path, found["unit"]
    items = []
    for photo in _flat_photos(folder):
        place = photo.parent, photo.stem.partition("_")[2] or None
        if place not in depths:
            raise SourceError(f"'{photo}' has no depth_{place[1] or ''} beside it: add it, or remove the photo")
        depth, unit = depths[place]
        stated = camera.depth_scale if camera and camera.depth_scale else MILLIMETRES
        units = stated if unit is None else MILLIMETRES if unit == "mm" else float(unit[1:])
        name = photo.relative_to(folder).with_suffix("").as_posix()
        items.append(Item(name, photo, depth, None, camera, units))
    return items


def _flat_photos(folder: Path) -> list[Path]:
    return [path for path in _files(folder, PHOTOS, recursive=True) if _FLAT_PHOTO.fullmatch(path.stem)]


def _photos(folder: Path) -> list[Path]:
    return _files(folder, PHOTOS)


def _files(folder: Path, endings: tuple[str, ...], recursive: bool = False) -> list[Path]:
    """Return the folder's files of these endings, by name; hidden ones are left out."""
    found = folder.rglob("*") if recursive else folder.glob("*")
    return sorted(path for path in found if path.suffix.lower() in endings and path.name[0] != "." and path.is_file())


def _has(*names: str) -> Callable[[Path], bool]:
    return lambda folder: all((folder / name).exists() for name in names)


LAYOUTS: dict[str, tuple[Callable[[Path], bool], Callable[[Path], list[Item]]]] = {
    "tum": (_has("rgb.txt", "depth.txt"), _tum),
    "kitti": (_has("image", "groundtruth_depth"), _kitti),
    "middlebury": (lambda folder: bool(_calibrations(folder)), _middlebury),
    "pairs": (lambda folder: _has("rgb", "depth")(folder) or _has("rgb", "mask")(folder), _pairs),
    "flat": (lambda folder: bool(_flat_photos(folder)), _flat),
}
"""How each layout is recognised, in the order of trying, and what finds its images."""
