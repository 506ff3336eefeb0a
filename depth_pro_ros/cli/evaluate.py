"""`depth_pro_ros evaluate`: how good depth, boundaries and focal length are, on folders of RGB-D or on scenes.

A TARGET is a folder (its layouts stand in evaluation/rgbd_layouts.py and below --help), `scenes:KIND` for worlds that
were never trained on, rendered on the fly, or `seams` for photos of nothing but a wall. Beside the network stand
the best constant depth and the best depth of each row, fitted to the same truths: what guessing without looking reaches
at most. With --output each set's folder there receives images.csv, error_by_range.png and worst_1_NAME.png, ...;
an evaluation that was interrupted goes on when it is called again.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from depth_pro_ros.cli import evaluate_images, evaluate_pictures, evaluate_tables
from depth_pro_ros.cli.evaluate_images import ESTIMATED, GIVEN, Work
from depth_pro_ros.cli.evaluate_journal import Record
from depth_pro_ros.cli.evaluate_sources import HELD_OUT_SEED, FolderImages, Images, SceneImages
from depth_pro_ros.cli.predict import UNTRAINED_WARNING, positive
from depth_pro_ros.errors import ImageError
from depth_pro_ros.evaluation import guesses, rgbd_layouts, seams
from depth_pro_ros.evaluation.figures import FARTHEST_M, SetFigures, set_figures
from depth_pro_ros.outputs import files

SCENES, SEAMS = "scenes:", "seams"
WALLS = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (rgbd_layouts.__doc__ or "").partition("\n\n")[2]
    parser.add_argument("targets", nargs="+", metavar="TARGET", help="a folder, scenes:KIND (scenes:robot), or seams")
    parser.add_argument("-o", "--output", metavar="FOLDER", type=Path, help="figures by image, plots, worst cases")
    parser.add_argument("--json", metavar="FILE", type=Path, help="write all figures into this file")
    parser.add_argument("--weights", default="tiny", metavar="NAME|PATH", help="default: %(default)s, the embedded one")
    parser.add_argument("--device", default="auto", help="auto, cuda, cpu or mps; default: %(default)s")
    parser.add_argument("--precision", default="auto", help="default: %(default)s, which suits the device")
    parser.add_argument(
        "--focal", choices=(GIVEN, ESTIMATED), help="default: given where all of a set's cameras are known"
    )
    parser.add_argument(
        "--max-depth", type=positive, metavar="M", help="truth beyond does not count, and predictions are cut there"
    )
    parser.add_argument("--workers", type=count, default=1, metavar="N", help="processes; default: %(default)s")
    parser.add_argument("--worst", type=int, default=4, metavar="N", help="pictures in --output; default: %(default)s")
    folders = parser.add_argument_group("folders")
    folders.add_argument("--limit", type=count, metavar="N", help="at most N images of a set, evenly spread")
    folders.add_argument(
        "--depth-scale", type=positive, metavar="N", help="units a metre of depth PNG; default: the set's own"
    )
    worlds = parser.add_argument_group("scenes")
    worlds.add_argument("--count", type=count, default=500, metavar="N", help="scenes; default: %(default)s")
    worlds.add_argument("--first-seed", type=int, default=HELD_OUT_SEED, metavar="S", help="default: %(default)s")
    worlds.add_argument("--size", type=count, default=512, metavar="PX", help="square side; default: %(default)s")


def count(text: str) -> int:
    """Return a whole number from 1 on from the command line."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number from 1 on")
    return int(text)


@dataclass(frozen=True, eq=False)
class Result:
    """What came of one set."""

    work: Work
    figures: SetFigures
    baselines: guesses.Table


def run(args: argparse.Namespace, load: Callable[..., Any] = evaluate_images.load_predictor) -> int:
    """Evaluate every target, print the tables and write what was asked for; return 0.

    `load` makes the predictor of this process. Raises this package's errors; then no file is left half written.
    """
    sources = [source(target, args) for target in args.targets if target != SEAMS]
    for images in sources:
        images.check()
    folders = make_folders(sources, args.output)
    if args.json:
        files.make_folder(args.json.parent)
    predictor = load(args.weights, args.device, args.precision, _note)
    if not predictor.description["trained"]:
        _note(UNTRAINED_WARNING)
    report: dict[str, Any] = {"model": dict(predictor.description), "max_depth_m": args.max_depth, "sets": []}
    results = []
    for images, folder in zip(sources, folders, strict=True):
        result = evaluate_set(images, folder, predictor, args)
        results.append((images.name, result.figures, result.baselines))
        report["sets"].append(describe(result))
    if len(results) > 1:
        print(evaluate_tables.comparison(results))
    if SEAMS in args.targets:
        report["wall_seam_ratio"] = wall_seams(predictor)
        print(f"seams on {WALLS} photos of a smooth wall: gradient at the patches' joints over that elsewhere "
              f"{report['wall_seam_ratio']:.3f}")  # fmt: skip
    if args.json:
        files.write_json(args.json, report)
    return 0


