"""Makes docs/images/flight.gif: the package's own camera flies through its own room, the embedded weights look.

    .venv/bin/python docs/make_pictures.py                               # some minutes on two cores
    .venv/bin/python docs/make_pictures.py -o docs/images/flight.webp    # sharper in the same size

Left the photo, in the middle its depth in metres, at the right the cloud from behind and above the camera. The
picture is made smaller until the file fits --max-mb.
"""

from __future__ import annotations

import argparse
import io
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.inference import Predictor
from depth_pro_ros.outputs import cloud_view, files, pictures
from depth_pro_ros.records import DepthMap
from depth_pro_ros.scenes import World

TARGET = Path(__file__).resolve().parent / "images" / "flight.gif"
SEED = 3
FIELD_OF_VIEW_DEG = 75.0
WIDTH, HEIGHT = 480, 360
TEXEL_M = 0.012
SPAN_M = (0.8, 12.0)  # of the colours, the same in every picture
BEHIND = np.array((-0.9, -1.3, -1.6))  # of the camera, where the cloud is looked at from
AHEAD = np.array((0.0, 0.2, 4.0))
PANEL_HEIGHTS = (300, 260, 220, 180)
COLOURS = 96


def main(argv: Sequence[str] | None = None) -> int:
    """Render, predict and write the picture; return 0, or 1 when no size of it fits."""
    args = arguments(argv)
    predictor = Predictor.load(args.weights, log=lambda line: print(line, file=sys.stderr))
    if not predictor.description["trained"]:
        print("these weights are untrained: the picture would show nothing; train or name others", file=sys.stderr)
        return 1
    world = World("aisle", args.seed, texel_m=TEXEL_M)
    camera = pinhole.centred(WIDTH, HEIGHT, pinhole.focal_from_fov(FIELD_OF_VIEW_DEG, WIDTH))
    poses = world.flight(args.frames, args.rate)
    shots = []
    for pose in tqdm(poses, unit="picture"):
        rgb = np.ascontiguousarray(world.render(camera, pose.T_world_camera).rgb)
        shots.append((rgb, predictor.predict(rgb, intrinsics=camera)))
    for height in PANEL_HEIGHTS:
        content = animation([panel(rgb, depth, height) for rgb, depth in shots], args.rate, args.output.suffix)
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
    parser.add_argument("--frames", type=int, default=20, metavar="N", help="default: %(default)s")
    parser.add_argument("--rate", type=float, default=4.0, metavar="HZ", help="default: %(default)s")
    parser.add_argument("--max-mb", type=float, default=2.0, metavar="MB", help="default: %(default)s")
    parser.add_argument("-o", "--output", type=Path, default=TARGET, metavar="FILE", help="default: %(default)s")
    return parser.parse_args(argv)


def panel(rgb: np.ndarray, depth: DepthMap, height: int) -> np.ndarray:
    """Return photo, depth and cloud in a row, (h, w, 3) uint8 RGB."""
    images = [
        ("photo", rgb),
        ("depth", pictures.colour_depth(depth.depth_m, *SPAN_M)),
        ("point cloud", cloud(rgb, depth)),
    ]
    return pictures.panels(images, SPAN_M, height)


def cloud(rgb: np.ndarray, depth: DepthMap) -> np.ndarray:
    """Return the cloud as seen from behind and above its camera, (HEIGHT, WIDTH, 3) uint8 RGB."""
    points = pinhole.unproject(np.where(depth.depth_m <= SPAN_M[1], depth.depth_m, np.nan), depth.intrinsics)
    view = pinhole.centred(WIDTH, HEIGHT, pinhole.focal_from_fov(70.0, WIDTH))
    return cloud_view.fill_slits(cloud_view.render_cloud(points, rgb, cloud_view.look_at(BEHIND, AHEAD), view))


def animation(images: Sequence[np.ndarray], rate_hz: float, suffix: str = ".gif") -> bytes:
    """Return a GIF, or with that suffix a WebP, that plays there and back without end."""
    there_and_back = [Image.fromarray(image) for image in [*images, *images[-2:0:-1]]]
    timing = {"save_all": True, "duration": round(1000 / rate_hz), "loop": 0}
    content = io.BytesIO()
    if suffix == ".webp":
        there_and_back[0].save(content, "WEBP", append_images=there_and_back[1:], quality=60, method=6, **timing)
        return content.getvalue()
    sample = Image.fromarray(np.vstack(images[:: max(1, len(images) // 6)]))  # one palette: colours must not flicker
    palette = sample.quantize(COLOURS, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    frames = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in there_and_back]
    frames[0].save(content, "GIF", append_images=frames[1:], optimize=True, disposal=1, **timing)
    return content.getvalue()


if __name__ == "__main__":
    sys.exit(main())
