"""Disparity of a rectified pair by semi-global matching (Hirschmueller 2008; OpenCV's StereoSGBM), with its sigma.

Three things make it better than a bare call. Both images are padded on the left by the range searched, since SGBM
otherwise leaves that many columns without an answer. A second pass from right to left must find the same disparity,
else the pixel is hidden in one image, or wrong. Speckles are removed after that, when they stand alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from depth_pro_ros.errors import ConfigurationError, ImageError

BORDER = 2  # columns at either side: SGBM compares gradients across, which there are none of at the edge
FLAT_SIDE, FLAT_LEVELS = 25, 4  # pixels around which fewer grey levels are seen hold nothing to match
STEPS = 16  # SGBM's int16 disparities are in sixteenths of a pixel
_NOT_ASKED = np.iinfo(np.int16).min
_NO_OWN_CHECK = 1 << 20  # for disp12MaxDiff, where 0 and below would still mean 1

# What the two passes differ by says how sure a match is. Against ground truth (Middlebury motorcycle) 68 % of the
# errors are below 0.22 px where they agree and 0.48 px where they differ by 0.25 px.
SIGMA_PX, SIGMA_PER_DISAGREEMENT, SIGMA_UNCHECKED_PX = 0.25, 1.6, 0.4

# A pixel's doubt, uint8: 0 where the right image was not asked, else 1 + the passes' difference in sixteenths.
_UNCHECKED, _NO_MATCH = 0, 255
_SIGMA_PX = np.hypot(SIGMA_PX, SIGMA_PER_DISAGREEMENT / STEPS * np.arange(-1, 255)).astype(np.float32)
_SIGMA_PX[[_UNCHECKED, _NO_MATCH]] = SIGMA_UNCHECKED_PX, np.nan

SWAPPED_SUSPECT_SHARE = 0.45
SWAPPED_MIN_SHARE = 0.35
SWAPPED_GAIN = 2.0


@dataclass(frozen=True)
class Disparity:
    """Matches of the left image of a rectified pair.

    `disparity_px` (H, W) float32 is u_left - u_right, NaN where there is none; `sigma_px` (H, W) float32 its
    standard deviation, NaN likewise. Searched were disparities from `min_disparity` up to below `max_disparity`.
    """

    disparity_px: np.ndarray
    sigma_px: np.ndarray
    min_disparity: int
    max_disparity: int

    @property
    def share(self) -> float:
        """Return the share of pixels with an answer, 0 to 1."""
        return float(np.isfinite(self.disparity_px).mean())

    @property
    def window(self) -> tuple[int, int, int, int]:
        """Return (x, y, width, height) of the pixels that can have an answer: those whose nearest match is in view."""
        height, width = self.disparity_px.shape
        left = min(max(self.min_disparity, BORDER), width)
        right = max(min(width - BORDER, width + self.max_disparity - 1), left)
        return left, 0, right - left, height


class StereoMatcher:
    """Matches rectified pairs. One instance serves images of any size, one call at a time.

    `num_disparities` is a multiple of 16; a point nearer than f B / (min_disparity + num_disparities) is not found.
    `block` is the window's side, odd. A pixel has no answer when that of its match in the right image differs by
    `max_disagreement_px` (at most 1) or more. Islands of fewer than `speckle_px` pixels are removed; `uniqueness` in
    percent is how much better the best match must be than the second. Raises ConfigurationError for values not allowed.
    """

    def __init__(
        self,
        min_disparity: int = 0,
        num_disparities: int = 128,
        block: int = 3,
        max_disagreement_px: float = 1.0,
        speckle_px: int = 60,
        uniqueness: int = 5,
    ) -> None:
        if num_disparities < STEPS or num_disparities % STEPS or abs(min_disparity) + num_disparities > 2000:
            raise ConfigurationError(
                f"{num_disparities} disparities from {min_disparity} on: the number must be a positive multiple of 16, "
                "and all within 2000 pixels"
            )
        if block < 1 or block % 2 == 0:
            raise ConfigurationError(f"a block of {block} pixels: it must be odd and positive; 3 to 7 are usual")
        if not 1 / STEPS <= max_disagreement_px <= 1:
            raise ConfigurationError(f"a disagreement of {max_disagreement_px} px: allowed are 1/16 to 1 px")
        self.min_disparity, self.max_disparity = min_disparity, min_disparity + num_disparities
        self._block, self._uniqueness = block, uniqueness
        self._tolerance = round(max_disagreement_px * STEPS)
        self._speckle_px = speckle_px
        self._sgbm = cv2.StereoSGBM_create(  # type: ignore[attr-defined]  # the name that OpenCV 4.5 has, too
            minDisparity=min_disparity,
            numDisparities=num_disparities,
            blockSize=block,
            P1=8 * block**2,
            P2=32 * block**2,
            disp12MaxDiff=_NO_OWN_CHECK,
            preFilterCap=31,
            uniquenessRatio=uniqueness,
            mode=cv2.STEREO_SGBM_MODE_SGBM_3WAY,
        )

    def match(self, left: np.ndarray, right: np.ndarray) -> Disparity:
        """Return the disparity of `left`; both (H, W) or (H, W, 3) RGB uint8, rectified, of one size.

        Raises ImageError for images that are no pair.
        """
        left, right = _grey(left), _grey(right)
        if left.shape != right.shape:
            raise ImageError(
                f"left is {left.shape[1]}x{left.shape[0]}, right {right.shape[1]}x{right.shape[0]}; a pair has one size"
            )
        forth = self._left_disparity(left, right)
        doubt = self._doubt(forth, self._right_disparity(left, right))
        answered = self._without_speckles(np.where(doubt <= self._tolerance, forth, np.int16(self._none)))
        known = answered != self._none
        disparity_px = answered * np.float32(1 / STEPS)
        disparity_px[~known] = np.nan
        sigma_px = cv2.LUT(np.where(known, doubt, np.uint8(_NO_MATCH)), _SIGMA_PX)
        return Disparity(disparity_px, sigma_px, self.min_disparity, self.max_disparity)

    def looks_swapped(self, left: np.ndarray, right: np.ndarray, share: float) -> bool:
        """Return whether the pair, of which `share` was answered, matches much better with left and right exchanged.

        True disparities are then negative, out of the range searched. Costs a match at half size, and nothing when
        the share is high anyway.
        """
        if share > SWAPPED_SUSPECT_SHARE:
            return False
        half = [cv2.resize(_grey(image), None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA) for image in (left, right)]
        count = -(-(self.max_disparity - self.min_disparity) // (2 * STEPS)) * STEPS
        matcher = StereoMatcher(self.min_disparity // 2, count, self._block, uniqueness=self._uniqueness)
        as_is, exchanged = matcher.match(*half).share, matcher.match(*half[::-1]).share
        return exchanged > max(SWAPPED_MIN_SHARE, SWAPPED_GAIN * as_is)

    def bare(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return one plain SGBM answer (H, W) int16 in sixteenths, of grey images: what benchmarks compare with."""
        return self._sgbm.compute(left, right)

    @property
    def _none(self) -> int:
        """Return what SGBM writes where it has no answer."""
        return (self.min_disparity - 1) * STEPS

    def _left_disparity(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return SGBM's answer (H, W) int16 for the left image, padded for what it leaves out, where it can be trusted.

        That is: not at the sides, and not where the image is so flat that every disparity fits and the first wins.
        """
        width = left.shape[1]
        pad_left = max(self.max_disparity, 0) - max(self.min_disparity, 0)
        pads = (0, 0, pad_left, max(-self.min_disparity, 0))
        padded = [cv2.copyMakeBorder(image, *pads, cv2.BORDER_REPLICATE) for image in (left, right)]
        forth = self._sgbm.compute(*padded)[:, pad_left : pad_left + width]
        forth[_flat(left)] = self._none
        forth[:, :BORDER] = forth[:, max(width - BORDER, 0) :] = self._none
        return forth

    def _right_disparity(self, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        """Return SGBM's answer (H, W) int16 for the right image: mirrored, right becomes left.

        Without padding, so that columns at its sides are _NOT_ASKED and matches there not checked. To ask them too
        would cost as much time again as they are wide, and hardly change the figures.
        """
        first, end = max(-self.min_disparity, 0), right.shape[1] - max(self.max_disparity, 0)
        if first >= end:
            return np.full(right.shape, _NOT_ASKED, np.int16)
        back = cv2.flip(self._sgbm.compute(cv2.flip(right, 1), cv2.flip(left, 1)), 1)
        back[:, :first] = back[:, end:] = _NOT_ASKED
        return back

    def _doubt(self, forth: np.ndarray, back: np.ndarray) -> np.ndarray:
        """Return each left pixel's doubt (H, W) uint8, _NO_MATCH at most.

        Where one of the passes has no answer they differ by 16 or more, as they do for a match beyond the border.
        """
        height, width = forth.shape
        matched = np.arange(width, dtype=np.float32) - forth * np.float32(1 / STEPS)
        rows = np.repeat(np.arange(height, dtype=np.float32)[:, None], width, axis=1)
        seen = cv2.remap(back, matched, rows, cv2.INTER_NEAREST, borderValue=self._none)
        doubt = np.minimum(cv2.absdiff(forth, seen), _NO_MATCH - 1).astype(np.uint8) + np.uint8(1)
        doubt[seen == _NOT_ASKED] = _UNCHECKED
        return doubt

    def _without_speckles(self, sixteenths: np.ndarray) -> np.ndarray:
        """Return (H, W) int16 with islands of fewer than `speckle_px` pixels removed."""
        sixteenths = np.ascontiguousarray(sixteenths, np.int16)
        if self._speckle_px > 0:
            cv2.filterSpeckles(sixteenths, self._none, self._speckle_px, STEPS)
        return sixteenths


def _grey(image: np.ndarray) -> np.ndarray:
    """Return (H, W) uint8 of an image, or raise ImageError."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3):
        raise ImageError(f"an array of shape {image.shape} and type {image.dtype}; stereo takes (H, W[, 3]) uint8")
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY) if image.ndim == 3 else image


def _flat(grey: np.ndarray) -> np.ndarray:
    """Return (H, W) bool, true where darkest and brightest pixel of a window hardly differ."""
    return cv2.morphologyEx(grey, cv2.MORPH_GRADIENT, np.ones((FLAT_SIDE, FLAT_SIDE), np.uint8)) < FLAT_LEVELS
