"""The decoder with a memory: of each of its maps only what a change of the encoder's tokens reaches is computed again.

The finer half of every level, the lateral features refined by `resnet1`, depends on the patches near it and on nothing
else. What comes from below depends on the whole image as soon as the coarsest level changes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from depth_pro_ros.inference.windows import Box, recompute, whole
from depth_pro_ros.network import DepthPro
from depth_pro_ros.network.encoder import Encoder

COARSEST = Encoder.LEVELS - 1
PIXELS_PER_TOKEN = (8, 4, 2, 2)  # along a side, of levels 0 to 3, each on the grid of the tokens that it is made of
UNIT_REACH = 2  # a residual unit's two 3x3 convolutions
LATERAL_REACH = 1 + UNIT_REACH  # after the 3x3 convolution that projects; what is before it keeps tokens apart
OUTPUT_REACH = 2 * (UNIT_REACH + 1) + 1  # a unit and a 3x3 convolution at half the output's resolution, one at its own


class DecoderCache:
    """The decoder's maps of the last frame.

    `lateral` is the coarsest lateral features (1, D, 2g, 2g), `output` the canonical inverse depth (1, 1, S, S)
    float32; both stay this object's own.
    """

    def __init__(self, network: DepthPro, device: torch.device):
        self._network = network
        config, dtype = network.config, network.compute_dtype
        sides = [32 * config.grid >> level for level in range(Encoder.LEVELS)]
        self._refined = [_plane(config.decoder_dim, side, dtype, device) for side in sides[:COARSEST]]
        self._features = [_plane(config.decoder_dim, side, dtype, device) for side in sides]
        self._features[0] = torch.empty(0, device=device)  # the finest is used up at once, by the output
        self.lateral = _plane(config.decoder_dim, sides[COARSEST], dtype, device)
        self.output = _plane(1, config.output_size, torch.float32, device)
        self.computed_share = 1.0

    @property
    def nbytes(self) -> int:
        """Return the memory of the maps."""
        return sum(plane.nbytes for plane in (*self._refined, *self._features, self.lateral, self.output))

    def update(self, maps: list[Tensor], fine: list[Box], middle: list[Box], coarse: bool) -> None:
        """Follow the encoder's six maps of tokens.

        They differ from the last ones in the boxes `fine` of maps 0 to 2 and `middle` of map 3, and where `coarse`
        anywhere in maps 4 and 5.
        """
        fusions, pixels = self._network.decoder.fusions, 0
        changed: list[Box] = []
        if coarse:
            self.lateral = self._network.lateral(maps)
            self._features[COARSEST] = fusions[COARSEST].resnet2(self.lateral)
            changed = [whole(self.lateral)]
        for level in reversed(range(COARSEST)):
            refined, used = self._refine(level, maps, middle if level == COARSEST - 1 else fine)
            pixels += used
            changed = [*refined, *(box.scaled(2) for box in changed)]
            if level:
                changed, used = self._fuse(level, changed)
                pixels += used
        pixels += self._finish(changed) // 4  # of the finest level's pixels, whose features are not kept
        every = (*self._refined, *self._features[1:COARSEST], self._refined[0])
        self.computed_share = pixels / sum(whole(plane).area for plane in every)

    def _refine(self, level: int, maps: list[Tensor], tokens: list[Box]) -> tuple[list[Box], int]:
        """Renew the refined lateral features of `level` where its tokens changed; return where, and the pixels used."""
        scale, decoder = PIXELS_PER_TOKEN[level], self._network.decoder

        def compute(window: Box) -> Tensor:
            crop = list(maps)
            crop[level] = window.scaled(1, scale).of(maps[level])
            lateral = decoder.convs[level](self._network.encoder.level(level, crop))
            return decoder.fusions[level].resnet1(lateral)

        boxes = [box.scaled(scale) for box in tokens]
        return recompute(self._refined[level], boxes, LATERAL_REACH, scale, self._rows(level), compute)

    def _fuse(self, level: int, changed: list[Box]) -> tuple[list[Box], int]:
        """Renew the features of `level`, 1 to 3, where what they are made of changed."""

        def compute(window: Box) -> Tensor:
            return self._sum_refined(level, window)

        return recompute(self._features[level], changed, UNIT_REACH, 2, self._rows(level), compute)

    def _finish(self, changed: list[Box]) -> int:
        """Renew the output where what level 0 is made of changed."""
        finest, head, finish = self._network.decoder.fusions[0], self._network.head, self._network.finish

        def compute(window: Box) -> Tensor:
            features = self._sum_refined(0, window.scaled(1, 2))
            return (head(finest.up(features)) if finish is None else finish(features)).float()

        boxes, rows = [box.scaled(2) for box in changed], 2 * self._rows(0)
        return recompute(self.output, boxes, OUTPUT_REACH, 4, rows, compute)[1]

    def _sum_refined(self, level: int, window: Box) -> Tensor:
        """Return a window of a level's features: its lateral ones and those from below, added and refined."""
        fusions = self._network.decoder.fusions
        below = fusions[level + 1].up(window.scaled(1, 2).of(self._features[level + 1]))
        return fusions[level].resnet2(below.add_(window.of(self._refined[level])))

    def _rows(self, level: int) -> int:
        """Return how many rows of a level's map may be computed at once, as the network's strips have it."""
        return -(-(32 * self._network.config.grid >> level) // self._network.strips)


def _plane(channels: int, side: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    shape = (1, channels, side, side)
    return torch.empty(shape, dtype=dtype, device=device, memory_format=torch.channels_last)
