"""Scenes on disk: what was rendered is what is read; an interrupted rendering goes on; bad states are told."""

from __future__ import annotations

import os
from collections import namedtuple

import numpy as np
import pytest
import torch
from training.standin import render

from depth_pro_ros.errors import ConfigurationError, OutputError
from depth_pro_ros.training import cache
from depth_pro_ros.training.cache import SceneCache


@pytest.fixture
def rendered(monkeypatch) -> list[int]:
    """Make chunks of 4 scenes, and return the list of seeds that `counting` will have rendered."""
    monkeypatch.setattr(cache, "CHUNK", 4)
    return []


def counting(seeds: list[int]):
    def count(kind, wanted, height, width):
        seeds.extend(wanted)
        return render(kind, wanted, height, width)

    return count


def test_what_is_read_is_what_was_rendered(tmp_path, rendered):
    scenes = SceneCache(tmp_path, "w", 10, 32, first_seed=5, workers=0, render=render)
    scenes.prepare()
    raw = scenes.read(np.array([9, 0, 4]))
    truth = render("w", [14, 5, 9], 32, 32)
    assert scenes.size == 10
    assert torch.equal(raw.rgb, truth.rgb)
    assert torch.equal(raw.fov_deg, truth.fov_x_deg)
    assert torch.allclose(raw.inverse_m, 1 / truth.depth_m, rtol=2**-11)
    assert torch.equal(raw.inverse_m == 0, truth.depth_m.isinf())


def test_only_missing_chunks_are_rendered_and_a_cache_may_grow(tmp_path, rendered):
    def prepare(number: int) -> list[int]:
        rendered.clear()
        SceneCache(tmp_path, "w", number, 16, workers=0, render=counting(rendered)).prepare()
        return rendered

    assert prepare(8) == list(range(8))
    assert prepare(8) == []
    (tmp_path / "fov_00000.npy").unlink()  # as an interruption within chunk 0 leaves it
    assert prepare(8) == [0, 1, 2, 3]
    assert prepare(10) == [8, 9]
    assert prepare(12) == [8, 9, 10, 11]  # the incomplete last chunk again


def test_processes_render_the_same(tmp_path):
    scenes = SceneCache(tmp_path, "w", 3, 16, workers=1, render=render)
    scenes.prepare()
    assert torch.equal(scenes.read(np.arange(3)).rgb, render("w", range(3), 16, 16).rgb)


def test_a_cache_of_another_world_size_or_seed_is_refused(tmp_path):
    SceneCache(tmp_path, "w", 4, 16)
    for change in ({"world": "v"}, {"side": 32}, {"first_seed": 1}):
        with pytest.raises(ConfigurationError, match="another folder"):
            SceneCache(tmp_path, **{"world": "w", "count": 4, "side": 16, **change})
    with pytest.raises(ConfigurationError, match="at least 1"):
        SceneCache(tmp_path, "w", 0, 16)


def test_a_damaged_chunk_is_named(tmp_path, rendered):
    scenes = SceneCache(tmp_path, "w", 4, 16, workers=0, render=render)
    scenes.prepare()
    (tmp_path / "rgb_00000.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(ConfigurationError, match=r"chunk 0.*\*_00000"):
        scenes.read(np.array([1]))


def test_too_small_a_disk_is_told_before_rendering(tmp_path, monkeypatch, rendered):
    usage = namedtuple("usage", "total used free")(10, 9, 1000)
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(OutputError, match="GB more"):
        SceneCache(tmp_path, "w", 4, 16, workers=0, render=counting(rendered)).prepare()
    assert rendered == []


def test_a_failed_write_leaves_nothing_half_written(tmp_path, monkeypatch, rendered):
    def full(source, target):
        raise OSError(28, "No space left on device")

    scenes = SceneCache(tmp_path, "w", 4, 16, workers=0, render=render)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(OutputError, match="No space left"):
            scenes.prepare()
    assert {path.name for path in tmp_path.iterdir()} == {cache.MANIFEST}
    scenes.prepare()
    assert len(scenes.read(np.arange(4)).rgb) == 4
