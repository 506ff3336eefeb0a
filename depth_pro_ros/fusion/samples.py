"""Metric samples: what a cue (depth image, disparity, landmarks) knows of the depth, and where.

A cue's own grid may differ from the prediction's: a pixel u of an image of width w lies at
(u + 0.5) W / w - 0.5 of one of width W (pixel centres at integers, as everywhere here).
"""

from __future__ import annotations

import math

import numpy as np

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.geometry import pinhole, stereo
from depth_pro_ros.records import Intrinsics, MetricSamples


def samples_from_depth(
    depth_m: np.ndarray,
    *,
    sigma_relative: float | np.ndarray | None = None,
    sigma_m: float | np.ndarray | None = None,
    width: int | None = None,
    height: int | None = None,
    source: str = "depth",
) -> MetricSamples:
    """Return the known pixels of a depth image (h, w) in metres as samples of a `width` x `height` image.

    The image is the cue's own grid unless `width` and `height` say that it shows the same view at another
    size. One of `sigma_relative` (of depth) and `sigma_m` gives the standard deviation, as a number or (h, w).
    Depth that is NaN, infinite, zero or negative is unknown, and so is a pixel whose own sigma is. Raises
    ImageError for a depth that is no image and CalibrationError for a sigma that no pixel can have.
    """
    depth = _image(depth_m, f"the cue '{source}'")
    if (sigma_relative is None) == (sigma_m is None):
        raise CalibrationError(f"the cue '{source}' needs exactly one of sigma_relative and sigma_m")
    given = _sigma(sigma_relative if sigma_m is None else sigma_m, depth.shape, source)
    with np.errstate(invalid="ignore"):
        known = (depth > 0) & (depth < np.inf)
        if given.ndim:
            known &= (given > 0) & (given < np.inf)
    where = np.flatnonzero(known)
    metres = _real(depth.reshape(-1)[where])
    spread = _real(given.reshape(-1)[where]) if given.ndim else np.full_like(metres, given)
    if sigma_m is None:
        spread = spread * metres
    return _placed(where, depth.shape, metres, spread, (width, height), source)


def samples_from_disparity(
    disparity_px: np.ndarray,
    focal_px: float,
    baseline_m: float,
    *,
    sigma_px: float | np.ndarray = 0.5,
    doffs_px: float = 0.0,
    width: int | None = None,
    height: int | None = None,
    source: str = "disparity",
) -> MetricSamples:
    """Return the known pixels of a disparity image (h, w) as samples of depth (see geometry.stereo).

    `focal_px` and `doffs_px` (the difference of the principal points' columns, right less left) are in pixels
    of the disparity image. A disparity that is NaN, or at infinity or behind it, is unknown. Raises
    CalibrationError for a focal length, baseline or sigma that is not positive.
    """
    for name, value in (("focal length", focal_px), ("baseline", baseline_m)):
        if not (math.isfinite(value) and value > 0):
            raise CalibrationError(f"the {name} of the cue '{source}' is {value}: give the stereo pair's, above 0")
    disparity = _image(disparity_px, f"the cue '{source}'")
    sigma = np.asarray(_sigma(sigma_px, disparity.shape, source), np.float32)
    with np.errstate(invalid="ignore"):
        known = (disparity > -doffs_px) & (disparity < np.inf)
        if sigma.ndim:
            known &= (sigma > 0) & (sigma < np.inf)
    where = np.flatnonzero(known)
    seen_px = disparity.reshape(-1)[where].astype(np.float32, copy=False)
    metres = stereo.depth_from_disparity(seen_px, focal_px, baseline_m, doffs_px)
    spread = sigma.reshape(-1)[where] if sigma.ndim else sigma
    spread = metres * spread / (seen_px + np.float32(doffs_px))  # Z^2 sigma_d / (f B) = Z sigma_d / (d + doffs)
    return _placed(where, disparity.shape, metres, spread, (width, height), source)


