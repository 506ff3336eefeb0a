"""The map from depth images: a real sequence against its own points, carving, edges, window, keyframes."""

import numpy as np
import pytest
from matching.recordings import load
from scipy.spatial import cKDTree

from depth_pro_ros.errors import CalibrationError, ConfigurationError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs.mapping import DepthMapper, Keyframes, MapSettings, on_surface

CAMERA = pinhole.centred(160, 120, 100.0)
SETTINGS = MapSettings(voxel_m=0.1, stride=1, max_depth_m=8.0, window_m=20.0)


def pose(x=0.0, y=0.0, z=0.0, yaw_deg=0.0):
    T = np.eye(4)
    c, s = np.cos(np.radians(yaw_deg)), np.sin(np.radians(yaw_deg))
    T[:3, :3] = [[c, 0, s], [0, 1, 0], [-s, 0, c]]
    T[:3, 3] = x, y, z
    return T


def wall(depth_m):
    return np.full((120, 160), depth_m, np.float32)


def back_projected(camera, depth, T, step):
    """Return world points (N, 3) of every `step`-th pixel, by the textbook's formula."""
    v, u = np.mgrid[0 : camera.height : step, 0 : camera.width : step]
    z = depth[v, u].astype(float)
    camera_points = np.stack([(u - camera.cx) * z / camera.fx, (v - camera.cy) * z / camera.fy, z, np.ones(z.shape)])
    points = (T @ camera_points.reshape(4, -1))[:3].T
    return points[np.isfinite(points).all(axis=1)]


@pytest.fixture(scope="module")
def livingroom(data_dir):
    return load(data_dir / "rgbd_livingroom_synth")


def test_a_room_is_mapped_to_less_than_a_voxel(livingroom):
    """36 true depths with true poses: fused points lie on the surface, and the surface is covered."""
    camera, frames = livingroom
    mapper = DepthMapper(MapSettings(voxel_m=0.05, max_depth_m=5.0, stride=2))
    for _, depth, T in frames:
        mapper.add(depth, camera, T)
    fused, _ = mapper.voxels.solid(2.0)
    near = [np.where(depth < 5.0, depth, np.nan) for _, depth, _ in frames]
    truth = np.concatenate([back_projected(camera, d, T, 3) for d, (_, _, T) in zip(near, frames, strict=True)])
    off = cKDTree(truth).query(fused)[0]
    missed = cKDTree(fused).query(truth[::50])[0]
    print(
        f"{len(fused)} voxels of 5 cm: fused to truth median {1e3 * np.median(off):.1f} mm, 95 % within "
        f"{1e3 * np.percentile(off, 95):.1f} mm; truth to fused median {1e3 * np.median(missed):.1f} mm, "
        f"{np.mean(missed < 0.1):.1%} within two voxels"
    )
    assert np.median(off) <= 0.02 and np.percentile(off, 95) <= 0.05
    assert np.median(missed) <= 0.05 and np.mean(missed < 0.1) > 0.95


def test_fusion_averages_noise_and_trusts_the_sure():
    """A wall at 3.15 m, the middle of its voxels, 0.5 % noise in one half of the images and 2 % in the other."""
    rng = np.random.default_rng(0)
    by_sigma, alike = (DepthMapper(MapSettings(voxel_m=0.3, stride=1)) for _ in range(2))
    for index in range(24):
        sigma = 0.005 if index % 2 else 0.02
        noise = rng.normal(1, sigma, (15, 20)).repeat(8, axis=0).repeat(8, axis=1)
        depth = (3.15 * noise).astype(np.float32)
        by_sigma.add(depth, CAMERA, pose(), None, np.full(depth.shape, sigma, np.float32))
        alike.add(depth, CAMERA, pose())
    sure, unsure = (np.std(made.voxels.solid(10.0)[0][:, 2] - 3.15) for made in (by_sigma, alike))
    print(f"noise of 16 and 63 mm: {1e3 * sure:.1f} mm fused by sigma, {1e3 * unsure:.1f} mm fused alike")
    assert sure < 0.5 * 0.005 * 3.15 and sure < 0.6 * unsure


def test_something_that_left_is_carved_and_its_surroundings_stay():
    mapper = DepthMapper(SETTINGS)
    with_box = wall(5.0)
    with_box[40:80, 60:100] = 2.5
    for _ in range(3):
        mapper.add(with_box, CAMERA, pose())
    before = mapper.voxels.points_m
    assert (before[:, 2] < 3).any()
    carved = [mapper.add(wall(5.0), CAMERA, pose()).carved for _ in range(3)]
    assert carved[0] == 0 and sum(carved) == (before[:, 2] < 3).sum()
    left = mapper.voxels.points_m
    assert (left[:, 2] > 4.9).all() and len(left) >= (before[:, 2] > 3).sum()


