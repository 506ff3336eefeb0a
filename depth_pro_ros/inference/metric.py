"""Canonical inverse depth to metres."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MAX_INVERSE_DEPTH = 1e4  # 1/m, as the original clamps


def to_depth(canonical: Tensor, width: int, focal_px: float, size: tuple[int, int], max_range_m: float) -> Tensor:
    """Return depth (h, w) float32 in metres from canonical inverse depth (S, S).

    `width` and `focal_px` are of the image that the network saw, `size` = (w, h) is wanted. Inverse depth
    is C * w / f (arXiv:2410.02073, section 3.1), resized bilinearly; below 1 / max_range_m the depth is
    +Inf, and where the network gave NaN it is NaN.
    """
    inverse = (canonical * (width / focal_px))[None, None]
    if tuple(inverse.shape[2:]) != (size[1], size[0]):
        inverse = F.interpolate(inverse, size=(size[1], size[0]), mode="bilinear", align_corners=False)
    inverse = inverse[0, 0]
    far = inverse < 1.0 / max_range_m
    return inverse.clamp(max=MAX_INVERSE_DEPTH).reciprocal_().masked_fill_(far, torch.inf)
