"""Real ground truth, distorted as a network distorts it, and cues such as sensors give; for the tests of fusion."""

from __future__ import annotations

import json

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.matching.landmarks import Triangulator
from depth_pro_ros.records import DepthMap, Intrinsics, MetricSamples

MOTORCYCLE, HOLOLENS, LIVINGROOM = "stereo_motorcycle", "rgbd_hololens", "rgbd_livingroom_synth"


def smooth_field(shape, rng, peak=0.1):
    """Return a field (H, W) of low frequency whose greatest magnitude is `peak`."""
    height, width = shape
    field = cv2.resize(rng.normal(size=(4, 5)), (width, height), interpolation=cv2.INTER_CUBIC)
    return peak * field / np.abs(field).max()


def fill(depth):
    """Return the depth with each unknown pixel taking the nearest known one's: a network answers everywhere."""
    unknown = (~np.isfinite(depth)).astype(np.uint8)
    _, labels = cv2.distanceTransformWithLabels(unknown, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    values = np.zeros(labels.max() + 1)
    values[labels[unknown == 0]] = depth[unknown == 0]
    return values[labels]


def distort(truth, rng, scale=None, shift_share=None, field=0.1, blur_px=1.0):
    """Return a DepthMap with 1/d' = (a/d + b) (1 + field), blurred; b = `shift_share` of the median of a/d."""
    scale = rng.uniform(0.5, 2.0) if scale is None else scale
    shift_share = rng.uniform(0.0, 0.5) if shift_share is None else shift_share
    inverse = scale / fill(truth)
    inverse = (inverse + shift_share * np.median(inverse)) * (1.0 + smooth_field(truth.shape, rng, field))
    if blur_px:
        inverse = cv2.GaussianBlur(inverse, (0, 0), blur_px)
    return depth_map(1.0 / inverse)


def depth_map(depth):
    """Return a DepthMap of a plain array."""
    height, width = depth.shape
    return DepthMap(depth.astype(np.float32), pinhole.centred(width, height, 0.9 * width), 0.9 * width)


def abs_rel(depth, truth):
    """Return mean |d - d*| / d* where the truth is known, as the figure of the acceptance."""
    known = np.isfinite(truth)
    return float(np.mean(np.abs(depth[known] - truth[known]) / truth[known]))


def scale_only(depth, samples):
    """Return the depth times the median ratio of the samples to it: what fusion is judged against."""
    height, width = depth.shape
    u = np.clip(np.rint((samples.u + 0.5) * width / samples.width - 0.5).astype(int), 0, width - 1)
    v = np.clip(np.rint((samples.v + 0.5) * height / samples.height - 0.5).astype(int), 0, height - 1)
    return depth * np.median(samples.depth_m / depth[v, u])


def read_motorcycle(data_dir):
    """Return (left, right, truth in metres, calibration) of the Middlebury motorcycle."""
    folder = data_dir / MOTORCYCLE
    calibration = json.loads((folder / "calib.json").read_text())
    left, right = (cv2.imread(str(folder / name)) for name in ("left.png", "right.png"))
    disparity = cv2.imread(str(folder / "disp_left_x256.png"), cv2.IMREAD_UNCHANGED) / 256.0
    fb = calibration["fx"] * calibration["baseline_m"]
    return left, right, np.where(disparity > 0, fb / (disparity + calibration["doffs_px"]), np.nan), calibration


def match(left, right, count=112):
    """Return OpenCV's plain SGBM disparity (H, W) in pixels, NaN where unmatched, padded on the left by the range."""
    left, right = (cv2.copyMakeBorder(image, 0, 0, count, 0, cv2.BORDER_REPLICATE) for image in (left, right))
    settings = {"P1": 8 * 3 * 9, "P2": 32 * 3 * 9, "disp12MaxDiff": 1, "uniquenessRatio": 5}
    matcher = cv2.StereoSGBM_create(0, count, 3, speckleWindowSize=100, speckleRange=2, mode=2, **settings)
    disparity = matcher.compute(left, right)[:, count:] / 16.0
    return np.where(disparity > 0, disparity, np.nan)


def read_rgbd(data_dir, name, index):
    """Return (grey, truth in metres) of frame `index` of an RGB-D recording."""
    folder = data_dir / name
    depths = sorted((folder / "depth").iterdir())
    images = sorted((folder / "rgb").iterdir())
    millimetres = cv2.imread(str(depths[index]), cv2.IMREAD_UNCHANGED)
    grey = cv2.imread(str(images[index]), cv2.IMREAD_GRAYSCALE)
    return grey, np.where(millimetres > 0, millimetres / 1000.0, np.nan)


def with_outliers(depth, rng, share=0.05):
    """Return the depths with `share` of them grossly wrong, by a factor from 0.2 to 5."""
    wrong = rng.random(depth.shape) < share
    return np.where(wrong, depth * np.exp(rng.uniform(-1.6, 1.6, depth.shape)), depth)


def corners(grey, truth, rng, count=250, sigma=0.015):
    """Return landmarks at corners with known truth: 1 px beside it, 1.5 % of noise, 5 % gross outliers."""
    found = cv2.goodFeaturesToTrack(grey, count, 0.005, 8)[:, 0].astype(np.float64)
    u, v = np.rint(found + rng.normal(0, 1.0, found.shape)).astype(int).T
    u, v = np.clip(u, 0, grey.shape[1] - 1), np.clip(v, 0, grey.shape[0] - 1)
    depth = truth[v, u]
    known = np.isfinite(depth)
    depth = with_outliers(depth[known] * np.exp(rng.normal(0, sigma, known.sum())), rng)
    height, width = grey.shape
    return MetricSamples(found[known, 0], found[known, 1], depth, sigma * depth, width, height, "corners")


def triangulated(data_dir, name):
    """Yield (index, truth in metres, samples) of a recording's frames by this package's own landmarks."""
    folder = data_dir / name
    given = json.loads((folder / "intrinsics.json").read_text())
    camera = Intrinsics(*(given[key] for key in ("width", "height", "fx", "fy", "cx", "cy")))
    triangulator = Triangulator(camera)
    for index, row in enumerate(np.loadtxt(folder / "poses.txt")):
        grey, truth = read_rgbd(data_dir, name, index)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = Rotation.from_quat(row[4:8]).as_matrix(), row[1:4]
        triangulator.add(grey, pose)
        yield index, truth, triangulator.samples()
