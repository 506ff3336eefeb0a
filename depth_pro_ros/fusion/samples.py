"""Metric samples: what a cue (depth image, disparity, landmarks) knows of the depth, and where.

A cue's own grid may differ from the prediction's: a pixel u of an image of width w lies at
(u + 0.5) W / w - 0.5 of one of width W (pixel centres at integers, as everywhere here).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.geometry import pinhole, stereo
from depth_pro_ros.records import Intrinsics, MetricSamples

CELLS = 8
"""Samples are spread if they occupy many cells of a CELLS x CELLS grid over the image."""

_ROUNDING = 1e-6  # of a pixel, by which (u + 0.5) W / w may fall short of a whole number
_OFF_CENTRE = 0.05  # of a pixel
_SAME_SURFACE = 0.05  # relative change of inverse depth within half a pixel that is no edge
_PART = 1 << 14  # also below the 32767 of cv2.remap


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
        known = np.isfinite(depth) & (depth > 0)
        if np.ndim(given):
            known &= np.isfinite(given) & (given > 0)
    own_height, own_width = depth.shape
    where = np.flatnonzero(known)
    metres = depth.reshape(-1)[where].astype(np.float64)
    spread = given.reshape(-1)[where] if np.ndim(given) else np.full_like(metres, given)
    spread = spread * metres if sigma_m is None else spread.astype(np.float64)
    row = where // own_width
    width, height = own_width if width is None else width, own_height if height is None else height
    u, v = _moved(where - row * own_width, own_width, width), _moved(row, own_height, height)
    return MetricSamples(u, v, metres, spread, width, height, source)


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
    depth = stereo.depth_from_disparity(disparity, focal_px, baseline_m, doffs_px)
    sigma = np.asarray(_sigma(sigma_px, disparity.shape, source), np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        relative = sigma / (disparity + np.float32(doffs_px))  # sigma_Z = Z^2 sigma_d / (f B) = Z sigma_d / (d + doffs)
    return samples_from_depth(depth, sigma_relative=relative, width=width, height=height, source=source)


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


def _sigma(value: float | np.ndarray, shape: tuple[int, ...], source: str) -> np.ndarray:
    """Return sigma as a number or array of `shape`; raise CalibrationError where it can be none."""
    sigma = np.asarray(value)
    if sigma.ndim and sigma.shape != shape:
        raise CalibrationError(f"the cue '{source}' has shape {shape} but its sigma {sigma.shape}: give both alike")
    if not sigma.ndim and not (np.isfinite(sigma) and sigma > 0):
        raise CalibrationError(f"the cue '{source}' has sigma {value}: give a positive standard deviation")
    return sigma


def _moved(coordinate: np.ndarray, size: int, to_size: int) -> np.ndarray:
    """Return pixel coordinates, float64, along a side of `size` pixels after a resize to `to_size`."""
    moved = coordinate.astype(np.float64)
    return moved if size == to_size else (moved + 0.5) * (to_size / size) - 0.5


def usable(samples: MetricSamples) -> MetricSamples:
    """Return the samples that say something: in the image, with finite and positive depth and sigma.

    Raises ImageError when the arrays differ in length or the image has no size.
    """
    u, v, depth, sigma = (np.asarray(a, np.float64) for a in (samples.u, samples.v, samples.depth_m, samples.sigma_m))
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


@dataclass(frozen=True)
class Pairs:
    """Samples beside a prediction of `width` x `height` at their pixels; all arrays (N,), of one length.

    `pixel` is the flat index into the prediction, `predicted_inv` and `measured_inv` (float32) inverse depth in
    1/m, `sigma` (float32) the relative standard deviation of the measurement (to first order the same for depth and
    inverse depth, since sigma_{1/Z} = sigma_Z / Z^2).
    """

    pixel: np.ndarray
    predicted_inv: np.ndarray
    measured_inv: np.ndarray
    sigma: np.ndarray
    width: int
    height: int

    def __len__(self) -> int:
        return len(self.pixel)

    def __getitem__(self, index: np.ndarray | slice) -> Pairs:
        columns = (self.pixel, self.predicted_inv, self.measured_inv, self.sigma)
        return Pairs(*(column[index] for column in columns), self.width, self.height)

    def double(self) -> Pairs:
        """Return the pairs in float64, for arithmetic that cancels."""
        columns = (self.predicted_inv, self.measured_inv, self.sigma)
        return Pairs(self.pixel, *(column.astype(np.float64) for column in columns), self.width, self.height)

    def place(self, columns: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
        """Return (u, v), each (N,), of the samples in the image resized to `columns` x `rows`."""
        row = self.pixel // self.width
        column = self.pixel - row * self.width
        return (column + 0.5) * (columns / self.width) - 0.5, (row + 0.5) * (rows / self.height) - 0.5

    def cells(self, columns: int = CELLS, rows: int = CELLS) -> np.ndarray:
        """Return the flat index (N,) of each sample's cell when the image is cut into `columns` x `rows`."""
        row = self.pixel // self.width
        column = self.pixel - row * self.width
        return (row * rows // self.height) * columns + column * columns // self.width


def pair(inverse: np.ndarray, cues: Sequence[MetricSamples]) -> Pairs:
    """Return what all cues say beside a predicted inverse depth (H, W), where 0 or NaN is no known depth.

    A sample is taken to the centre of its pixel along the surface that is predicted there. Samples on pixels
    without a predicted depth are left out.
    """
    height, width = inverse.shape
    parts = [_one(inverse, usable(cue)) for cue in cues]
    if len(parts) == 1:
        return Pairs(*parts[0], width, height)
    empty = np.zeros(0, np.float32)
    columns = zip(*parts, strict=True) if parts else [[np.zeros(0, np.intp)], [empty], [empty], [empty]]
    return Pairs(*(np.concatenate(column) for column in columns), width, height)


def _one(inverse: np.ndarray, cue: MetricSamples) -> tuple[np.ndarray, ...]:
    """Return the four columns of `Pairs` for one cue, worked out in parts that stay in the processor's cache."""
    height, width = inverse.shape
    count = len(cue.u)
    pixel = np.empty(count, np.intp)
    predicted, measured, sigma = (np.empty(count, np.float32) for _ in range(3))
    for start in range(0, count, _PART):
        part = slice(start, start + _PART)
        x, y = (cue.u[part] + 0.5) * (width / cue.width), (cue.v[part] + 0.5) * (height / cue.height)
        column = np.minimum((x + _ROUNDING).astype(np.intp), width - 1)
        row = np.minimum((y + _ROUNDING).astype(np.intp), height - 1)
        pixel[part] = row * width + column
        predicted[part] = inverse.reshape(-1)[pixel[part]]
        measured[part] = 1.0 / cue.depth_m[part]
        sigma[part] = cue.sigma_m[part] / cue.depth_m[part]
        if max(np.abs(x - column - 0.5).max(), np.abs(y - row - 0.5).max()) > _OFF_CENTRE:
            measured[part] *= _transport(inverse, x - 0.5, y - 0.5, predicted[part])
    known = predicted > 0
    columns = (pixel, predicted, measured, sigma)
    return columns if known.all() else tuple(column[known] for column in columns)


def _transport(inverse: np.ndarray, u: np.ndarray, v: np.ndarray, at_pixel: np.ndarray) -> np.ndarray:
    """Return the factor (N,) from the inverse depth at (u, v) to that at the pixel's centre, by the prediction's shape.

    Inverse depth is linear over a plane's image, so that bilinear interpolation is exact there. Where the prediction
    has an edge or a gap in between, it tells nothing of the sample, and the factor is 1.
    """
    here = cv2.remap(
        inverse, u.astype(np.float32), v.astype(np.float32), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )[:, 0]
    factor = at_pixel / np.maximum(here, np.float32(1e-12))
    return np.where(np.abs(factor - 1) < _SAME_SURFACE, factor, np.float32(1))
