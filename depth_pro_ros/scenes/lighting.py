"""Light: ambient, lamps with Lambert's cosine and a clamped fall-off, shadows, and darker corners and contacts."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.scenes.layout import Layout
from depth_pro_ros.scenes.materials import EMISSIVE, MATERIALS
from depth_pro_ros.scenes.shadows import LampView, ShadowMap, bilinear, floor_contact
from depth_pro_ros.scenes.surfaces import Hits
from depth_pro_ros.scenes.texturing import Surface

FALL_OFF = (0.6, 0.30)  # light falls as 1 / (a + b d^2)
_CORNER_M = 0.4


def shade(hits: Hits, surface: Surface, light: Light) -> Tensor:
    """Return the linear light (3, N) that sorted points send: light times albedo, or their own."""
    linear = light.on(hits)
    for run in hits.runs:
        own = MATERIALS[run.material](surface.at(run.part))
        linear[:, run.part] = own if run.material in EMISSIVE else linear[:, run.part].mul_(own)
    return linear


class Light:
    """The light of B worlds: `lamps` (B, L, 6), of which the first throws shadows, and `ambient` (B, 3)."""

    def __init__(
        self, layouts: list[Layout], table: np.ndarray, lamps: np.ndarray, ambient: np.ndarray,
        views: list[LampView], device: torch.device,
    ) -> None:
        def to(a: np.ndarray) -> Tensor:
            return torch.as_tensor(np.asarray(a, np.float32), device=device)

        self._lamps, self._ambient = to(lamps), to(ambient)
        self._shadows = ShadowMap(table, views, device)
        self._lower, self._upper = (to([getattr(x, end) for x in layouts]) for end in ("lower", "upper"))
        if layouts[0].closed:
            self._contact = torch.stack([floor_contact(x.builder.spots, x.upper) for x in layouts]).to(device)

    def on(self, hits: Hits) -> Tensor:
        """Return the light (3, N) on sorted points."""
        p, n = hits.points, hits.normals
        dark = self._darkness(hits)
        powers = [dark * (0.85 + 0.15 * n[2])]
        soft = 0.35 + 0.65 * dark
        for index in range(self._lamps.shape[1]):
            lamp = hits.per_point(self._lamps[:, index])
            x, y, z = (lamp[i] - p[i] for i in range(3))
            squared = x * x + y * y + z * z
            cosine = (x * n[0] + y * n[1] + z * n[2]).clamp_(min=0).mul_(torch.rsqrt(squared + 1e-3))
            power = (cosine * soft + 0.04) / (FALL_OFF[0] + FALL_OFF[1] * squared)
            powers.append(power * (0.12 + 0.88 * self._shadows.light(hits)) if index == 0 else power)
        colours = torch.cat((self._ambient[:, None], self._lamps[:, :, 3:]), 1)
        if not hits.many:
            return colours[0].T @ torch.stack(powers)
        return sum(power * torch.stack(hits.per_point(colours[:, i])) for i, power in enumerate(powers))

    def _darkness(self, hits: Hits) -> Tensor:
        """Return what is left of light (N) near a room's edges, near the floor and where objects touch it."""
        p, n = hits.points, hits.normals
        lower, upper = hits.per_point(self._lower), hits.per_point(self._upper)
        dark = None
        for i in range(3):
            edge = torch.minimum(p[i] - lower[i], upper[i] - p[i]) + 0.5 * n[i].abs()
            part = edge.mul_(1 / _CORNER_M).clamp_(0, 1).sqrt_().mul_(0.32).add_(0.68)
            dark = part if dark is None else dark.mul_(part)
        for run in hits.runs:
            if run.floor:
                k = run.part
                at = [p[i][k] / (upper[i][k] if hits.many else upper[i]) for i in range(2)]
                dark[k] *= bilinear(self._contact, hits.world[k], at[0], at[1])
        return dark