def source(target: str, args: argparse.Namespace) -> Images:
    """Return the images that a target names; raises SourceError or ConfigurationError."""
    if target.startswith(SCENES):
        return SceneImages(target.removeprefix(SCENES), args.count, args.first_seed, args.size)
    return FolderImages(Path(target), args.depth_scale, args.limit)


def make_folders(sources: list[Images], output: Path | None) -> list[Path | None]:
    """Return each set's folder in --output, made if need be, with a number where names clash; None without --output."""
    if output is None:
        return [None] * len(sources)
    names: list[str] = []
    for images in sources:
        number = sum(name == images.name or name.startswith(f"{images.name}_#") for name in names)
        names.append(images.name if not number else f"{images.name}_#{number + 1}")
    return [files.make_folder(output / name) for name in names]


def evaluate_set(images: Images, folder: Path | None, predictor: Any, args: argparse.Namespace) -> Result:
    """Evaluate one set, print its table, and write its files into `folder`."""
    focal = args.focal or (GIVEN if images.has_cameras else ESTIMATED)
    work = Work(images, focal, args.max_depth, args.weights, args.device, args.precision)
    records = evaluate_images.evaluate_all(work, predictor, args.workers, folder)
    figures = set_figures([record.figures for record in records])
    if not figures.depth and figures.boundary_recall is None:
        raise ImageError(f"'{images.name}' has no known depth up to {args.max_depth} m: give a larger --max-depth")
    truths = [record.truth_m for record in records if record.truth_m is not None]
    result = Result(work, figures, guesses.baseline_figures(truths, args.max_depth))
    print(f"{images.name}: {images.description}, focal length {focal}, depth up to {args.max_depth or FARTHEST_M:g} m")
    print(evaluate_tables.depth_table(figures, result.baselines, focal))
    print("\n".join(evaluate_tables.other_lines(figures, result.baselines)), end="\n\n")
    if folder is not None:
        write(folder, result, records, predictor, args.worst)
    return result


def write(folder: Path, result: Result, records: list[Record], predictor: Any, worst: int) -> None:
    """Write the figures by image, the plot, and the pictures of the images with the largest AbsRel."""
    with files.atomic_file(folder / "images.csv") as file:
        file.write(evaluate_tables.by_image(records).encode("utf-8"))
    if not result.figures.depth:
        return
    plot = evaluate_pictures.range_plot(result.figures, result.work.images.name)
    files.write_picture(folder / "error_by_range.png", plot)
    errors = [record.figures.depth["none"].abs_rel if record.figures.depth else -np.inf for record in records]
    for rank, index in enumerate(np.argsort(errors)[::-1][:worst], start=1):
        sample = result.work.images.read(int(index))
        depth = evaluate_images.predict(predictor, sample, result.work.focal)
        trained = bool(predictor.description["trained"])
        picture = evaluate_pictures.error_picture(sample.rgb, depth.depth_m, sample.depth_m, trained)
        files.write_picture(folder / f"worst_{rank}_{sample.name.replace('/', '_')}.png", picture)


def describe(result: Result) -> dict[str, Any]:
    """Return a set's part of the JSON."""
    images = result.work.images
    return {
        "name": images.name,
        "description": images.description,
        **images.identity,
        "focal_length": result.work.focal,
        **evaluate_tables.plain(result.figures, result.baselines),
    }


def wall_seams(predictor: Any) -> float:
    """Return the mean gradient of ln depth across the patches' joints over that elsewhere, on photos of a wall."""
    side = int(predictor.description["input_size"])
    walls = (predictor.predict(seams.smooth_wall(side, seed), focal_px=float(side)).depth_m for seed in range(WALLS))
    return seams.total(seams.seam_sums(np.minimum(depth_m, FARTHEST_M)) for depth_m in walls).ratio


def _note(line: str) -> None:
    """Write a line on stderr without breaking a progress bar there."""
    tqdm.write(line, file=sys.stderr)
