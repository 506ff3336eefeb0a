"""Points against the plain formula, pixel by pixel, for every layout that depth and colours may have in memory."""

import math

import numpy as np
import pytest

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.messages.clouds import colours, points_from_depth

FOCAL_PX = 60.0


def scene(width, height):
    random = np.random.default_rng(width)
    depth_m = random.uniform(0.5, 9.0, (height, width)).astype(np.float32)
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, -1.0, 1e-40], np.float32)
    flat = depth_m.reshape(-1)
    where = random.permutation(flat.size)[: 3 * odd.size]
    flat[where] = np.tile(odd, 3)[: where.size]
    return depth_m, random.integers(0, 256, (height, width, 3), np.uint8)


def expected(depth_m, rgb, stride, near, reach):
    """(h, w, 7): x, y, z, r, g, b and whether there is a point, one pixel after the other."""
    camera = pinhole.subsample(pinhole.centred(depth_m.shape[1], depth_m.shape[0], FOCAL_PX), stride)
    ray_x, ray_y = pinhole.rays(camera)
    result = np.full((camera.height, camera.width, 7), np.nan)
    for v in range(camera.height):
        for u in range(camera.width):
            z = depth_m[v * stride, u * stride]
            there = bool(np.isfinite(z) and z > 1e-38 and near <= z <= reach)
            result[v, u, 3:] = *rgb[v * stride, u * stride], there
            if there:
                result[v, u, :3] = z * ray_x[u], z * ray_y[v, 0], z
    return result


@pytest.mark.parametrize("stride", [1, 2, 3, 5])
@pytest.mark.parametrize("size", [(40, 22), (41, 23), (2, 2), (1, 1)])
def test_every_pixel(size, stride, monkeypatch):
    """Even and odd widths, in bands of a few rows: bits of x, y, z and colour."""
    monkeypatch.setattr("depth_pro_ros.messages.clouds.BAND", 100)
    width, height = size
    depth_m, rgb = scene(width, height)
    points = points_from_depth(depth_m, rgb, pinhole.centred(width, height, FOCAL_PX), stride, 8.0, 1.0)
    truth = expected(depth_m, rgb, stride, 1.0, 8.0)
    np.testing.assert_array_equal(points[..., :3], truth[..., :3].astype(np.float32))
    np.testing.assert_array_equal(colours(points), truth[..., 3:6])
    assert not (points[..., 3].view(np.uint32) >> 24).any()
    assert points.dtype == np.float32 and points.flags.c_contiguous


@pytest.mark.parametrize("stride", [1, 2, 3])
def test_any_layout_and_nothing_is_written_to(stride):
    """Views whose elements do not lie side by side, backwards, and read-only."""
    depth_m, rgb = scene(40, 22)
    camera = pinhole.centred(40, 22, FOCAL_PX)
    wanted = points_from_depth(depth_m, rgb, camera, stride)
    spread = np.zeros((22, 80), np.float32)
    spread[:, ::2] = depth_m
    for view in (spread[:, ::2], np.ascontiguousarray(depth_m[::-1, ::-1])[::-1, ::-1], np.asfortranarray(depth_m)):
        view.setflags(write=False)
        before = view.copy()
        np.testing.assert_array_equal(points_from_depth(view, rgb, camera, stride), wanted)
        np.testing.assert_array_equal(view, before)


def test_what_is_left_out_and_no_colour():
    depth_m, _ = scene(40, 22)
    left_out = np.zeros((11, 20), bool)
    left_out[3, 4] = left_out[10, 19] = True
    camera = pinhole.centred(40, 22, FOCAL_PX)
    points = points_from_depth(depth_m, None, camera, 2, left_out=left_out)
    assert points.shape == (11, 20, 3)
    np.testing.assert_array_equal(np.isnan(points[left_out]), True)
    kept = points_from_depth(depth_m, None, camera, 2, math.inf)
    np.testing.assert_array_equal(points[~left_out], kept[~left_out])
