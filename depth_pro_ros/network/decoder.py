"""The decoder: five levels of features fused from coarse to fine (a DPT of residual units; arXiv:2103.13413)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from depth_pro_ros.network.config import NetworkConfig
from depth_pro_ros.network.layers import Upsample2x, conv1x1, conv3x3


class ResidualUnit(nn.Module):
    """x + conv(ReLU(conv(ReLU(x)))): pre-activation, no normalisation (He et al. 2016)."""

    def __init__(self, dim: int):
        super().__init__()
        self.residual = nn.Sequential(nn.ReLU(), conv3x3(dim, dim), nn.ReLU(inplace=True), conv3x3(dim, dim))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C, H, W)."""
        return self.residual(x).add_(x)  # in place on the branch's own fresh output, which autograd allows


class Fusion(nn.Module):
    """Adds a level's refined features to what comes from below, refines the sum, and doubles its size."""

    def __init__(self, dim: int, upsample: bool):
        super().__init__()
        self.resnet1 = ResidualUnit(dim)
        self.resnet2 = ResidualUnit(dim)
        self.deconv = Upsample2x(dim, dim) if upsample else nn.Identity()
        self.out_conv = conv1x1(dim, dim, bias=True)

    def add(self, below: Tensor, lateral: Tensor) -> Tensor:
        """(B, C, H, W) twice → (B, C, H, W).

        The coarsest level has nothing below: its `resnet1` exists in checkpoints but is never used.
        """
        return self.resnet1(lateral).add_(below)

    def refine(self, below: Tensor, lateral: Tensor) -> Tensor:
        """(B, C, H, W) twice → their refined sum (B, C, H, W); both inputs may be overwritten."""
        return self.resnet2(self.add(below, lateral))

    def up(self, x: Tensor) -> Tensor:
        """(B, C, H, W), refined by `resnet2`, → (B, C, 2H, 2W), or (B, C, H, W) at the finest level."""
        return self.out_conv(self.deconv(x))


class Decoder(nn.Module):
    """Lateral projections and fusions, one pair for each level, 0 finest."""

    def __init__(self, config: NetworkConfig):
        super().__init__()
        dim = config.decoder_dim
        laterals = (dim, *config.feature_dims)
        self.convs = nn.ModuleList([nn.Identity(), *(conv3x3(lateral, dim, bias=False) for lateral in laterals)])
        self.fusions = nn.ModuleList(Fusion(dim, upsample=level > 0) for level in range(len(self.convs)))


class Head(nn.Sequential):
    """Fused features to canonical inverse depth at twice their size, never negative.

    The first three layers have no non-linearity between them.
    """

    def __init__(self, config: NetworkConfig):
        dim = config.decoder_dim
        super().__init__(
            conv3x3(dim, dim // 2),
            Upsample2x(dim // 2, dim // 2, bias=True),
            conv3x3(dim // 2, config.head_dim),
            nn.ReLU(inplace=True),
            conv1x1(config.head_dim, 1, bias=True),
            nn.ReLU(inplace=True),
        )

    def forward(self, features: Tensor, raw: bool = False) -> Tensor:
        """(B, C, H, W) → (B, 1, 2H, 2W); `raw` leaves out the last ReLU, which training may want."""
        x = self[2](self[1](self[0](features)))
        x = self[4](F.relu_(x))
        return x if raw else F.relu_(x)
