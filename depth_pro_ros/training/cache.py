"""Scenes rendered once and kept on disk, in chunks, so that an interrupted rendering goes on where it was.

A folder holds manifest.json and, for chunk k of CHUNK scenes, rgb_k.npy (N, S, S, 3) uint8, inverse_k.npy (N, S, S)
float16 (1 / metres, 0 in the sky) and fov_k.npy (N,) float32 degrees, which is written last: where it exists,
the chunk is whole. Scene i has seed first_seed + i, so a cache may grow and its beginning stays what it was.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
from collections.abc import Iterator
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from depth_pro_ros.errors import ConfigurationError, OutputError
from depth_pro_ros.training.data import Raw, Render, raw_scenes, scene_renderer

CHUNK = 256
RENDERED_AT_ONCE = 16
NICE = 5
MANIFEST = "manifest.json"
BYTES_PER_PIXEL = 3 + 2


class SceneCache:
    """`count` scenes of one world at `side` x `side` pixels in `folder`; `prepare` renders those that are missing."""

    def __init__(
        self,
        folder: Path,
        world: str,
        count: int,
        side: int,
        first_seed: int = 0,
        workers: int = 1,
        render: Render | None = None,
    ):
        self.folder, self.world, self.count, self.side, self.first_seed = folder, world, count, side, first_seed
        self.workers, self._render = workers, render
        self._opened: dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]] = {}
        if count < 1:
            raise ConfigurationError(f"a cache of {count} scenes: ask for at least 1")
        self._check_manifest()

    @property
    def size(self) -> int:
        """Return the number of scenes."""
        return self.count

    def missing(self) -> list[int]:
        """Return the chunks that are not rendered yet, or not to their end."""
        return [chunk for chunk in range(-(-self.count // CHUNK)) if self._rows(chunk) < self._wanted(chunk)]

    def prepare(self) -> None:
        """Render what is missing, in `workers` processes of one thread each (0: in this one).

        Raises OutputError when the disk has not enough room; finished chunks stay whatever happens.
        """
        missing = self.missing()
        if not missing:
            return
        self._check_room(len(missing))
        job = partial(_render_chunk, self.folder, self.world, self.side, self.first_seed, self.count, self._render)
        done = self._in_processes(job, missing, self.workers) if self.workers else map(job, missing)
        bar = tqdm(total=len(missing) * CHUNK, unit="scene", desc=f"rendering {self.folder.name}", disable=None)
        with bar:
            for _ in done:
                bar.update(CHUNK)

    @staticmethod
    def _in_processes(job: partial[int], chunks: list[int], workers: int) -> Iterator[int]:
        context = multiprocessing.get_context("spawn")
        with context.Pool(min(workers, len(chunks)), initializer=_start_worker) as pool:
            yield from pool.imap_unordered(job, chunks)

    def read(self, indices: np.ndarray) -> Raw:
        """Return the scenes `indices` (B,), read through memory maps."""
        rgb = np.empty((len(indices), self.side, self.side, 3), np.uint8)
        inverse = np.empty((len(indices), self.side, self.side), np.float16)
        fov = np.empty(len(indices), np.float32)
        for slot, index in enumerate(indices):
            arrays, row = self._chunk(int(index) // CHUNK), int(index) % CHUNK
            rgb[slot], inverse[slot], fov[slot] = arrays[0][row], arrays[1][row], arrays[2][row]
        inverse_m = torch.from_numpy(inverse).float()
        known = torch.ones_like(inverse_m, dtype=torch.bool)
        return Raw(torch.from_numpy(rgb), inverse_m, known, torch.from_numpy(fov))

    def _chunk(self, chunk: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if chunk not in self._opened:
            try:
                rgb, inverse = (np.load(path, mmap_mode="r") for path in _paths(self.folder, chunk)[:2])
                self._opened[chunk] = rgb, inverse, np.load(_paths(self.folder, chunk)[2])
            except (OSError, ValueError, EOFError) as error:
                raise ConfigurationError(
                    f"scene cache '{self.folder}', chunk {chunk}: {error}; delete its files "
                    f"*_{chunk:05d}.npy and start again, which renders them anew"
                ) from error
        return self._opened[chunk]

    def _wanted(self, chunk: int) -> int:
        return min(CHUNK, self.count - chunk * CHUNK)

    def _rows(self, chunk: int) -> int:
        last = _paths(self.folder, chunk)[2]
        return len(np.load(last)) if last.exists() else 0

    def _check_room(self, chunks: int) -> None:
        needed = chunks * CHUNK * self.side**2 * BYTES_PER_PIXEL
        free = shutil.disk_usage(self.folder).free
        if needed > free:
            raise OutputError(
                f"scene cache '{self.folder}' needs {needed / 1e9:.1f} GB more and the disk has {free / 1e9:.1f} GB: "
                "ask for fewer scenes, or give another folder"
            )

    def _check_manifest(self) -> None:
        mine = {"format": 1, "world": self.world, "side": self.side, "first_seed": self.first_seed, "chunk": CHUNK}
        path = self.folder / MANIFEST
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_text(json.dumps(mine))
            found = json.loads(path.read_text())
        except (OSError, json.JSONDecodeError) as error:
            raise ConfigurationError(f"scene cache '{self.folder}': {error}; give another folder") from error
        if found != mine:
            raise ConfigurationError(
                f"scene cache '{self.folder}' holds {found}, wanted is {mine}: give another folder, or delete this one"
            )


def _paths(folder: Path, chunk: int) -> tuple[Path, Path, Path]:
    rgb, inverse, fov = (folder / f"{name}_{chunk:05d}.npy" for name in ("rgb", "inverse", "fov"))
    return rgb, inverse, fov


def _start_worker() -> None:
    """Leave the machine to others: one thread, low priority."""
    torch.set_num_threads(1)
    os.nice(NICE)


@lru_cache(maxsize=1)
def _own_renderer() -> Render:
    return scene_renderer()


def _render_chunk(
    folder: Path, world: str, side: int, first_seed: int, count: int, render: Render | None, chunk: int
) -> int:
    """Render one chunk and write it whole or not at all; return its number."""
    render = render or _own_renderer()
    first, stop = chunk * CHUNK, min((chunk + 1) * CHUNK, count)
    parts = []
    for start in range(first, stop, RENDERED_AT_ONCE):
        seeds = [first_seed + index for index in range(start, min(start + RENDERED_AT_ONCE, stop))]
        raw = raw_scenes(render(world, seeds, side, side))
        parts.append((raw.rgb.numpy(), raw.inverse_m.half().numpy(), raw.fov_deg.numpy()))
    for path, arrays in zip(_paths(folder, chunk), zip(*parts, strict=True), strict=True):
        aside = path.with_suffix(f".{os.getpid()}.part")
        try:
            with open(aside, "wb") as file:
                np.save(file, np.concatenate(arrays))
            os.replace(aside, path)
        except OSError as error:
            raise OutputError(f"scene cache '{path}' was not written ({error}): make room and start again") from error
        finally:
            aside.unlink(missing_ok=True)
    return chunk
