"""Depth Pro: image to canonical inverse depth and horizontal field of view."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.network.config import NetworkConfig
from depth_pro_ros.network.decoder import Decoder, Head
from depth_pro_ros.network.encoder import Encoder, quartered
from depth_pro_ros.network.fov import EXACT, FovBranch
from depth_pro_ros.network.vit import VisionTransformer


class DepthPro(nn.Module):
    """The network (Bochkovskii et al., arXiv:2410.02073). Its state dict has the names of the official checkpoint.

    `patch_batch` bounds how many of the 35 patches of each image are encoded at once (0: all), and `strips` in how
    many parts the finest level, which has most of the activations, is computed. Neither changes the results.
    `simplify` sets `simplified`, and `finish`: the head with the finest level's projection folded in.
    """

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        self.patch_batch = 0
        self.strips = 1
        self.compute_dtype = torch.float32
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.head = Head(config)
        self.fov = FovBranch(config)
        self.finish: nn.Module | None = None
        self.simplified = False

    def forward(self, image: Tensor, fov: bool = True, raw: bool = False) -> tuple[Tensor, Tensor | None]:
        """(B, 3, S, S) in [-1, 1] → canonical inverse depth (B, 1, S, S) float32, degrees (B,) float32.

        Metric depth is D = f_px / (w * C) for an image w pixels wide. Without `fov` the field of view is
        None and its branch is not computed; `raw` leaves out the last ReLU, as training wants it.
        """
        side = self.config.image_size
        if image.ndim != 4 or image.shape[1:] != (3, side, side):
            raise ConfigurationError(f"the network got {tuple(image.shape)}; this preset takes (B, 3, {side}, {side})")
        image = image.to(self.compute_dtype)
        maps = self.encoder(image, self.patch_batch * len(image))
        lateral = self.lateral(maps)
        fov_deg = self.fov(quartered(image, self.config), lateral) if fov else None
        return self._finest_in_strips(self.fuse(lateral, maps, 1), maps[0], raw).float(), fov_deg

    def lateral(self, maps: list[Tensor]) -> Tensor:
        """The encoder's maps of tokens → the decoder's coarsest lateral features (B, C, 2g, 2g)."""
        coarsest = Encoder.LEVELS - 1
        return self.decoder.convs[coarsest](self.encoder.level(coarsest, maps))

    def fuse(self, lateral: Tensor, maps: list[Tensor], finest: int) -> Tensor:
        """Refine the coarsest lateral features with the levels down to `finest`: (B, C, 32g / 2^finest, the same)."""
        fusions = self.decoder.fusions
        features = fusions[-1].resnet2(lateral)
        for level in reversed(range(finest, Encoder.LEVELS - 1)):
            lateral = self.decoder.convs[level](self.encoder.level(level, maps))
            features = fusions[level].refine(fusions[level + 1].up(features), lateral)
        return features

    def _finest(self, features: Tensor, latent: Tensor, raw: bool) -> Tensor:
        """Level 1's features (B, C, 4h, 4w) and latent 0's tokens (B, C', h, w) → the output (B, 1, 16h, 16w)."""
        fusions = self.decoder.fusions
        x = fusions[0].refine(fusions[1].up(features), self.encoder.level(0, [latent]))
        return self.head(fusions[0].up(x), raw) if self.finish is None else self.finish(x, raw)

    def _finest_in_strips(self, features: Tensor, latent: Tensor, raw: bool) -> Tensor:
        """Do `_finest` for a few rows of tokens at a time, exactly.

        Its 3x3 convolutions reach 6 rows of its grid far, and a row of tokens is 8 of those: each strip is
        computed with one more on either side, which is then cut off.
        """
        rows = latent.shape[2]
        height = -(-rows // self.strips)
        outputs = []
        for top in range(0, rows, height):
            low, end, high = max(top - 1, 0), min(top + height, rows), min(top + height + 1, rows)
            output = self._finest(features[:, :, 4 * low : 4 * high], latent[:, :, low:high], raw)
            outputs.append(output[:, :, 16 * (top - low) : 16 * (end - low)])
        return torch.cat(outputs, dim=2)

    def set_precision(self, storage: torch.dtype, compute: torch.dtype) -> DepthPro:
        """Keep the weights in `storage` and compute in `compute`; the field-of-view head stays in float32."""
        for name, parameter in self.named_parameters():
            parameter.data = parameter.data.to(storage_dtype(name, storage))
        self.compute_dtype = compute
        return self


def storage_dtype(name: str, storage: torch.dtype) -> torch.dtype:
    """Return the dtype in which the weight `name` is kept when the network is kept in `storage`."""
    return torch.float32 if name.startswith(EXACT) else storage


def build(config: NetworkConfig, seed: int | None = 0) -> DepthPro:
    """Return a network of `config` with reproducible random weights, in evaluation mode.

    `seed` None draws from PyTorch's global generator.
    """
    with torch.random.fork_rng(devices=[], enabled=seed is not None):
        if seed is not None:
            torch.manual_seed(seed)
        network = DepthPro(config)
        _initialise(network)
    return network.eval()


@torch.no_grad()
def _initialise(network: DepthPro) -> None:
    """Draw weights that keep the variance of what passes (std = fan_in^-1/2), biases 0.

    The last projection starts positive and small, so that the final ReLU of an untrained network is not
    dead and depths are of the order of metres; and the field of view at an ordinary lens. Layers that a ReLU
    follows at once, as in the convolutional stem, make up for the half that it takes (He et al. 2015).
    """
    rectified: list[nn.Module] = []
    for module in network.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.ConvTranspose2d)):
            transposed = isinstance(module, nn.ConvTranspose2d)
            fan_in = module.weight.shape[0] if transposed else module.weight[0].numel()
            nn.init.normal_(module.weight, std=fan_in**-0.5)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, VisionTransformer):
            nn.init.normal_(module.pos_embed, std=0.02)
            nn.init.normal_(module.cls_token, std=0.02)
            if isinstance(module.patch_embed.proj, nn.Sequential):
                rectified.extend(module.patch_embed.proj[:-1])
    for convolution in rectified:
        if isinstance(convolution, nn.Conv2d):
            convolution.weight.mul_(2**0.5)
    network.head[4].weight.abs_().mul_(0.1)
    network.fov.head[4].bias.fill_(60.0)
