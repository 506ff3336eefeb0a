"""The encoder with a memory: each patch's tokens beside the pixels from which they were made."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from depth_pro_ros.inference.windows import Box
from depth_pro_ros.network import DepthPro, NetworkConfig
from depth_pro_ros.network.encoder import FINE, MIDDLE, PATCHES, halved, split

FINE_PATCHES, MIDDLE_PATCHES = FINE**2, MIDDLE**2
QUARTER, IMAGE = PATCHES - 1, PATCHES
"""Numbers of the patch that holds the quarter resolution, and, after all patches, of the image encoder, which sees the
same pixels."""


@dataclass(frozen=True)
class Place:
    """Which tokens of a patch the merge keeps, on the patch's own grid, and where in the map they go."""

    kept: Box
    target: Box


def places(grid: int, steps: int, padding: int) -> list[Place]:
    """Return the places of `steps` x `steps` patches; every inner side gives up `padding` tokens, as in `merge`."""
    stride = grid - 2 * padding
    low = [0 if step == 0 else padding for step in range(steps)]
    high = [grid if step == steps - 1 else grid - padding for step in range(steps)]
    result = []
    for y in range(steps):
        for x in range(steps):
            kept = Box(low[y], low[x], high[y], high[x])
            result.append(Place(kept, kept.inside(Box(-y * stride, -x * stride, 0, 0))))
    return result


def cut(image: Tensor, config: NetworkConfig) -> Tensor:
    """Return the pyramid's patches, fine ones first: (1, 3, S, S) → (35, 3, P, P)."""
    half, quarter = halved(image, config)
    return torch.cat((split(image, config.patch_size, FINE), split(half, config.patch_size, MIDDLE), quarter))


class TokenCache:
    """The encoder's maps of tokens of one image stream, and the pixels (36, 3, P, P) that each part was made of."""

    def __init__(self, network: DepthPro, device: torch.device):
        self._network = network
        config, dtype = network.config, network.compute_dtype
        grid, self.dim = config.grid, config.embed_dim
        self._places = [*places(grid, FINE, grid // 8), *places(grid, MIDDLE, grid // 4), *places(grid, 1, 0) * 2]
        sides = (4 * grid, 4 * grid, 4 * grid, 2 * grid, grid, grid)
        self.maps = [
            torch.empty((1, self.dim, side, side), dtype=dtype, device=device, memory_format=torch.channels_last)
            for side in sides
        ]
        side = config.patch_size
        self._pixels = torch.full((PATCHES + 1, 3, side, side), torch.nan, dtype=dtype, device=device)

    @property
    def nbytes(self) -> int:
        """Return the memory of maps and pixels."""
        return self._pixels.nbytes + sum(tokens.nbytes for tokens in self.maps)

    def differences(self, patches: Tensor) -> list[float]:
        """Return the mean absolute difference of each patch, and for the image encoder, from what it was made of.

        NaN where it was made of nothing yet.
        """
        pairs = ((patches, self._pixels[:PATCHES]), (patches[QUARTER:], self._pixels[IMAGE:]))
        means = [(new - old).abs_().flatten(1).mean(1, dtype=torch.float32) for new, old in pairs]
        return torch.cat(means).tolist()

    def encode(self, patches: Tensor, numbers: Sequence[int]) -> None:
        """Renew the tokens of the patches with these ascending numbers, `IMAGE` last."""
        chosen = [number for number in numbers if number < IMAGE]
        size = self._network.patch_batch or PATCHES
        for start in range(0, len(chosen), size):
            self._encode_patches(patches, chosen[start : start + size])
        if IMAGE in numbers:
            tokens, _ = self._network.encoder.image_encoder(patches[QUARTER:])
            self._paste(IMAGE, [tokens[0]])
        self._pixels[list(numbers)] = patches[[min(number, QUARTER) for number in numbers]]

    def _encode_patches(self, patches: Tensor, numbers: Sequence[int]) -> None:
        hooked = sum(number < FINE_PATCHES for number in numbers)
        pixels = patches if len(numbers) == PATCHES else patches[list(numbers)]
        encoder, wanted = self._network.encoder, self._wanted(numbers) if self._network.encoder.sparing else None
        tokens, latents = encoder.patch_encoder(pixels, self._network.config.hooks, hooked, wanted)
        for index, number in enumerate(numbers):
            finer = [latent[index] for latent in latents] if index < hooked else []
            self._paste(number, [*finer, tokens[index]])

    def _wanted(self, numbers: Sequence[int]) -> Tensor:
        """Return the numbers of the tokens that are kept, counted through these patches' tokens."""
        grid = self._network.config.grid
        kept = torch.zeros(len(numbers), 1, grid, grid, dtype=torch.bool)
        for mask, number in zip(kept.split(1), numbers, strict=True):
            self._places[number].kept.of(mask).fill_(True)
        return kept.flatten().nonzero()[:, 0].to(self._pixels.device)

    def _paste(self, number: int, tokens: list[Tensor]) -> None:
        """Put the kept tokens (g², C) of one patch into its maps."""
        place, grid = self._places[number], self._network.config.grid
        for target, new in zip(self._maps_of(number), tokens, strict=True):
            square = new.view(1, grid, grid, self.dim).permute(0, 3, 1, 2)
            place.target.of(target).copy_(place.kept.of(square))

    def _maps_of(self, number: int) -> list[Tensor]:
        """Return the maps that hold a patch's tokens: a fine patch's also the two latents."""
        if number < FINE_PATCHES:
            return self.maps[:3]
        return [self.maps[3 if number < QUARTER else 4 if number == QUARTER else 5]]

    def tokens(self, number: int) -> Tensor:
        """Return a copy of the tokens that one patch has in the last of its maps, (1, C, h, w)."""
        return self._places[number].target.of(self._maps_of(number)[-1]).clone()

    def boxes(self, numbers: Iterable[int], first: int, end: int) -> list[Box]:
        """Return where in their maps the tokens of those patches lie that are numbered from `first` to before `end`."""
        return [self._places[number].target for number in numbers if first <= number < end]
