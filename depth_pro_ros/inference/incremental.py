"""Video at less than the price of its frames: what did not change is not computed again.

Depth Pro encodes its 35 patches independently of each other, so that a patch whose pixels are those of an earlier
frame has that frame's tokens. The decoder follows with windows (see decoder_cache.py).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.inference.decoder_cache import DecoderCache
from depth_pro_ros.inference.token_cache import FINE_PATCHES, IMAGE, QUARTER, TokenCache, cut
from depth_pro_ros.network import DepthPro
from depth_pro_ros.network.encoder import PATCHES

GREY_LEVEL = 2 / 255  # of the network's input, which goes from -1 to 1
COARSE = frozenset((QUARTER, IMAGE))  # what sees the whole picture


@dataclass(frozen=True)
class FrameCost:
    """What one frame took, and how far what was reused may be from the truth.

    `encoded` are the numbers of what was encoded: patches as `cut` has them, then the image encoder. `encoder_share` is
    of the floating-point operations of the encoders that a whole pass would run, `decoder_share` of the pixels of the
    decoder's maps (windows overlap: it may exceed 1). `oldest_frames` is for how many frames the stalest part has not
    seen its pixels, `largest_difference` by how many grey levels its pixels differ at most in the mean of a patch.
    `refresh_error`, where patches were renewed in turn, is by how much their tokens were off: the norm of the change
    over the norm, the worst patch's.
    """

    encoded: tuple[int, ...]
    fov_computed: bool
    encoder_share: float
    decoder_share: float
    oldest_frames: int = 0
    largest_difference: float = 0.0
    refresh_error: float | None = None

    @classmethod
    def whole(cls, fov: bool) -> FrameCost:
        """Return what a frame costs of which nothing is reused."""
        return cls(tuple(range(PATCHES + 1)), fov, 1.0, 1.0)

    @property
    def patches(self) -> int:
        """Return how many of the 35 patches were encoded."""
        return sum(number < IMAGE for number in self.encoded)

    @property
    def image_encoded(self) -> bool:
        """Return whether the image encoder ran."""
        return IMAGE in self.encoded

    def figures(self) -> dict[str, float | int | bool | None]:
        """Return plain numbers for diagnostics, rounded."""
        error = self.refresh_error
        return {
            "patches": self.patches,
            "image_encoded": self.image_encoded,
            "fov_computed": self.fov_computed,
            "encoder_share": round(self.encoder_share, 4),
            "decoder_share": round(self.decoder_share, 4),
            "oldest_frames": self.oldest_frames,
            "largest_difference": round(self.largest_difference, 4),
            "refresh_error": None if error is None else round(error, 4),
        }


class IncrementalNetwork:
    """A network for consecutive frames of one camera, called as DepthPro is.

    A patch is encoded again when its pixels differ from those it was last encoded with by more than `threshold` grey
    levels (of 255) in the mean. Patches that differ by less are renewed in turn, so that none shows pixels that are
    not its own for `refresh_frames` frames. What sees the whole picture, the patch of quarter resolution and the image
    encoder, is renewed at most every `image_every` frames, both in the same one: after it every map of the decoder is
    another, and in between only windows are. The field-of-view branch runs at most every `fov_every` frames (and only
    when asked).

    With threshold 0 and both schedules 1 the results are the plain network's but for the order of sums: other batches
    and windows make other blocks of the matrix products, in float32 about 1e-6 of the result, in half precision some
    of its last bits.

    Besides the network itself it holds the pixels of all patches, the encoder's maps and the decoder's: `nbytes`.
    Not thread-safe. `cost` tells of the last frame.
    """

    def __init__(
        self,
        network: DepthPro,
        threshold: float = 0.0,
        refresh_frames: int = 30,
        image_every: int = 1,
        fov_every: int = 1,
    ):
        if not (math.isfinite(threshold) and threshold >= 0):
            raise ConfigurationError(f"threshold is {threshold}; it must be 0 grey levels (any change) or more")
        if refresh_frames < 1 or fov_every < 1:
            raise ConfigurationError(
                f"refresh_frames is {refresh_frames} and fov_every {fov_every}; both must be at least 1 frame"
            )
        if not 1 <= image_every <= refresh_frames:
            raise ConfigurationError(f"image_every is {image_every}; it must be 1 to refresh_frames ({refresh_frames})")
        self.network = network
        self.threshold, self.refresh_frames = threshold, refresh_frames
        self.image_every, self.fov_every = image_every, fov_every
        self.cost = FrameCost.whole(fov=True)
        self.reset()

    def reset(self) -> None:
        """Forget the last frame and give back its memory: the next one is computed whole."""
        self._memory: _Memory | None = None

    @property
    def nbytes(self) -> int:
        """Return the bytes held from one frame to the next."""
        return self._memory.nbytes if self._memory else 0

    @torch.inference_mode()
    def __call__(self, image: Tensor, fov: bool = True) -> tuple[Tensor, Tensor | None]:
        """(B, 3, S, S) in [-1, 1] → canonical inverse depth (B, 1, S, S) float32, degrees (B,) float32 or None.

        The images of a batch are no consecutive frames: a batch of more than one is computed whole, and what was
        kept is forgotten, as it is when device or precision change or a frame fails.
        """
        memory, self._memory = self._memory, None  # comes back when the frame succeeds
        side = self.network.config.image_size
        if image.shape != (1, 3, side, side):
            self.cost = FrameCost.whole(fov)
            return self.network(image, fov=fov)
        if memory is None or not memory.fits(self.network, image.device):
            memory = None  # before its successor takes as much again
            memory = _Memory(self.network, image.device)
        patches = cut(image.to(self.network.compute_dtype), self.network.config)
        self._follow(memory, patches)
        degrees = self._fov(memory, patches) if fov else None
        self.cost = memory.cost(fov)
        self._memory = memory
        return memory.decoder.output.clone(), degrees

    def _follow(self, memory: _Memory, patches: Tensor) -> None:
        """Bring tokens and maps up to date as far as the rules demand."""
        memory.look(memory.tokens.differences(patches))
        changed = self._changed(memory)
        refreshed = self._in_turn(memory, changed)
        numbers = sorted(changed | set(refreshed))
        before = {number: memory.tokens.tokens(number) for number in refreshed}
        if numbers:
            memory.tokens.encode(patches, numbers)
        memory.encoded(numbers, before)
        fine = memory.tokens.boxes(numbers, 0, FINE_PATCHES)
        middle = memory.tokens.boxes(numbers, FINE_PATCHES, QUARTER)
        coarse = not COARSE.isdisjoint(numbers)
        memory.fov_stale |= coarse
        memory.decoder.update(memory.tokens.maps, fine, middle, coarse)

    def _changed(self, memory: _Memory) -> set[int]:
        """Return the numbers of patches, and of the image encoder, whose pixels have changed too much."""
        limit = self.threshold * GREY_LEVEL
        changed = {number for number, difference in enumerate(memory.differences) if not difference <= limit}
        overdue = memory.ages[IMAGE] >= self.refresh_frames
        too_soon = memory.since_image < self.image_every
        return changed - COARSE if too_soon else changed | COARSE if overdue else changed

    def _in_turn(self, memory: _Memory, changed: set[int]) -> list[int]:
        """Return the stale patches whose turn this frame is; each has one in every `refresh_frames` frames.

        Their order is that of their numbers, so that neighbours are renewed together, whose windows are one, and the
        half resolution last, in the frame in which the quarter's turn comes when everything changes all the time.
        """
        turn = (memory.frames - 1) % self.refresh_frames
        stale = (number for number in range(QUARTER) if memory.ages[number] and number not in changed)
        return [number for number in stale if number * self.refresh_frames // QUARTER == turn]

    def _fov(self, memory: _Memory, patches: Tensor) -> Tensor:
        """Return degrees (1,), computed again when something that they depend on has been, and it is time."""
        memory.fov_computed = memory.degrees is None or (memory.fov_stale and memory.since_fov >= self.fov_every)
        if memory.fov_computed:
            memory.degrees = self.network.fov(patches[QUARTER:], memory.decoder.lateral)
            memory.fov_stale, memory.since_fov = False, 0
        return memory.degrees.clone()


class _Memory:
    """What is kept of a stream of frames."""

    def __init__(self, network: DepthPro, device: torch.device):
        self._made_for = (device, network.compute_dtype)
        self.tokens = TokenCache(network, device)
        self.decoder = DecoderCache(network, device)
        self.differences: list[float] = []
        self.ages = [0] * (PATCHES + 1)  # frames since the part last showed its own pixels
        self.frames = -1  # after the first one, which is whole
        self.since_image = self.since_fov = 1 << 30
        self.degrees: Tensor | None = None
        self.fov_stale = self.fov_computed = False
        self._encoded: list[int] = []
        self._refresh_error: float | None = None

    def fits(self, network: DepthPro, device: torch.device) -> bool:
        return self._made_for == (device, network.compute_dtype)

    @property
    def nbytes(self) -> int:
        return self.tokens.nbytes + self.decoder.nbytes

    def look(self, differences: list[float]) -> None:
        """Take a frame's differences from what is kept."""
        self.differences = differences
        self.ages = [age + 1 if difference else 0 for age, difference in zip(self.ages, differences, strict=True)]
        self.frames += 1
        self.since_image += 1
        self.since_fov += 1
        self.fov_computed = False

    def encoded(self, numbers: list[int], before: dict[int, Tensor]) -> None:
        """Note which parts now show their own pixels, some of them with tokens `before` that were stale."""
        self._encoded = numbers
        for number in numbers:
            self.ages[number] = 0
            self.differences[number] = 0.0
        if IMAGE in numbers:
            self.since_image = 0
        errors = [_change(old, self.tokens.tokens(number)) for number, old in before.items()]
        self._refresh_error = max(errors, default=None)

    def cost(self, fov: bool) -> FrameCost:
        return FrameCost(
            encoded=tuple(self._encoded),
            fov_computed=self.fov_computed,
            encoder_share=(len(self._encoded) + self.fov_computed) / (PATCHES + 1 + fov),
            decoder_share=self.decoder.computed_share,
            oldest_frames=max(self.ages),
            largest_difference=max(self.differences) / GREY_LEVEL,
            refresh_error=self._refresh_error,
        )


def _change(old: Tensor, new: Tensor) -> float:
    return float((new - old).float().norm() / new.float().norm().clamp_min(torch.finfo(torch.float32).tiny))
