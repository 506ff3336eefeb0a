"""`depth_pro_ros predict`: photos and videos in; depth, cloud, picture and figures out, without ROS.

For a photo NAME.jpg the output folder receives NAME.npz (depth in metres, intrinsics), NAME_depth_mm.png
(16 bits, 0 unknown), NAME.png (the photo beside its depth in colours), NAME.ply (coloured cloud) and
NAME.json (weights, focal length and its origin, timings, percentiles). For a video it receives NAME.mp4 (the
video beside its depth) and NAME.json, and on demand each picture's files as NAME/000012.npz and so on.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from depth_pro_ros.cli import photos, predict_video
from depth_pro_ros.cli.predict_arguments import OUTPUTS, SAVED, add_arguments, focal_choice, positive
from depth_pro_ros.cli.predict_batch import in_groups, infer
from depth_pro_ros.cli.predict_mp4 import Film, film
from depth_pro_ros.errors import CalibrationError, ImageError, InferenceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs import files, pictures
from depth_pro_ros.records import DepthMap

__all__ = ["add_arguments", "focal_choice", "positive", "run"]

DONE, SOME_FAILED = 0, 1
CLOUD_MAX_POINTS = 2_000_000
JOINED = "predictions.mp4"
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)

UNTRAINED_WARNING = (
    "THE WEIGHTS ARE UNTRAINED: the depth below is noise that only shows that the program runs; "
    "give --weights a trained checkpoint"
)


def run(args: argparse.Namespace, load: Callable[..., Any] | None = None) -> int:
    """Predict depth for every photo and video; return 0, or 1 when some could not be done (each is told on stderr).

    `load` makes the predictor and is Predictor.load unless a test gives another. Raises SourceError without
    any image, OutputError when results cannot be written.
    """
    paths = photos.find(args.inputs, (*photos.SUFFIXES, *predict_video.SUFFIXES))
    out = files.make_folder(args.out)
    predictor = (load or _load)(
        args.weights,
        device=args.device,
        precision=args.precision,
        max_range_m=args.max_range,
        log=_note,
        backend=args.backend,
        quality=args.quality,
    )
    if not predictor.description["trained"]:
        _note(UNTRAINED_WARNING)
    records = []
    joined = film(out / JOINED, args.fps) if args.fps else nullcontext()
    names = unique_names(paths, out, {JOINED} if args.fps else set())
    with joined as strip, tqdm(total=len(paths), unit="photo", disable=args.json) as bar:
        work = Work(args, out, predictor, strip)
        for group in in_groups(list(zip(paths, names, strict=True)), args.batch):
            for record in work.video(*group[0]) if predict_video.is_video(group[0][0]) else work.photos(group):
                records.append(record)
                bar.update()
                _tell(record, args.json)
    if args.json:
        print(json.dumps(records, indent=2, allow_nan=False))
    return SOME_FAILED if any("error" in record for record in records) else DONE


def _tell(record: dict[str, Any], quiet: bool) -> None:
    """Write an input's line: its result, which `quiet` leaves out, or its error."""
    if "error" in record:
        path, error = record["input"], record["error"]
        _note(f"depth_pro_ros: {error}" if path in error else f"depth_pro_ros: {path}: {error}")
    elif not quiet:
        tqdm.write(summary(record) if "pictures" not in record else predict_video.summary(record), file=sys.stdout)


