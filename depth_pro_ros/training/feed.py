"""Which images a step trains on, prepared one step ahead.

The batch of a step is a function of the recipe's seed, the stage, the step and the number of images seen before, and of
nothing else: not of timing, not of earlier draws, not of the number of processes. So resuming needs
only those numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.training.augment import COLUMNS, generator, prepare
from depth_pro_ros.training.curriculum import Stage
from depth_pro_ros.training.data import Batch, Source


class Feed:
    """Makes batches for process `rank` of `world`, which gets its share of each step's images."""

    def __init__(self, sources: Mapping[str, Source], seed: int, rank: int = 0, world: int = 1):
        self.sources, self.seed, self.rank, self.world = sources, seed, rank, world

    def batch(self, stage: Stage, stage_index: int, step: int, images_before: int, side: int) -> Batch:
        """Return this process's images of a step, grouped by data set, at `side` x `side`."""
        numbers = generator(self.seed, stage_index, step)
        uniform = torch.rand((stage.batch, COLUMNS + 1), generator=numbers)
        shares = torch.tensor([objective.share for objective in stage.objectives], dtype=torch.float64)
        which = torch.searchsorted((shares / shares.sum()).cumsum(0), uniform[:, 0].double(), right=True)
        which = which.clamp_(max=len(shares) - 1)
        own = range(self.rank * stage.batch // self.world, (self.rank + 1) * stage.batch // self.world)
        parts, groups, start = [], [], 0
        for number, objective in enumerate(stage.objectives):
            slots = [slot for slot in own if which[slot] == number]
            if not slots:
                continue
            source = self._source(objective.data)
            positions = np.array([images_before + slot for slot in slots], dtype=np.int64)
            raw = source.read(_shuffled(self.seed, number, source.size, positions))
            parts.append(prepare(raw, uniform[slots, 1:], stage.augmentation, side))
            groups.append((objective.data, start, start + len(slots)))
            start += len(slots)
        tensors = (torch.cat(tensors) for tensors in zip(*parts, strict=True))
        return Batch(*tensors, tuple(groups))

    def _source(self, name: str) -> Source:
        if name not in self.sources:
            raise ConfigurationError(f"no images for data set '{name}': give --data {name}=FOLDER")
        return self.sources[name]


def _shuffled(seed: int, data: int, size: int | None, positions: np.ndarray) -> np.ndarray:
    """Return the images at `positions` of an endless sequence that passes through all of them in random orders."""
    if size is None:
        return positions
    return np.array([_order(seed, data, size, int(p) // size)[int(p) % size] for p in positions], dtype=np.int64)


@lru_cache(maxsize=16)
def _order(seed: int, data: int, size: int, epoch: int) -> np.ndarray:
    return torch.randperm(size, generator=generator(seed, data, size, epoch)).numpy()


def batches(feed: Feed, stage: Stage, stage_index: int, step: int, images: int, side: int) -> Iterator[Batch]:
    """Yield the batches of a stage from `step` on; the next one is prepared meanwhile in a thread of its own."""
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(1, "batches", initializer=torch.set_num_threads, initargs=(1,)) as pool:

        def ahead(number: int) -> Future[Batch]:
            before = images + (number - step) * stage.batch
            return pool.submit(feed.batch, stage, stage_index, number, before, side)

        waiting = ahead(step)
        for number in range(step, stage.steps):
            batch = waiting.result()
            torch.set_num_threads(threads)  # the pool's thread set the process's default for later threads to 1
            if number + 1 < stage.steps:
                waiting = ahead(number + 1)
            yield batch
