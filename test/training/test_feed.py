"""Batches are functions of the counters alone, cover the data, and divide among processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from training.standin import render

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.training.curriculum import NO_AUGMENTATION, Objective
from depth_pro_ros.training.data import Raw, SceneStream
from depth_pro_ros.training.feed import Feed, batches


class Numbered:
    """A source whose image i has the field of view i."""

    def __init__(self, size: int):
        self.size = size

    def prepare(self) -> None:
        """Nothing is to be made ready."""

    def read(self, indices: np.ndarray) -> Raw:
        n = len(indices)
        rgb, inverse = torch.zeros(n, 8, 8, 3, dtype=torch.uint8), torch.ones(n, 8, 8)
        return Raw(rgb, inverse, inverse > 0, torch.from_numpy(indices).float())


def equal(a, b) -> bool:
    return a.groups == b.groups and all(torch.equal(x, y) for x, y in zip(a._tensors(), b._tensors(), strict=True))


def test_preparing_ahead_changes_no_batch_and_any_step_can_be_the_first(recipe, sources):
    stage, feed = recipe.stages[0], Feed(sources, seed=3)
    direct = [feed.batch(stage, 0, step, 4 * step, 128) for step in range(stage.steps)]
    assert all(equal(a, b) for a, b in zip(batches(feed, stage, 0, 0, 0, 128), direct, strict=True))
    assert all(equal(a, b) for a, b in zip(batches(feed, stage, 0, 3, 12, 128), direct[3:], strict=True))
    assert not equal(direct[0], direct[1])
    assert not equal(direct[0], Feed(sources, seed=4).batch(stage, 0, 0, 0, 128))


def test_every_image_comes_once_in_each_pass(recipe):
    plain = replace(recipe.stages[0], augmentation=NO_AUGMENTATION, batch=5)
    feed = Feed({"scenes": Numbered(20)}, seed=0)
    seen = [feed.batch(plain, 0, step, 5 * step, 8).fov_deg.round().int().tolist() for step in range(8)]
    first, second = sum(seen[:4], []), sum(seen[4:], [])
    assert sorted(first) == sorted(second) == list(range(20))
    assert first != second


def test_processes_together_make_the_batch_of_one(recipe, sources):
    stage = recipe.stages[0]
    whole = Feed(sources, 0).batch(stage, 0, 2, 8, 64)
    parts = [Feed(sources, 0, rank, 2).batch(stage, 0, 2, 8, 64) for rank in range(2)]
    for together, *apart in zip(whole._tensors(), *(part._tensors() for part in parts), strict=True):
        assert torch.allclose(together.float(), torch.cat(apart).float(), atol=1e-6)


def test_data_sets_share_a_batch_as_told(recipe):
    objectives = (Objective("a", (("mae", 1.0),), share=1.0), Objective("b", (("mae", 1.0),), share=3.0))
    stage = replace(recipe.stages[0], objectives=objectives, batch=1000, augmentation=NO_AUGMENTATION)
    batch = Feed({"a": Numbered(9), "b": Numbered(9)}, 0).batch(stage, 0, 0, 0, 8)
    (_, start, middle), (_, low, end) = batch.groups
    assert (start, middle, end) == (0, low, 1000)
    assert middle == pytest.approx(250, abs=45)


def test_a_part_of_a_batch_keeps_what_is_left_of_each_group(recipe):
    objectives = (Objective("a", (("mae", 1.0),)), Objective("b", (("mae", 1.0),)))
    stage = replace(recipe.stages[0], objectives=objectives, batch=10)
    batch = Feed({"a": Numbered(9), "b": Numbered(9)}, 0).batch(stage, 0, 0, 0, 8)
    middle = batch.groups[0][2]
    part = batch.part(middle - 1, middle + 2)
    assert part.groups == (("a", 0, 1), ("b", 1, 3))
    assert torch.equal(part.fov_deg, batch.fov_deg[middle - 1 : middle + 2])


def test_a_data_set_without_images_is_named(recipe):
    with pytest.raises(ConfigurationError, match="--data scenes=FOLDER"):
        Feed({}, 0).batch(recipe.stages[0], 0, 0, 0, 64)


def test_an_error_of_the_source_reaches_the_loop(recipe):
    def broken(kind, seeds, height, width):
        raise ConfigurationError("no such world")

    feed = Feed({"scenes": SceneStream("w", 64, 0, broken)}, 0)
    with pytest.raises(ConfigurationError, match="no such world"):
        next(batches(feed, recipe.stages[0], 0, 0, 0, 64))


def test_scenes_with_impossible_depth_are_refused():
    def negative(kind, seeds, height, width):
        scenes = render(kind, seeds, height, width)
        scenes.depth_m[0, 0, 0] = -1.0
        return scenes

    with pytest.raises(ConfigurationError, match="not positive"):
        SceneStream("w", 16, 0, negative).read(np.array([0]))