@pytest.mark.parametrize(("behind", "gone"), [(np.inf, True), (np.nan, False), (2.7, False), (2.0, False)])
def test_only_what_is_surely_seen_through_is_carved(behind, gone):
    """Sky carves; unknown does not, nor does a surface hardly farther, nor one in front."""
    mapper = DepthMapper(SETTINGS)
    mapper.add(wall(2.5), CAMERA, pose())
    count = len(mapper.voxels)
    mapper.add(wall(behind), CAMERA, pose())
    inner = np.abs(mapper.voxels.points_m[:, :2]).max(axis=1) < 1.0
    at_wall = np.abs(mapper.voxels.points_m[:, 2] - 2.5) < 0.1
    assert (inner & at_wall).any() != gone and count > 100


def test_a_surface_is_not_carved_by_its_own_other_views():
    """A wall and a floor seen from many places at grazing angles keep their voxels."""
    mapper = DepthMapper(SETTINGS)
    v = (np.arange(120) - CAMERA.cy)[:, None] / CAMERA.fy
    with np.errstate(divide="ignore"):
        floor = np.where(v > 0, 0.5 / v, np.inf)
    carved = 0
    for step in range(12):
        z = 0.25 * step
        depth = np.minimum(np.broadcast_to(floor, (120, 160)), 6.0 - z).astype(np.float32)
        carved += mapper.add(depth, CAMERA, pose(x=0.05 * step, z=z)).carved
    assert carved <= 0.002 * len(mapper.voxels)


def test_pixels_in_the_air_between_two_surfaces_are_left_out():
    depth = wall(5.0)
    depth[:, :80] = 2.0
    depth[:, 80] = 3.5
    kept = on_surface(depth, 0.1)
    assert not kept[:, 79:82].any() and kept[:, :79].all() and kept[:, 82:].all()
    mapper = DepthMapper(SETTINGS)
    mapper.add(depth, CAMERA, pose())
    z = mapper.voxels.points_m[:, 2]
    assert (np.minimum(np.abs(z - 2), np.abs(z - 5)) < 1e-3).all()
    unknown = wall(5.0)
    unknown[10, 10] = np.nan
    assert on_surface(unknown, 0.1).sum() == unknown.size - 1


def test_sigma_and_colour_go_with_their_pixels():
    """The image's own sigma weighs: 1 % at first, 2 % then; NaN in it leaves the pixel out."""
    mapper = DepthMapper(SETTINGS)
    sure, unsure = (np.full((120, 160), s, np.float32) for s in (0.01, 0.02))
    red = np.zeros((120, 160, 3), np.uint8)
    red[..., 0] = 250
    sure[:, :40] = np.nan
    mapper.add(wall(2.51), CAMERA, pose(), red, sure)
    mapper.add(wall(2.56), CAMERA, pose(), 0 * red, unsure)
    points, rgb = mapper.voxels.solid(2.0)
    inner = points[:, 0] > 0.3
    weights = np.array([1 / (0.01 * 2.51) ** 2, 1 / (0.02 * 2.56) ** 2])
    np.testing.assert_allclose(points[inner, 2], weights @ [2.51, 2.56] / weights.sum(), atol=1e-4)
    np.testing.assert_allclose(rgb[inner, 0], 250 * weights[0] / weights.sum(), atol=1)
    assert (points[:, 0] > -1.1).all() and (mapper.voxels.points_m[:, 0] < -1.2).any()


def test_a_flight_without_end_stays_in_its_window_and_bound():
    settings = MapSettings(voxel_m=0.1, max_voxels=3000, window_m=6.0, stride=2, max_depth_m=8.0)
    mapper = DepthMapper(settings)
    for step in range(40):
        added = mapper.add(wall(4.0 + 0.5 * (step % 3)), CAMERA, pose(x=2.0 * step))
        assert added.voxels <= 3000 and np.abs(mapper.voxels.points_m - [2.0 * step, 0, 0]).max() <= 6.1
    assert added.dropped > 0


def test_keyframes():
    keyframes = Keyframes(0.2, 10.0, 5.0)
    second = 10**9
    chosen = [
        keyframes.take(0, pose()),
        keyframes.take(1, pose(x=0.1)),
        keyframes.take(2, pose(x=0.25)),
        keyframes.take(3, pose(x=0.25, yaw_deg=9.0)),
        keyframes.take(4, pose(x=0.25, yaw_deg=11.0)),
        keyframes.take(5 * second, pose(x=0.25, yaw_deg=11.0)),
        keyframes.take(5 * second + 5, pose(x=0.25, yaw_deg=11.0)),
    ]
    assert chosen == [True, False, True, False, True, False, True]


def test_what_does_not_fit_is_refused():
    with pytest.raises(CalibrationError, match="resize them alike"):
        DepthMapper(SETTINGS).add(np.ones((10, 10), np.float32), CAMERA, pose())
    with pytest.raises(CalibrationError, match="resize them alike"):
        DepthMapper(SETTINGS).add(wall(2.0), CAMERA, pose(), np.zeros((10, 10, 3), np.uint8))
    with pytest.raises(ConfigurationError, match="smaller one"):
        MapSettings(min_depth_m=5.0, max_depth_m=4.0)
