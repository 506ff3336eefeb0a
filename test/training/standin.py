"""A renderer of simple scenes: a floor to the horizon, a wall and a box, from a seed; stands in for scenes.render."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import torch


def render(kind: str, seeds, height: int, width: int) -> SimpleNamespace:
    """Return rgb, depth_m, fov_x_deg of scenes whose colours tell their depth."""
    rgb, depth, fov = [], [], []
    for seed in seeds:
        generator = np.random.default_rng(seed)
        degrees = generator.uniform(50, 100)
        focal = 0.5 * width / np.tan(np.radians(degrees) / 2)
        rows = np.arange(height)[:, None] + 0.5 - height / 2 + np.zeros((1, width))
        with np.errstate(divide="ignore"):
            floor = np.where(rows > 0, generator.uniform(0.5, 1.5) * focal / rows, np.inf)
        image = np.minimum(floor, generator.uniform(3, 6))
        if seed % 2:
            image[: height // 8] = np.inf
        left = generator.integers(0, width // 2)
        image[height // 2 : height * 3 // 4, left : left + width // 4] = generator.uniform(1, 2.5)
        shade = (255 / (1 + image))[..., None] * np.array([1.0, 0.8, 0.6])
        rgb.append((shade + generator.uniform(0, 20, shade.shape)).clip(0, 255).astype(np.uint8))
        depth.append(image.astype(np.float32))
        fov.append(degrees)
    return SimpleNamespace(
        rgb=torch.from_numpy(np.stack(rgb)),
        depth_m=torch.from_numpy(np.stack(depth)),
        fov_x_deg=torch.tensor(fov, dtype=torch.float32),
    )
