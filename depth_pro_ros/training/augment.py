"""From a source's images to a training batch: crop and flip that keep the geometry right, and camera effects.

Every random choice is a function of one row of uniform numbers per image, so that an image's fate depends neither on
the batch it is in nor on which process prepares it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from depth_pro_ros.training.curriculum import Augmentation
from depth_pro_ros.training.data import Raw, canonical_factor

COLUMNS = 20  # uniform numbers that each image gets
BLUR_REACH = 3  # pixels either side
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def generator(*numbers: int) -> torch.Generator:
    """Return a generator seeded by whole numbers >= 0, different for each tuple of them."""
    seed = int(np.random.SeedSequence((len(numbers), *numbers)).generate_state(1, np.uint64)[0] >> np.uint64(1))
    return torch.Generator().manual_seed(seed)


def prepare(raw: Raw, uniform: Tensor, strength: Augmentation, side: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return image (B, 3, S, S) in [-1, 1], canonical (B, 1, S, S), mask (B, 1, S, S), fov_deg (B,).

    `uniform` is (B, COLUMNS) in [0, 1). Cropping to the share z of the width makes C' = C / z and
    tan(fov' / 2) = z tan(fov / 2); mirroring changes neither.
    """
    draw = iter(uniform.unbind(1))
    image = raw.rgb.permute(0, 3, 1, 2).float().div_(255)
    canonical = (raw.inverse_m * canonical_factor(raw.fov_deg)[:, None, None])[:, None]
    mask = raw.known[:, None]
    zoom, offset, mirror = _crops(draw, strength)
    if strength.zoom > 0:
        image = _averaged(image, int(image.shape[-1] * strength.zoom_least / side))
        image, canonical, mask = _cut(image, canonical, mask, zoom, offset, mirror, side)
    else:
        image, canonical, mask = _scaled(image, canonical, mask, mirror, side)
    canonical = canonical / zoom[:, None, None, None]
    fov = 2 * torch.rad2deg(torch.atan(torch.tan(torch.deg2rad(raw.fov_deg) / 2) * zoom))
    image = _colours(image, draw, strength)
    image = _blur(image, draw, strength)
    image = _noise(image, draw, strength)
    return image.clamp_(0, 1).mul_(2).sub_(1), canonical, mask, fov


def _crops(draw: Iterator[Tensor], strength: Augmentation) -> tuple[Tensor, Tensor, Tensor]:
    """Return zoom (B,), offset (B, 2) of the crop's middle in half widths and heights, mirror (B,) of ±1."""
    chosen = next(draw) < strength.zoom
    amount = strength.zoom_least + (1 - strength.zoom_least) * next(draw)
    zoom = torch.where(chosen, amount, torch.ones_like(amount))
    offset = torch.stack((next(draw), next(draw)), dim=1) * 2 - 1
    offset = offset * (1 - zoom)[:, None] * float(strength.off_centre)
    mirror = 1.0 - 2.0 * (next(draw) < strength.flip).float()
    return zoom, offset, mirror


def _averaged(image: Tensor, pixels: int) -> Tensor:
    """Average squares of `pixels`, as many as even the smallest crop has to spare, so that little is left to alias."""
    return F.avg_pool2d(image, pixels) if pixels > 1 else image


def _cut(
    image: Tensor, canonical: Tensor, mask: Tensor, zoom: Tensor, offset: Tensor, mirror: Tensor, side: int
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Cut each image's crop, mirror it and resize it to `side`: colours smoothly, labels to the nearest pixel."""
    theta = torch.zeros(len(zoom), 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = zoom * mirror, zoom
    theta[:, :, 2] = offset
    grid = F.affine_grid(theta, [len(zoom), 1, side, side], align_corners=False)
    image = F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=False)
    labels = torch.cat((canonical, mask.float()), dim=1)
    labels = F.grid_sample(labels, grid, mode="nearest", padding_mode="border", align_corners=False)
    return image, labels[:, :1], labels[:, 1:] > 0.5


def _scaled(image: Tensor, canonical: Tensor, mask: Tensor, mirror: Tensor, side: int) -> tuple[Tensor, Tensor, Tensor]:
    """Resize whole images to `side` and mirror them: colours smoothly, labels to the nearest pixel."""
    labels = torch.cat((canonical, mask.float()), dim=1)
    labels = _mirrored(F.interpolate(labels, size=(side, side), mode="nearest-exact"), mirror)
    return _mirrored(_resized(image, side), mirror), labels[:, :1], labels[:, 1:] > 0.5


def _resized(image: Tensor, side: int) -> Tensor:
    if image.shape[-1] == side:
        return image
    return F.interpolate(image, size=(side, side), mode="bilinear", antialias=image.shape[-1] > side)


def _mirrored(x: Tensor, mirror: Tensor) -> Tensor:
    return torch.where((mirror < 0)[:, None, None, None], x.flip(-1), x)


def _colours(image: Tensor, draw: Iterator[Tensor], strength: Augmentation) -> Tensor:
    """Scale brightness, contrast, saturation and channels, and bend the tone curve, of the chosen images."""
    chosen = (next(draw) < strength.colour).float()

    def around_one(width: float) -> Tensor:
        return 1 + (2 * next(draw) - 1) * chosen * width

    brightness, contrast, saturation = (
        around_one(width)[:, None, None, None]
        for width in (strength.brightness, strength.contrast, strength.saturation)
    )
    tint = torch.stack([around_one(strength.tint) for _ in range(3)], dim=1)[:, :, None, None]
    gamma = torch.exp((2 * next(draw) - 1) * chosen * strength.gamma)
    if not bool(chosen.any()):
        return image
    luma = torch.tensor(LUMA).view(1, 3, 1, 1)
    grey = (image * luma).sum(1, keepdim=True)
    image = torch.lerp(grey, image, saturation)
    middle = grey.mean((1, 2, 3), keepdim=True)
    image = torch.lerp(middle, image, contrast).mul_(brightness * tint).clamp_(1e-4, 1)
    return image.log_().mul_(gamma[:, None, None, None]).exp_()


def _blur(image: Tensor, draw: Iterator[Tensor], strength: Augmentation) -> Tensor:
    """Blur the chosen images with Gaussians of their own."""
    chosen = next(draw) < strength.blur
    sigma = (0.2 + next(draw) * strength.blur_sigma)[chosen]
    if not len(sigma):
        return image
    steps = torch.arange(-BLUR_REACH, BLUR_REACH + 1)
    kernel = torch.exp(-0.5 * (steps / sigma[:, None]) ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(3, 0)
    n, _, height, width = (blurred := image[chosen]).shape
    x = F.pad(blurred.reshape(1, n * 3, height, width), (BLUR_REACH,) * 4, mode="replicate")
    x = F.conv2d(x, kernel[:, None, None, :], groups=n * 3)
    x = F.conv2d(x, kernel[:, None, :, None], groups=n * 3)
    image[chosen] = x.view(n, 3, height, width)
    return image


def _noise(image: Tensor, draw: Iterator[Tensor], strength: Augmentation) -> Tensor:
    """Add white noise to the chosen images, each from a generator of its own."""
    chosen = next(draw) < strength.noise
    sigma, seeds = next(draw) * strength.noise_sigma, next(draw)
    for slot in chosen.nonzero().flatten().tolist():
        own = generator(int(float(seeds[slot]) * 2**24))
        image[slot].add_(torch.randn(image.shape[1:], generator=own), alpha=float(sigma[slot]))
    return image
