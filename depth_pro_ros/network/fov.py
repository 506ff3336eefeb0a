"""The field-of-view branch: its own ViT on the whole image beside the decoder's coarsest features."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from depth_pro_ros.network.config import NetworkConfig
from depth_pro_ros.network.layers import Conv2d, Linear, conv3x3
from depth_pro_ros.network.vit import VisionTransformer

EXACT = ("fov.encoder.1.", "fov.downsample.", "fov.head.")  # beginnings of names of weights that stay in float32


class FovBranch(nn.Module):
    """Estimates the horizontal field of view.

    Everything behind the ViT runs in float32 whatever the network's precision: bfloat16 would quantise
    an angle of 48 degrees to steps of 0.25.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        dim = config.decoder_dim
        self.encoder = nn.Sequential(VisionTransformer(config), Linear(config.embed_dim, dim // 2))
        self.downsample = nn.Sequential(conv3x3(dim, dim // 2, stride=2), nn.ReLU())
        final = (config.grid - 1) // 4 + 1  # what two halvings leave of the grid
        self.head = nn.Sequential(
            conv3x3(dim // 2, dim // 4, stride=2),
            nn.ReLU(),
            conv3x3(dim // 4, dim // 8, stride=2),
            nn.ReLU(),
            Conv2d(dim // 8, 1, kernel_size=final),
        )

    def forward(self, quarter: Tensor, lowres: Tensor) -> Tensor:
        """Image (B, 3, P, P) and coarsest lateral features (B, C, 2g, 2g) → degrees (B,) float32."""
        tokens, _ = self.encoder[0](quarter)
        with torch.autocast(quarter.device.type, enabled=False):
            features = self.downsample(lowres.detach().float())  # (B, C / 2, g, g)
            own = self.encoder[1](tokens.float()).transpose(1, 2).reshape(features.shape)
            return self.head(own + features).flatten()
