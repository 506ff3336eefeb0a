"""RGB images to the network's input."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
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
    """Return (B, 3, side, side) float32 in [-1, 1], channels last, of B images (H, W, 3) uint8 of any sizes.

    As the original does: x / 255, (x - 0.5) / 0.5, then bilinear without antialiasing and without
    keeping the aspect. A camera with non-square pixels needs nothing more, since the squash is the same
    as for square pixels seen at that aspect. On the CPU OpenCV resizes, with the same arithmetic but for the rounding
    of coordinates; elsewhere the bytes are sent and the device resizes them.
    """
    make = _on_cpu if device.type == "cpu" else _on_device
    inputs = [make(rgb, side, device) for rgb in images]
    return inputs[0] if len(inputs) == 1 else torch.cat(inputs)


def _on_cpu(rgb: np.ndarray, side: int, device: torch.device) -> Tensor:
    """Interpolate and normalise, in the order in which the latter has fewer pixels: both are linear."""
    pixels: np.ndarray = rgb.astype(np.float32, order="C")
    smaller_first = rgb.shape[0] * rgb.shape[1] > side * side
    if not smaller_first:
        _normalise(pixels)
    if rgb.shape[:2] != (side, side):
        pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_LINEAR)
    if smaller_first:
        _normalise(pixels)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def _normalise(pixels: np.ndarray) -> None:
    """(x / 255 - 0.5) / 0.5, in place."""
    pixels *= np.float32(2 / 255)
    pixels -= np.float32(1)


def _on_device(rgb: np.ndarray, side: int, device: torch.device) -> Tensor:
    x = upload(rgb, device).permute(2, 0, 1)[None].float().mul_(2 / 255).sub_(1)
    if x.shape[2:] != (side, side):
        x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
    return x


def upload(pixels: np.ndarray, device: torch.device) -> Tensor:
    """Return the array on `device`; to CUDA through pinned memory, without waiting for the copy.

    PyTorch keeps the pinned memory from being used again before the copy is done.
    """
    host = torch.from_numpy(np.ascontiguousarray(pixels))
    if device.type == "cuda":
        return host.pin_memory().to(device, non_blocking=True)
    return host.to(device)
