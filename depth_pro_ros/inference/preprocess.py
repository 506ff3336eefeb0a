"""RGB images to the network's input."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from depth_pro_ros.errors import ImageError

LEAST_ROWS = 16  # of an image that are resized at once


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
    if rgb.shape[0] * rgb.shape[1] > side * side:
        pixels = _shrunk(rgb, side)
    else:
        pixels = rgb.astype(np.float32, order="C")
        _normalise(pixels)
        if rgb.shape[:2] != (side, side):
            pixels = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_LINEAR)
    return torch.from_numpy(pixels).permute(2, 0, 1)[None]


def _shrunk(rgb: np.ndarray, side: int) -> np.ndarray:
    """Return (side, side, 3) float32 in [-1, 1], made in bands of rows that stay in the processor's cache."""
    pixels = np.empty((side, side, 3), np.float32)
    bands = _bands(rgb.shape[0], side)
    source = np.empty((rgb.shape[0] // bands, *rgb.shape[1:]), np.float32)
    for band, target in zip(np.split(rgb, bands), np.split(pixels, bands), strict=True):
        np.copyto(source, band)
        cv2.resize(source, (side, len(target)), dst=target, interpolation=cv2.INTER_LINEAR)
        _normalise(target)
    return pixels


@functools.cache
def _bands(height: int, side: int) -> int:
    """Return into how many bands of whole rows `height` and `side` can be cut so that each band is resized by itself.

    The rows between which a row is interpolated lie in its own band when there are no more rows after than before.
    """
    common = math.gcd(height, side) if height >= side else 1
    most = max(1, min(common, height // LEAST_ROWS))
    return max(bands for bands in range(1, most + 1) if common % bands == 0)


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
