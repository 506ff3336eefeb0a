"""Canonical inverse depth to metres."""

from __future__ import annotations

import cv2
import torch
import torch.nn.functional as F
from torch import Tensor

MAX_INVERSE_DEPTH = 1e4  # 1/m, as the original clamps
BAND = 1 << 17  # pixels that stay in the processor's cache
ROUNDING = 1e-4  # by which interpolation may at most leave the range of what it interpolates, as a share


def to_depth(canonical: Tensor, width: int, focal_px: float, size: tuple[int, int], max_range_m: float) -> Tensor:
    """Return depth (h, w) float32 in metres from canonical inverse depth (S, S) float32, which stays as it is.

    `width` and `focal_px` are of the image that the network saw, `size` = (w, h) is wanted. Inverse depth
    is C * w / f (arXiv:2410.02073, section 3.1), resized bilinearly; from max_range_m on the depth
    is +Inf, and where the network gave NaN it is NaN.
    """
    metres = torch.full((), focal_px / width, device=canonical.device)  # of a canonical inverse depth of 1
    farthest, nearest = focal_px / (width * max_range_m), focal_px / width * MAX_INVERSE_DEPTH
    far, near = _reaches(canonical, farthest, nearest)
    depth = _resized(canonical, size)
    for band in torch.split(depth, _rows(depth)) if far or near else (depth,):
        if far:
            # What is not above the range's becomes 0, whose inverse is infinite; NaN, neither above nor below, stays.
            F.threshold(band, farthest, 0.0, inplace=True)
        torch.div(metres, band, out=band)
        if near:
            band.clamp_(min=1 / MAX_INVERSE_DEPTH)
    return depth


def _reaches(plane: Tensor, farthest: float, nearest: float) -> tuple[bool, bool]:
    """Return whether values between those of `plane` may be as small as `farthest`, and as large as `nearest`.

    Interpolation stays between its values, and there are fewer of them before it than after: on a CPU one look at them
    saves two at every pixel. NaN may be anything. A GPU would have to be waited for: there the answer is always yes.
    """
    if plane.device.type != "cpu":
        return True, True
    low, high = (float(end) for end in torch.aminmax(plane))
    return not low > farthest * (1 + ROUNDING), not high < nearest * (1 - ROUNDING)


def _resized(plane: Tensor, size: tuple[int, int]) -> Tensor:
    """Return a copy of `plane` (H, W), resized bilinearly to `size` = (w, h); on the CPU by OpenCV."""
    if tuple(plane.shape) == (size[1], size[0]):
        return plane.clone(memory_format=torch.contiguous_format)
    if plane.device.type == "cpu":
        return torch.from_numpy(cv2.resize(plane.numpy(), size, interpolation=cv2.INTER_LINEAR))
    return F.interpolate(plane[None, None], size=(size[1], size[0]), mode="bilinear", align_corners=False)[0, 0]


def _rows(depth: Tensor) -> int:
    """Return how many rows are worked on at once: on the CPU as many as its cache holds."""
    return max(1, BAND // depth.shape[1]) if depth.device.type == "cpu" else depth.shape[0]
