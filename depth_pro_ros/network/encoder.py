"""The multi-scale encoder: one ViT on 35 overlapping patches of an image pyramid, another on the whole image."""

from __future__ import annotations

import functools

import torch
from torch import Tensor, nn

from depth_pro_ros.network.config import NetworkConfig
from depth_pro_ros.network.layers import Upsample2x, conv1x1, shrink
from depth_pro_ros.network.vit import VisionTransformer, flat

FINE, MIDDLE = 5, 3  # patches along a side at full and half resolution; one patch holds the quarter resolution
PATCHES = FINE**2 + MIDDLE**2 + 1


def halved(image: Tensor, config: NetworkConfig) -> tuple[Tensor, Tensor]:
    """Return the pyramid's half and quarter resolution: (B, 3, S, S) → (B, 3, S / 2, S / 2), (B, 3, S / 4, S / 4)."""
    half = shrink(image, 0.5)
    return half, shrink(half, 0.5) if config.averaged_quarter else shrink(image, 0.25)


def quartered(image: Tensor, config: NetworkConfig) -> Tensor:
    """Return the pyramid's quarter resolution alone, and as published without the half."""
    return halved(image, config)[1] if config.averaged_quarter else shrink(image, 0.25)


def split(image: Tensor, patch_size: int, steps: int) -> Tensor:
    """Cut `steps` x `steps` overlapping patches: (B, C, S, S) → (steps² * B, C, P, P), patch-major."""
    stride = (image.shape[-1] - patch_size) // (steps - 1)
    starts = [step * stride for step in range(steps)]
    return torch.cat([image[..., y : y + patch_size, x : x + patch_size] for y in starts for x in starts])


def merge(tokens: Tensor, steps: int, padding: int) -> Tensor:
    """Join patches of tokens into one map: (steps² * B, g², C) → (B, C, G, G).

    G = steps * g - 2 * padding * (steps - 1): every inner side gives up `padding` tokens, so that each token
    of the map comes from the patch whose centre is nearest (the paper's Voronoi partition).
    """
    grid = round(tokens.shape[1] ** 0.5)
    batch = tokens.shape[0] // steps**2
    patches = tokens.view(steps, steps, batch, grid, grid, -1)
    low = [0 if step == 0 else padding for step in range(steps)]
    high = [grid if step == steps - 1 else grid - padding for step in range(steps)]
    rows = [
        torch.cat([patches[y, x, :, low[y] : high[y], low[x] : high[x]] for x in range(steps)], dim=2)
        for y in range(steps)
    ]
    return torch.cat(rows, dim=1).permute(0, 3, 1, 2)


def merged_tokens(grid: int, batch: int, start: int, end: int, device: torch.device) -> Tensor:
    """Return the numbers (M,) of the tokens that `merge` keeps of the patches `start` to `end`, counted from there.

    Patches are those of `batch` images in the order of `Encoder.forward`: fine, middle, coarse, each patch-major.
    """
    return _merged_tokens(grid, batch, start, end, device)


