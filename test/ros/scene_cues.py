"""What a network does wrong, done to the truth of a scene."""

import cv2
import numpy as np

SCALE, SHIFT_SHARE, FIELD = 0.7, 0.2, 0.1


def distorted(truth_m, rng):
    """Return depth (H, W) float32 with 1/d' = (a / d + b)(1 + field), blurred by a pixel: a, b the same each time."""
    inverse = SCALE / truth_m
    field = cv2.resize(rng.normal(size=(4, 5)), truth_m.shape[::-1], interpolation=cv2.INTER_CUBIC)
    inverse = (inverse + SHIFT_SHARE * np.median(inverse)) * (1.0 + FIELD * field / np.abs(field).max())
    return (1.0 / cv2.GaussianBlur(inverse, (0, 0), 1.0)).astype(np.float32)


def abs_rel(depth_m, truth_m):
    """Return the mean of |depth - truth| / truth."""
    return float(np.mean(np.abs(depth_m - truth_m) / truth_m))
