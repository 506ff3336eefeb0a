"""What air, lens and film do to light: fog, exposure, white balance, vignette, blur, gamma, noise and JPEG."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.scenes.layout import Colour

_BANK = 512
_EXPOSURE = 0.25
_SHOULDER = 0.7
Rng = np.random.Generator


@dataclass(frozen=True)
class Fog:
    """Fog of a `density` per metre; its light is a colour, or a share of the picture's mean."""

    density: float
    share: float
    colour: Colour | None

    @classmethod
    def draw(cls, rng: Rng, haze: Colour | None) -> Fog | None:
        """Return fog, seldom in rooms, often thin outdoors."""
        if haze is None:
            return cls(rng.uniform(0.01, 0.06), rng.uniform(0.3, 0.7), None) if rng.random() < 0.07 else None
        return cls(math.exp(rng.uniform(-7.0, -3.0)), 1.0, haze) if rng.random() < 0.5 else None

    def over(self, linear: Tensor, distance_m: Tensor) -> Tensor:
        """Return linear light (3, H, W) through the fog, `distance_m` (H, W) along the rays."""
        through = torch.exp(distance_m * -self.density)
        if self.colour is None:
            return linear * through + self.share * linear.mean() * (1 - through)
        return linear * through + torch.tensor(self.colour, device=linear.device)[:, None, None] * (1 - through)


@dataclass(frozen=True)
class Film:
    """How a camera turns light into an image; `noise_at` is where its noise begins, `quality` JPEG's, 0 for none."""

    gain: tuple[float, float, float]
    vignette: float
    gamma: float
    blur_px: float
    noise: float
    noise_at: tuple[int, int]
    quality: int

    @classmethod
    def draw(cls, rng: Rng) -> Film:
        """Return any film."""
        balance = np.exp(rng.normal(0, 0.07, 3))
        gain = balance / balance.mean() * np.exp(rng.normal(-0.05, 0.3))
        vignette, gamma = float(rng.uniform(0, 0.45)), float(rng.uniform(0.85, 1.2))
        blur = float(rng.uniform(0.3, 0.9)) if rng.random() < 0.35 else 0.0
        noise, at = float(rng.uniform(0.002, 0.03)), rng.integers(0, _BANK, 2).tolist()
        quality = int(rng.integers(50, 96)) if rng.random() < 0.5 else 0
        return cls(tuple(gain.tolist()), vignette, gamma, blur, noise, tuple(at), quality)

    def develop(self, linear: Tensor) -> Tensor:
        """Return the image (H, W, 3) uint8 of linear light (3, H, W)."""
        _, height, width = linear.shape
        x = torch.linspace(-1, 1, width, device=linear.device) ** 2
        y = torch.linspace(-1, 1, height, device=linear.device)[:, None] ** 2
        gain = exposure(linear) * torch.tensor(self.gain, device=linear.device)[:, None, None]
        image = curve(linear * gain * (1 - self.vignette * (0.5 * (x + y))), self.gamma)
        if self.blur_px:
            image = _blur(image, self.blur_px)
        image += _noise(height, width, self.noise_at, linear.device) * self.noise
        return _jpeg(quantise(image), self.quality)


def exposure(linear: Tensor) -> Tensor:
    """Return the gain that exposes linear light well."""
    return _EXPOSURE / (linear.clamp(max=1.2).mean() + 0.02)


def curve(image: Tensor, gamma: float = 1.0) -> Tensor:
    """Return display values of light: a soft shoulder, then gamma 2.2 (over `gamma`)."""
    excess = (image - _SHOULDER).clamp_(min=0)
    image = image - excess + 0.3 * (1 - torch.exp(excess * (-1 / 0.3)))
    return image.clamp_(min=1e-5).pow_(gamma / 2.2)


def quantise(image: Tensor) -> Tensor:
    """Return (H, W, 3) uint8 of display values (3, H, W)."""
    return (image * 255).add_(0.5).clamp_(0, 255).to(torch.uint8).permute(1, 2, 0).contiguous()


@cache
def _bank(device: str) -> Tensor:
    bank = torch.randn(_BANK, _BANK, 3, generator=torch.Generator().manual_seed(7))
    return bank.permute(2, 0, 1).tile(1, 2, 2).contiguous().to(device)


def _noise(height: int, width: int, at: tuple[int, int], device: torch.device) -> Tensor:
    bank = _bank(str(device))
    if height > _BANK or width > _BANK:
        bank = bank[:, :_BANK, :_BANK].tile(1, height // _BANK + 2, width // _BANK + 2)
    return bank[:, at[0] : at[0] + height, at[1] : at[1] + width]


def _blur(image: Tensor, sigma: float) -> Tensor:
    """Return the image (3, H, W) blurred by three taps along each axis, its border repeated."""
    side = math.exp(-0.5 / sigma**2)
    outer, middle = side / (1 + 2 * side), 1 / (1 + 2 * side)
    for dim in (1, 2):
        n = image.shape[dim]
        sides = image * outer
        image = image * middle
        image.narrow(dim, 1, n - 1).add_(sides.narrow(dim, 0, n - 1))
        image.narrow(dim, 0, n - 1).add_(sides.narrow(dim, 1, n - 1))
        image.narrow(dim, 0, 1).add_(sides.narrow(dim, 0, 1))
        image.narrow(dim, n - 1, 1).add_(sides.narrow(dim, n - 1, 1))
    return image


def _jpeg(image: Tensor, quality: int) -> Tensor:
    """Return the image as JPEG keeps it; on a GPU as it is."""
    if image.is_cuda or not quality:
        return image
    _, data = cv2.imencode(".jpg", image.numpy()[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    return torch.from_numpy(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1].copy())
