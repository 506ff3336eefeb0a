"""How long the conversions between messages and arrays take, each beside a plain copy of as many bytes.

`python -m depth_pro_ros.ros.benchmarks.conversions [--json] [--quick]`. A ratio of 1 means that a conversion takes
as long as copying its input and its output once; camera_info has too few bytes for such a ratio.
"""

from __future__ import annotations

import array
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from depth_pro_ros.allocator import keep_frames
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.geometry.distortion import Distortion, Rectifier
from depth_pro_ros.outputs.pictures import colour_depth
from depth_pro_ros.records import DepthMap, Intrinsics
from depth_pro_ros.ros.benchmarks import measure
from depth_pro_ros.ros.camera_info import info_from_intrinsics, intrinsics_from_info
from depth_pro_ros.ros.clouds import cloud_from_depth
from depth_pro_ros.ros.depth_outputs import COMPRESSED, MAKERS, POINTS, POINTS_NAV
from depth_pro_ros.ros.depth_parameters import DEPTH_PARAMETERS
from depth_pro_ros.ros.depth_pipeline import DepthFrame
from depth_pro_ros.ros.images import decode_compressed, decode_image, encode_depth, encode_rgb

SIZES = ((640, 480), (1280, 720), (1920, 1080))
ROUNDS, QUICK_ROUNDS = 25, 3
LENS = (-0.28, 0.07, 0.0002, 0.0001, 0.0)  # plumb_bob, a common webcam's


@dataclass(frozen=True)
class Case:
    """One conversion: its name, the bytes that it reads (None: too few to compare with a copy), and its call."""

    what: str
    input_bytes: int | None
    step: Callable[[], Any]


def picture(width: int, height: int) -> np.ndarray:
    """Return an RGB image (height, width, 3) uint8 of soft shapes and some noise, about as hard for JPEG as a photo."""
    random = np.random.default_rng(0)
    shapes = cv2.resize(random.random((24, 32, 3), np.float32) * 255, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(shapes + random.normal(0, 5, shapes.shape), 0, 255).astype(np.uint8)


def depth(width: int, height: int) -> np.ndarray:
    """Return depth (height, width) float32 of 0.5 to 20 m, with a sky of +Inf and a corner of NaN."""
    coarse = np.random.default_rng(1).uniform(0.5, 20.0, (24, 32)).astype(np.float32)
    depth_m = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    depth_m[: height // 10] = np.inf
    depth_m[-height // 10 :, : width // 10] = np.nan
    return depth_m


def image(pixels: np.ndarray, encoding: str, width: int, height: int) -> Image:
    """Return the message of bytes (rows, ...) uint8, which stand for `encoding`."""
    data = array.array("B", np.ascontiguousarray(pixels).tobytes())
    return Image(width=width, height=height, encoding=encoding, step=pixels[0].nbytes, data=data)


def cases(width: int, height: int) -> Iterator[Case]:
    """Yield every conversion of one image size."""
    rgb, depth_m, header = picture(width, height), depth(width, height), Header(frame_id="camera")
    camera = pinhole.centred(width, height, 0.8 * width)
    rectifier = Rectifier(Distortion("plumb_bob", np.array(LENS), camera.matrix, np.eye(3)), width, height)
    info = info_from_intrinsics(camera, header)
    yield from _decoders(rgb)
    for encoding in ("32FC1", "16UC1"):
        yield Case(f"encode depth {encoding}", depth_m.nbytes, lambda e=encoding: encode_depth(depth_m, e, header))
    yield Case("encode rgb8", rgb.nbytes, lambda: encode_rgb(rgb, header))
    yield Case("colour depth", depth_m.nbytes, lambda: colour_depth(depth_m))
    for stride in (1, 2):
        read = (depth_m.nbytes + rgb.nbytes) // stride**2
        yield Case(f"cloud stride {stride}", read, lambda s=stride: cloud_from_depth(depth_m, rgb, camera, header, s))
    yield from _subscribed(rgb, depth_m, camera, header)
    yield Case("rectify", rgb.nbytes, lambda: rectifier.rectify(rgb))
    yield Case("camera_info in", None, lambda: intrinsics_from_info(info, rectified=True))
    yield Case("camera_info out", None, lambda: info_from_intrinsics(camera, header))


def _subscribed(rgb: np.ndarray, depth_m: np.ndarray, camera: Intrinsics, header: Header) -> Iterator[Case]:
    """Yield what depth_node makes, by its defaults, for those who subscribe; and a cloud without flying pixels."""
    frame = DepthFrame(rgb, DepthMap(depth_m, camera, camera.fx), None, {})
    live = {parameter.name: parameter.default for parameter in DEPTH_PARAMETERS} | {"cloud.edge_share": 0.05}
    for topic, stride in ((POINTS, live["cloud.stride"]), (POINTS_NAV, live["cloud_nav.stride"]), (COMPRESSED, 1)):
        what = topic + (" without flying pixels" if topic == POINTS else "")
        yield Case(what, depth_m.nbytes // int(stride) ** 2, lambda t=topic: MAKERS[t](frame, live, header))


def _decoders(rgb: np.ndarray) -> Iterator[Case]:
    """Yield the decoding of each encoding; but for rgb8 and JPEG the bytes show nothing, which takes as long."""
    height, width = rgb.shape[:2]
    planes = {
        "rgb8": rgb,
        "bgr8": rgb,
        "bayer_rggb8": rgb[..., 0],
        "yuv422": rgb[..., :2],
        "nv12": np.vstack((rgb[..., 0], rgb[: height // 2, :, 1])),
    }
    for encoding, pixels in planes.items():
        message = image(pixels, encoding, width, height)
        yield Case(f"decode {encoding}", pixels.nbytes, lambda m=message: decode_image(m))
    jpeg = cv2.imencode(".jpg", rgb[..., ::-1], (cv2.IMWRITE_JPEG_QUALITY, 90))[1].tobytes()
    compressed = CompressedImage(format="jpeg", data=array.array("B", jpeg))
    yield Case("decode jpeg", len(jpeg), lambda: decode_compressed(compressed))


def figures(case: Case, rounds: int) -> dict[str, Any]:
    """Return the median times of the conversion and of a copy of its input and output, after one call to warm up."""
    result = case.step()
    if case.input_bytes is None:
        ms = measure.in_turn_ms(case.step, lambda: None, rounds)[0]
        return {"ms": round(ms, measure.DIGITS), "copy_ms": None, "ratio": None}
    copy = measure.Copy(case.input_bytes + (result.nbytes if isinstance(result, np.ndarray) else len(result.data)))
    ms, copy_ms = measure.in_turn_ms(case.step, copy, rounds)
    return {"ms": round(ms, measure.DIGITS), "copy_ms": round(copy_ms, measure.DIGITS), "ratio": round(ms / copy_ms, 2)}


def run(quick: bool) -> list[dict[str, Any]]:
    """Measure every conversion at every size, with malloc as the nodes have it."""
    keep_frames()
    results = []
    for width, height in SIZES:
        size = f"{width}x{height}"
        measure.progress(f"conversions of {size}")
        for case in cases(width, height):
            row = {"what": case.what, "size": size}
            results.append(row | figures(case, QUICK_ROUNDS if quick else ROUNDS))
    return results


def main(args: Sequence[str] | None = None) -> int:
    """Measure and print."""
    return measure.main(__doc__.splitlines()[0], run, args)


if __name__ == "__main__":
    sys.exit(main())