@functools.lru_cache(maxsize=256)  # apart, because torch.compile would trace through the cache
def _merged_tokens(grid: int, batch: int, start: int, end: int, device: torch.device) -> Tensor:
    kept, first = [], 0
    for steps, padding in ((FINE, grid // 8), (MIDDLE, grid // 4), (1, 0)):
        numbers = torch.arange(first, first + steps**2 * batch * grid**2, device="cpu")
        kept.append(merge(numbers.view(-1, grid**2, 1), steps, padding).flatten())
        first += len(numbers)
    tokens = torch.cat(kept).sort().values - start * grid**2
    return tokens[(tokens >= 0) & (tokens < (end - start) * grid**2)].to(device)


def project_upsample(in_dim: int, dim: int, doublings: int) -> nn.Sequential:
    """Return a projection of channels followed by `doublings` of the size."""
    return nn.Sequential(conv1x1(in_dim, dim), *(Upsample2x(dim, dim) for _ in range(doublings)))


class Encoder(nn.Module):
    """Image to five levels of features.

    `forward` gives the levels as maps of tokens, which are small; `level` turns one of them into the
    decoder's feature map. The decoder asks for one at a time, so that the finest, by far the largest,
    does not lie in memory while the others are worked on.
    """

    LEVELS = 5

    def __init__(self, config: NetworkConfig):
        super().__init__()
        self.config = config
        self.sparing = False  # whether the patch encoder's last block leaves out what `merge` does
        dim, (full, half, quarter) = config.embed_dim, config.feature_dims
        self.patch_encoder = VisionTransformer(config)
        self.image_encoder = VisionTransformer(config)
        self.upsample_latent0 = project_upsample(dim, config.decoder_dim, 3)
        self.upsample_latent1 = project_upsample(dim, config.decoder_dim, 2)
        self.upsample0 = project_upsample(dim, full, 1)
        self.upsample1 = project_upsample(dim, half, 1)
        self.upsample2 = project_upsample(dim, quarter, 1)
        self.upsample_lowres = Upsample2x(dim, quarter, bias=True)
        self.fuse_lowres = conv1x1(2 * quarter, quarter, bias=True)

    def forward(self, image: Tensor, patch_batch: int = 0) -> list[Tensor]:
        """(B, 3, S, S) → six maps of tokens.

        Latents 0 and 1 and the full resolution are (B, C, 4g, 4g), half (B, C, 2g, 2g), the quarter and the
        image encoder's (B, C, g, g).
        """
        grid, batch = self.config.grid, len(image)
        half, quarter = halved(image, self.config)
        tokens, latents = self._encode(self._patches(image, half, quarter), FINE**2 * batch, patch_batch)
        fine, middle, coarse = tokens.split([FINE**2 * batch, MIDDLE**2 * batch, batch])
        whole, _ = self.image_encoder(quarter)
        return [
            *(merge(latent, FINE, grid // 8) for latent in latents),
            merge(fine, FINE, grid // 8),
            merge(middle, MIDDLE, grid // 4),
            merge(coarse, 1, 0),
            merge(whole, 1, 0),
        ]

    def _patches(self, image: Tensor, half: Tensor, quarter: Tensor) -> Tensor:
        """Return the pyramid's patches, fine ones first: pixels (35 * B, 3, P, P), or embedded (35 * B, g², C).

        Where the stem looks at each token's square alone, patches that overlap share tokens: then the pyramid is
        embedded whole before it is cut, which takes 60 % of the multiplications.
        """
        levels, side = (image, half, quarter), self.config.patch_size
        if self.config.stem == "linear":
            embed, side = self.patch_encoder.patch_embed.proj, self.config.grid
            levels = (embed(image), embed(half), embed(quarter))
        cut = torch.cat((split(levels[0], side, FINE), split(levels[1], side, MIDDLE), levels[2]))
        return flat(cut) if self.config.stem == "linear" else cut

    def _encode(self, patches: Tensor, hooked: int, patch_batch: int) -> tuple[Tensor, list[Tensor]]:
        """Encode what `_patches` gives, `patch_batch` at a time (0: all), with the latents of the first `hooked`."""
        size, batch, grid = patch_batch or len(patches), hooked // FINE**2, self.config.grid
        tokens, latents = [], []
        for start in range(0, len(patches), size):
            chunk = patches[start : start + size]
            end = start + len(chunk)
            wanted = merged_tokens(grid, batch, start, end, chunk.device) if self.sparing else None
            encoded, kept = self.patch_encoder(chunk, self.config.hooks, min(max(hooked, start), end) - start, wanted)
            tokens.append(encoded)
            latents.append(kept)
        if len(tokens) == 1:
            return tokens[0], latents[0]
        return torch.cat(tokens), [torch.cat(level) for level in zip(*latents, strict=True)]

    def level(self, number: int, maps: list[Tensor]) -> Tensor:
        """Return level `number`'s features, 0 finest: (B, decoder_dim or feature_dims, side, side).

        Sides are 32g, 16g, 8g, 4g, 2g for g tokens along a patch.
        """
        if number < 4:
            upsample = (self.upsample_latent0, self.upsample_latent1, self.upsample0, self.upsample1)[number]
            return upsample(maps[number])
        coarse, whole = maps[4:]
        return self.fuse_lowres(torch.cat((self.upsample2(coarse), self.upsample_lowres(whole)), dim=1))
