"""RGB images to the network's input."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from depth_pro_ros.errors import ImageError


def check_rgb(rgb: np.ndarray) -> np.ndarray:
    """Return `rgb`, or raise ImageError when it is no (H, W, 3) uint8 image."""
    shape, dtype = getattr(rgb, "shape", None), getattr(rgb, "dtype", None)
    if dtype != np.uint8 or shape is None or len(shape) != 3 or shape[2] != 3 or 0 in shape:
        raise ImageError(f"got an image of shape {shape} and type {dtype}; allowed is RGB (H, W, 3) uint8, not empty")
    return rgb


def to_input(images: Sequence[np.ndarray], side: int, device: torch.device) -> Tensor:
    """Return (B, 3, side, side) float32 in [-1, 1] on `device` of B images (H, W, 3) uint8 of any sizes.

    As the original does: x / 255, (x - 0.5) / 0.5, then bilinear without antialiasing and without
    keeping the aspect. A camera with non-square pixels needs nothing more, since the squash is the same
    as for square pixels seen at that aspect.
    """
    return torch.cat([_one(rgb, side, device) for rgb in images])


def _one(rgb: np.ndarray, side: int, device: torch.device) -> Tensor:
    pixels = torch.from_numpy(np.ascontiguousarray(rgb)).to(device)
    x = pixels.permute(2, 0, 1)[None].float().div_(255).sub_(0.5).div_(0.5)
    if x.shape[2:] != (side, side):
        x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
    return x