class Work:
    """What is done with photos and videos; `strip` is the film that joins the photos' pictures, if there is one."""

    def __init__(self, args: argparse.Namespace, out: Path, predictor: Any, strip: Film | None) -> None:
        self._args = args
        self._out = out
        self._predictor = predictor
        self._strip = strip

    def photos(self, group: Sequence[tuple[Path, str]]) -> Iterator[dict[str, Any]]:
        """Predict photos at once, write their files (JSON last), and yield what each one's JSON holds, or its error."""
        read: dict[int, tuple[photos.Photo, float | None, str]] = {}
        failed: dict[int, Exception] = {}
        for i, (path, _) in enumerate(group):
            try:
                photo = photos.read(path)
                read[i] = (photo, *choose_focal(photo, self._args.focal))
            except (ImageError, CalibrationError) as error:
                failed[i] = error
        images, focals = [photo.rgb for photo, _, _ in read.values()], [focal for _, focal, _ in read.values()]
        inferred = infer(self._predictor, images, focals, _note)
        results = dict(zip(read, inferred, strict=True))
        for i, (path, name) in enumerate(group):
            result = failed.get(i) or results[i]
            if isinstance(result, Exception):
                yield {"input": str(path), "error": str(result)}
            else:
                photo, _, origin = read[i]
                record = describe(path, photo, result, origin, self._predictor.description)
                yield self._write(name, photo.rgb, result, record)

    def _write(self, name: str, rgb: np.ndarray, result: DepthMap, record: dict[str, Any]) -> dict[str, Any]:
        """Write a photo's files and return its record with what they are."""
        kinds = SAVED if self._args.save is None else self._args.save
        targets = {kind: self._out / f"{name}{OUTPUTS[kind]}" for kind in (*kinds, "json")}
        record["outputs"] = {kind: str(target) for kind, target in targets.items()}
        picture = pictures.side_by_side(rgb, result.depth_m, _caption(record))
        record |= save(targets, rgb, result, picture)
        if self._strip is not None:
            self._strip.add(picture)
        files.write_json(targets["json"], record)
        return record

    def video(self, path: Path, name: str) -> list[dict[str, Any]]:
        """Write a video's film, its pictures' files if they were asked for, and its JSON; return what that holds."""
        args, start = self._args, time.perf_counter()
        options = predict_video.Options(args.focal, args.fps, args.every, args.batch)
        targets = {"mp4": self._out / f"{name}{OUTPUTS['mp4']}", "json": self._out / f"{name}{OUTPUTS['json']}"}
        record = {"input": str(path), "trained": bool(self._predictor.description["trained"])}
        with tqdm(unit="picture", leave=False, disable=args.json) as bar:

            def step(passed: int, promised: int) -> None:
                bar.total = promised or None
                bar.update(passed - bar.n)

            keep = self._keep(self._out / name) if args.save else None
            try:
                record |= predict_video.process(path, targets["mp4"], self._predictor, options, keep, step)
            except (ImageError, CalibrationError, InferenceError) as error:
                return [{"input": str(path), "error": str(error)}]
        record["model"] = dict(self._predictor.description)
        record["seconds"] = time.perf_counter() - start
        record["outputs"] = {kind: str(target) for kind, target in targets.items()}
        if record["cut_short"]:
            record["error"] = (
                f"{path} ends too early, after {record['passed']} pictures: it was cut short or is damaged"
            )
        files.write_json(targets["json"], record)
        return [record]

    def _keep(self, folder: Path) -> predict_video.Save:
        """Return what writes the files of a video's picture into `folder`."""
        files.make_folder(folder)

        def keep(number: int, rgb: np.ndarray, depth: DepthMap) -> None:
            targets = {kind: folder / f"{number:06d}{OUTPUTS[kind]}" for kind in self._args.save}
            save(targets, rgb, depth, pictures.side_by_side(rgb, depth.depth_m) if "picture" in targets else None)

        return keep


def save(targets: dict[str, Path], rgb: np.ndarray, depth: DepthMap, picture: np.ndarray | None) -> dict[str, Any]:
    """Write those of a depth's files that `targets` names; return what there is to tell of them."""
    if "npz" in targets:
        files.write_npz(targets["npz"], depth)
    if "depth_mm" in targets:
        files.write_png_mm(targets["depth_mm"], depth.depth_m)
    if "picture" in targets:
        files.write_picture(targets["picture"], picture)
    return {"cloud_points": write_cloud(targets["cloud"], rgb, depth)} if "cloud" in targets else {}


def _load(*args: Any, **kwargs: Any) -> Any:
    """Return the real predictor; PyTorch is imported here, after the arguments proved right."""
    from depth_pro_ros.inference import Predictor

    return Predictor.load(*args, **kwargs)


def _note(line: str) -> None:
    """Write a line on stderr without breaking a progress bar there."""
    tqdm.write(line, file=sys.stderr)


def unique_names(paths: Iterable[Path], out: Path, reserved: Iterable[str] = ()) -> list[str]:
    """Return each photo's NAME in the output folder: its stem, or stem_2, stem_3, ... where that would clash.

    No output takes the place of another's (a.jpg and a.png; one name in two folders; a.jpg and
    a_depth_mm.jpg), nor of a photo that lies in the output folder itself, nor of the `reserved` file names. Case does
    not tell names apart.
    """
    paths = list(paths)
    taken = {path.name.casefold() for path in paths if path.resolve().parent == out.resolve()}
    taken |= {name.casefold() for name in reserved}
    names = []
    for path in paths:
        name, number = path.stem, 1
        while taken & (wanted := {f"{name}{ending}".casefold() for ending in OUTPUTS.values()}):
            number += 1
            name = f"{path.stem}_{number}"
        taken |= wanted
        names.append(name)
    return names


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
    outputs = record["outputs"]
    return f"{record['input']}: {depth}, {focal} -> {outputs.get('picture', outputs['json'])}"