def samples_from_points(
    points_m: np.ndarray, sigma_m: float | np.ndarray, intrinsics: Intrinsics, *, source: str = "points"
) -> MetricSamples:
    """Return points (N, 3), metres, in the camera's optical frame, as samples of the image that `intrinsics` describe.

    `sigma_m` is a number or (N,). Points behind the camera or outside of the image, and such with a coordinate
    or sigma that is not finite, are left out. Raises ImageError unless the points are (N, 3).
    """
    points = np.asarray(points_m, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise ImageError(f"the cue '{source}' has points of shape {points.shape}: give (N, 3), x y z in metres")
    sigma = np.broadcast_to(_sigma(sigma_m, points.shape[:1], source), points.shape[:1])
    pixels = pinhole.project(points, pinhole.check(intrinsics))
    samples = MetricSamples(
        pixels[:, 0], pixels[:, 1], points[:, 2], sigma, intrinsics.width, intrinsics.height, source
    )
    return usable(samples)


def _image(values: np.ndarray, what: str) -> np.ndarray:
    """Return a 2-D array, or raise ImageError."""
    array = np.asarray(values)
    if array.ndim != 2 or array.size == 0:
        raise ImageError(f"{what} has shape {array.shape}: give one value for each pixel, (h, w)")
    return array


def _sigma(value: float | np.ndarray | None, shape: tuple[int, ...], source: str) -> np.ndarray:
    """Return sigma as a number or array of `shape`; raise CalibrationError where it can be none."""
    sigma = np.asarray(value)
    if sigma.ndim and sigma.shape != shape:
        raise CalibrationError(f"the cue '{source}' has shape {shape} but its sigma {sigma.shape}: give both alike")
    if not sigma.ndim and not (np.isfinite(sigma) and sigma > 0):
        raise CalibrationError(f"the cue '{source}' has sigma {value}: give a positive standard deviation")
    return sigma


def _real(values: np.ndarray) -> np.ndarray:
    """Return the values as float32 if that is what they are, else as float64."""
    return values if values.dtype == np.float32 else values.astype(np.float64)


def _placed(
    where: np.ndarray,
    shape: tuple[int, int],
    depth_m: np.ndarray,
    sigma_m: np.ndarray,
    size: tuple[int | None, int | None],
    source: str,
) -> MetricSamples:
    """Return samples at the flat indices `where` of an image of `shape`, told in one of `size` (width, height)."""
    own_height, own_width = shape
    width, height = (own if given is None else given for own, given in zip((own_width, own_height), size, strict=True))
    row = where // own_width
    u, v = _moved(where - row * own_width, own_width, width), _moved(row, own_height, height)
    return MetricSamples(u, v, depth_m, sigma_m, width, height, source)


def _moved(coordinate: np.ndarray, size: int, to_size: int) -> np.ndarray:
    """Return pixel coordinates along a side of `size` pixels after a resize to `to_size`; float32 if they are whole."""
    if size == to_size:
        return coordinate.astype(np.float32)
    return (coordinate + 0.5) * (to_size / size) - 0.5


def usable(samples: MetricSamples) -> MetricSamples:
    """Return the samples that say something: in the image, with finite and positive depth and sigma.

    Raises ImageError when the arrays differ in length or the image has no size.
    """
    u, v, depth, sigma = (_real(np.asarray(a)) for a in (samples.u, samples.v, samples.depth_m, samples.sigma_m))
    width, height, source = samples.width, samples.height, samples.source
    if not (u.ndim == 1 and u.shape == v.shape == depth.shape == sigma.shape) or min(width, height) < 1:
        raise ImageError(
            f"the cue '{source}' has u {u.shape}, v {v.shape}, depth {depth.shape}, sigma {sigma.shape} for an "
            f"image of {width}x{height}: give four arrays of one length, and the image's size"
        )
    if u.size and 0 < depth.min() <= depth.max() < np.inf and 0 < sigma.min() <= sigma.max() < np.inf:  # no NaN either
        if -0.5 <= u.min() <= u.max() < width - 0.5 and -0.5 <= v.min() <= v.max() < height - 0.5:
            return MetricSamples(u, v, depth, sigma, width, height, source)
    with np.errstate(invalid="ignore"):
        keep = (depth > 0) & (depth < np.inf) & (sigma > 0) & (sigma < np.inf)
        keep &= (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
    return MetricSamples(u[keep], v[keep], depth[keep], sigma[keep], width, height, source)
