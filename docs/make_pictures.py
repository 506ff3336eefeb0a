"""Makes docs/images/flight.gif: the package's own camera flies through its own room, the embedded weights look.

    .venv/bin/python docs/make_pictures.py                               # a minute on two cores
    .venv/bin/python docs/make_pictures.py -o docs/images/flight.webp    # sharper in the same size

Left the photo, in the middle its depth in metres, at the right the depth's point cloud seen from a viewpoint that sways
behind the camera. The title names the mean error against the room's true depth. The picture is made smaller until the
file fits --max-mb.
"""

from __future__ import annotations

import argparse
import io
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from PIL import Image
from tqdm import tqdm

from depth_pro_ros.errors import DepthProError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.inference import Predictor
from depth_pro_ros.outputs import cloud_view, files, pictures
from depth_pro_ros.records import DepthMap
from depth_pro_ros.scenes import World

TARGET = Path(__file__).resolve().parent / "images" / "flight.gif"
SEED, START_S = 8, 2.0  # a stretch between a person, a chair, cones and cupboards
FIELD_OF_VIEW_DEG = 75.0
WIDTH, HEIGHT = 480, 360
TEXEL_M = 0.012
SPAN_M = (1.2, 10.0)  # of the colours, the same in every picture
CLOUD_M = 12.0  # what is farther is left out of the cloud
CLOUD_VIEW_DEG = 60.0
SWAY_M, ABOVE_M, BEHIND_M = 0.9, 0.9, 0.9  # where the cloud is looked at from
LOOKED_AT = np.array((0.0, 0.1, 4.0))
PANEL_HEIGHTS = (240, 225, 210, 195, 180)
PHOTO_COLOURS, DEPTH_COLOURS = 96, 40  # of the GIF's one palette: colours must not flicker
SMOOTHING = 12.0  # levels: noise finer than this costs bytes and shows nothing


class Shot(NamedTuple):
    """One photo (H, W, 3) of the flight, what the network makes of it, and the mean error against the truth."""

    rgb: np.ndarray
    depth: DepthMap
    abs_rel: float


def main(argv: Sequence[str] | None = None) -> int:
    """Render, predict and write the picture; return 0, or 1 with a sentence that says why there is none."""
    args = arguments(argv)
    try:
        return make(Predictor.load(args.weights), args)
    except DepthProError as error:
        print(error, file=sys.stderr)
        return 1


def make(predictor: Predictor, args: argparse.Namespace) -> int:
    """Write the picture at the largest size that fits; return 0, or 1 when none does or the weights are untrained."""
    if not predictor.description["trained"]:
        print("these weights are untrained: the picture would show nothing; train or name others", file=sys.stderr)
        return 1
    shots = fly(predictor, args)
    colours = palette(np.vstack([shot.rgb for shot in shots[::6]]))
    for height in PANEL_HEIGHTS:
        content = animation(panels(shots, height), args.rate, None if args.output.suffix == ".webp" else colours)
        if len(content) <= args.max_mb * 1e6:
            files.make_folder(args.output.parent)
            with files.atomic_file(args.output) as file:
                file.write(content)
            print(f"{args.output}: {len(content) / 1e6:.2f} MB, {len(shots)} pictures, panels {height} pixels high")
            return 0
    print(f"no size fits {args.max_mb} MB: ask for fewer --frames", file=sys.stderr)
    return 1


def arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    """Return the command line's values."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--weights", default="tiny", metavar="NAME|PATH", help="default: %(default)s")
    parser.add_argument("--seed", type=int, default=SEED, help="which room; default: %(default)s")
    parser.add_argument("--start", type=float, default=START_S, metavar="S", help="into the flight; %(default)s")
    parser.add_argument("--frames", type=int, default=28, metavar="N", help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=5.0, metavar="HZ", help="default: %(default)s")
    parser.add_argument("--max-mb", type=float, default=2.0, metavar="MB", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, default=TARGET, metavar="FILE", help="default: %(default)s")
    return parser.parse_args(argv)


def fly(predictor: Predictor, args: argparse.Namespace) -> list[Shot]:
    """Return what a camera on that stretch of the flight sees, and the depth of it."""
    world = World("aisle", args.seed, texel_m=TEXEL_M)
    camera = pinhole.centred(WIDTH, HEIGHT, pinhole.focal_from_fov(FIELD_OF_VIEW_DEG, WIDTH))
    first = round(args.start * args.rate)
    shots = []
    for pose in tqdm(world.flight(first + args.frames, args.rate)[first:], unit="picture"):
        view = world.render(camera, pose.T_world_camera)
        rgb = np.ascontiguousarray(view.rgb)
        depth = predictor.predict(rgb, intrinsics=camera)
        shots.append(Shot(rgb, depth, float(np.nanmean(np.abs(depth.depth_m / view.depth_m - 1)))))
    return shots


def panels(shots: Sequence[Shot], height: int) -> list[np.ndarray]:
    """Return for each shot photo, depth and cloud in a row, (h, w, 3) uint8 RGB."""
    error = np.mean([shot.abs_rel for shot in shots])
    rows = []
    for index, shot in enumerate(shots):
        images = [
            ("photo", shot.rgb),
            (f"depth (mean error {error:.0%})", pictures.colour_depth(shot.depth.depth_m, *SPAN_M)),
            ("point cloud", cloud(shot, index / len(shots))),
        ]
        rows.append(pictures.panels(images, SPAN_M, height))
    return rows


def cloud(shot: Shot, turn: float) -> np.ndarray:
    """Return the cloud from behind and above its camera, after `turn` of a sway, (HEIGHT, WIDTH, 3) uint8 RGB."""
    near_m = np.where(shot.depth.depth_m <= CLOUD_M, shot.depth.depth_m, np.nan)
    points = pinhole.unproject(near_m, shot.depth.intrinsics)
    view = pinhole.centred(WIDTH, HEIGHT, pinhole.focal_from_fov(CLOUD_VIEW_DEG, WIDTH))
    eye = np.array((SWAY_M * math.sin(2 * math.pi * turn), -ABOVE_M, -BEHIND_M))
    return cloud_view.fill_slits(cloud_view.render_cloud(points, shot.rgb, cloud_view.look_at(eye, LOOKED_AT), view))


def animation(images: Sequence[np.ndarray], rate_hz: float, colours: Image.Image | None) -> bytes:
    """Return a GIF of those colours, or without them a WebP, that plays without end."""
    timing = {"save_all": True, "duration": round(1000 / rate_hz), "loop": 0}
    content = io.BytesIO()
    if colours is None:
        frames = [Image.fromarray(image) for image in images]
        frames[0].save(content, "WEBP", append_images=frames[1:], quality=70, method=6, **timing)
        return content.getvalue()
    smooth = (Image.fromarray(cv2.bilateralFilter(image, 5, SMOOTHING, 2.0)) for image in images)
    frames = [image.quantize(palette=colours, dither=Image.Dither.NONE) for image in smooth]
    frames[0].save(content, "GIF", append_images=frames[1:], optimize=True, disposal=1, **timing)
    return content.getvalue()


def palette(photos: np.ndarray) -> Image.Image:
    """Return an image with the palette of a GIF: the photos' colours, ground and ink, and steps of those of metres."""
    common = Image.fromarray(photos).quantize(PHOTO_COLOURS, kmeans=1, dither=Image.Dither.NONE).getpalette() or []
    inverse = np.linspace(1 / SPAN_M[1], 1 / SPAN_M[0], DEPTH_COLOURS)
    metres = pictures.colour_depth(1 / inverse[None], *SPAN_M)
    image = Image.new("P", (1, 1))
    image.putpalette(
        [*common[: 3 * PHOTO_COLOURS], *pictures.PAPER_RGB, *cloud_view.GROUND_RGB, *pictures.INK_RGB, *metres.ravel()]
    )
    return image


if __name__ == "__main__":
    sys.exit(main())
