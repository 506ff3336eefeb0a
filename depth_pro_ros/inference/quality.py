"""Declared approximations: less of the network for each frame, with the weights that it has.

The patch encoder sees patches of three resolutions and cannot tell them apart: tokens of one resolution, enlarged, can
stand for those of the next finer one. And nothing but the size of its maps ties the decoder's finest level, which has
a sixth of all operations, to its resolution. What each quality costs, and how far off it is, stands in
docs/performance.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network import DepthPro
from depth_pro_ros.network.decoder import Fusion
from depth_pro_ros.network.encoder import FINE, MIDDLE, halved, merge, quartered, split

TOUCHING = 4  # patches along a side at full resolution that touch, where the whole network's overlap


@dataclass(frozen=True)
class Plan:
    """What is computed: `fine` patches along a side at full resolution (0: none), and that in words."""

    fine: int
    told: str


PLANS = {
    "full": Plan(FINE, "the whole network"),
    "balanced": Plan(
        TOUCHING, "patches at full resolution do not overlap (26 patches for 35), depth has half the resolution"
    ),
    "fast": Plan(0, "no patches at full resolution (10 patches for 35), depth has half the resolution"),
}
QUALITIES = tuple(PLANS)


def check_quality(name: str) -> None:
    """Raise ConfigurationError for a quality that does not exist."""
    if name not in QUALITIES:
        raise ConfigurationError(f"quality is '{name}'; allowed: {', '.join(QUALITIES)}")


class Approximation:
    """A network that computes what a plan leaves of it, called as DepthPro is; its output has half the side."""

    def __init__(self, network: DepthPro, plan: Plan):
        self._network, self._plan = network, plan

    def __call__(self, image: Tensor, fov: bool = True) -> tuple[Tensor, Tensor | None]:
        """(B, 3, S, S) in [-1, 1] → canonical inverse depth (B, 1, S / 2, S / 2) float32, degrees (B,) or None."""
        network = self._network
        image = image.to(network.compute_dtype)
        maps = self._maps(image)
        lateral = network.lateral(maps)
        degrees = network.fov(quartered(image, network.config), lateral) if fov else None
        return self._finest(network.fuse(lateral, maps, 1), maps[0]).float(), degrees

    def _maps(self, image: Tensor) -> list[Tensor]:
        """Return the encoder's six maps of tokens (see Encoder.forward); latent 0 is half as large without patches."""
        encoder, fine = self._network.encoder, self._plan.fine
        side, grid = encoder.config.patch_size, encoder.config.grid
        half, quarter = halved(image, encoder.config)
        groups = [split(half, side, MIDDLE), quarter]
        if fine:
            groups.insert(0, split(image, side, fine))
        counts = [len(group) for group in groups]
        tokens, latents = self._encode(torch.cat(groups), counts[0])
        *finer, coarse = torch.split(tokens, counts)
        middle = merge(finer[-1], MIDDLE, grid // 4)
        rest = [middle, merge(coarse, 1, 0), merge(encoder.image_encoder(quarter)[0], 1, 0)]
        if fine:
            return [*(merge(level, fine, 0) for level in (*latents, finer[0])), *rest]
        latent0, latent1 = (merge(latent, MIDDLE, grid // 4) for latent in latents)
        return [latent0, _enlarged(latent1), _enlarged(middle), *rest]

    def _encode(self, patches: Tensor, hooked: int) -> tuple[Tensor, list[Tensor]]:
        """Encode patches as many at a time as the network does, with the latents of the first `hooked`."""
        encoder, batch = self._network.encoder, self._network.patch_batch or len(patches)
        parts = [
            encoder.patch_encoder(chunk, encoder.config.hooks, min(max(hooked - number * batch, 0), len(chunk)))
            for number, chunk in enumerate(torch.split(patches, batch))
        ]
        latents = [torch.cat(level) for level in zip(*(kept for _, kept in parts), strict=True)]
        return torch.cat([tokens for tokens, _ in parts]), latents

    def _finest(self, features: Tensor, latent: Tensor) -> Tensor:
        """Do DepthPro's finest level and head at half their size: (B, C, 4h, 4w) and latent 0 → (B, 1, 8h, 8w)."""
        network = self._network
        finest, coarser = (cast(Fusion, network.decoder.fusions[level]) for level in (0, 1))
        below, lateral = F.avg_pool2d(coarser.up(features), 2), network.encoder.level(0, [latent])
        if lateral.shape != below.shape:
            lateral = F.avg_pool2d(lateral, 2)
        x = finest.refine(below, lateral)
        head, x = (network.head, finest.up(x)) if network.finish is None else (network.finish, x)
        return cast(Tensor, head(x))


def _enlarged(tokens: Tensor) -> Tensor:
    return F.interpolate(tokens, scale_factor=2, mode="bilinear", align_corners=False)


def approximated(network: DepthPro, quality: str) -> tuple[Approximation, str]:
    """Return what runs `network` at a `quality` other than full, and what is left out, in words."""
    plan = PLANS[quality]
    return Approximation(network, plan), plan.told
