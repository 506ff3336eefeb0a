"""Point clouds against K^-1 depth by hand, read back as raw bytes and with point_cloud2."""

import math

import numpy as np
import pytest
from sensor_msgs.msg import PointField
from std_msgs.msg import Header

from depth_pro_ros.errors import CalibrationError, ConfigurationError, ImageError
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.clouds import CloudSettings, cloud_from_depth, filtered_cloud
from depth_pro_ros.ros.standins import point_cloud2

CAMERA = Intrinsics(7, 5, 10.0, 20.0, 2.5, 1.0)


def header() -> Header:
    head = Header(frame_id="camera_optical_frame")
    head.stamp.sec, head.stamp.nanosec = 5, 7
    return head


def depth() -> np.ndarray:
    return (1 + np.arange(35, dtype=np.float32).reshape(5, 7)) / 4


def colours() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (5, 7, 3)).astype(np.uint8)


def grid(cloud) -> np.ndarray:
    """Read the bytes as PCL does: row by row, four float32 a point."""
    return np.frombuffer(cloud.data, "<f4").reshape(cloud.height, cloud.width, 4)


def test_the_layout_is_organised_xyz_rgb():
    cloud = cloud_from_depth(depth(), colours(), CAMERA, header())
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (5, 7, 16, 112)
    assert not cloud.is_dense and not cloud.is_bigendian and cloud.header == header()
    fields = [(f.name, f.offset, f.datatype, f.count) for f in cloud.fields]
    assert fields == [(name, 4 * i, PointField.FLOAT32, 1) for i, name in enumerate(["x", "y", "z", "rgb"])]
    assert len(cloud.data) == 5 * 112


def test_points_by_hand():
    points = grid(cloud_from_depth(depth(), colours(), CAMERA, header()))
    for row in range(5):
        for column in range(7):
            z = (1 + 7 * row + column) / 4
            expected = (column - 2.5) / 10 * z, (row - 1.0) / 20 * z, z
            np.testing.assert_allclose(points[row, column, :3], expected, rtol=1e-6, atol=1e-7)


def test_colour_is_packed_as_pcl_unpacks_it():
    rgb = colours()
    rgb[0, 0], rgb[0, 1], rgb[0, 2] = (255, 0, 0), (1, 2, 3), (255, 255, 255)
    bits = grid(cloud_from_depth(depth(), rgb, CAMERA, header())).copy().view("<u4")[..., 3]
    assert bits[0, :3].tolist() == [0xFF0000, 0x010203, 0xFFFFFF]
    np.testing.assert_array_equal(np.dstack([bits >> 16 & 255, bits >> 8 & 255, bits & 255]), rgb)
    assert np.isfinite(bits.view("<f4")).all(), "no colour may read as NaN, or filters would drop the point"


def test_what_is_not_known_or_too_far_is_nan():
    z = depth()
    z[0, :4] = np.nan, np.inf, 0.0, -1.0
    points = grid(cloud_from_depth(z, colours(), CAMERA, header(), max_range_m=4.0))
    missing = np.isnan(points[..., :3])
    np.testing.assert_array_equal(missing.all(axis=2), missing.any(axis=2))
    expected = z > 4.0
    expected[0, :4] = True
    np.testing.assert_array_equal(missing.all(axis=2), expected)
    assert z[2, 1] == 4.0 and not missing[2, 1].any(), "the range itself still counts"


@pytest.mark.parametrize("stride", [1, 2, 3, 10])
def test_a_stride_picks_points_of_the_full_cloud(stride):
    rgb = colours()
    full = grid(cloud_from_depth(depth(), rgb, CAMERA, header()))
    cloud = cloud_from_depth(depth(), rgb, CAMERA, header(), stride=stride)
    assert (cloud.height, cloud.width) == (math.ceil(5 / stride), math.ceil(7 / stride))
    np.testing.assert_allclose(grid(cloud)[..., :3], full[::stride, ::stride, :3], rtol=1e-6, atol=1e-7)
    np.testing.assert_array_equal(grid(cloud).view("<u4")[..., 3], full.view("<u4")[::stride, ::stride, 3])


def test_a_larger_picture_is_averaged_and_a_smaller_one_repeated():
    large = np.repeat(np.repeat(colours(), 4, axis=0), 4, axis=1)
    expected = grid(cloud_from_depth(depth(), colours(), CAMERA, header()))
    np.testing.assert_array_equal(grid(cloud_from_depth(depth(), large, CAMERA, header()))[..., 3], expected[..., 3])
    small = np.array([[[255, 0, 0], [0, 0, 255]]], np.uint8)
    bits = grid(cloud_from_depth(depth(), small, CAMERA, header())).view("<u4")[..., 3]
    assert (bits[:, :3] == 0xFF0000).all() and (bits[:, 4:] == 0x0000FF).all()


def test_read_back_with_point_cloud2():
    z = depth()
    z[1, 1] = np.nan
    cloud = cloud_from_depth(z, colours(), CAMERA, header())
    points = point_cloud2.read_points(cloud, field_names=["x", "y", "z"], skip_nans=True)
    assert len(points) == 34
    np.testing.assert_allclose(points["z"], np.delete(z.ravel(), 8))
    np.testing.assert_allclose(points["x"][-1], (6 - 2.5) / 10 * 35 / 4)
    assert point_cloud2.read_points_numpy(cloud, field_names=["x", "y", "z"]).shape == (35, 3)


def test_inputs_are_not_changed():
    z, rgb = depth(), colours()
    z[0, 0] = np.inf
    before = z.copy(), rgb.copy()
    cloud_from_depth(z, rgb, CAMERA, header(), max_range_m=2.0)
    np.testing.assert_array_equal(z, before[0])
    np.testing.assert_array_equal(rgb, before[1])


def test_errors():
    with pytest.raises(CalibrationError, match="640x480"):
        cloud_from_depth(depth(), colours(), Intrinsics(640, 480, 1, 1, 1, 1), header())
    with pytest.raises(CalibrationError, match="8x5"):  # one column off, which a stride of 2 would hide
        cloud_from_depth(depth(), colours(), Intrinsics(8, 5, 1, 1, 1, 1), header(), stride=2)
    with pytest.raises(ConfigurationError, match="stride of 0"):
        cloud_from_depth(depth(), colours(), CAMERA, header(), stride=0)
    with pytest.raises(ImageError, match="float32"):
        cloud_from_depth(depth(), colours().astype(np.float32), CAMERA, header())


def test_without_a_range_only_what_is_infinitely_far_is_left_out():
    depth = np.array([[1e6, np.inf, np.nan]], np.float32)
    cloud = cloud_from_depth(depth, np.zeros((1, 3, 3), np.uint8), Intrinsics(3, 1, 2.0, 2.0, 1.0, 0.0), Header())
    xyz = np.frombuffer(bytes(cloud.data), np.float32).reshape(3, 4)[:, :3]
    assert xyz[0, 2] == 1e6 and np.isnan(xyz[1:]).all()


def test_points_that_are_too_near_are_left_out():
    z = depth()
    points = grid(filtered_cloud(z, colours(), CAMERA, header(), CloudSettings(min_range_m=2.0, max_range_m=4.0)))
    np.testing.assert_array_equal(np.isnan(points[..., :3]).any(axis=2), (z < 2.0) | (z > 4.0))


def test_without_colours_a_point_is_12_bytes():
    cloud = cloud_from_depth(depth(), None, CAMERA, header())
    assert [field.name for field in cloud.fields] == ["x", "y", "z"]
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (5, 7, 12, 84)
    xyz = np.frombuffer(cloud.data, "<f4").reshape(5, 7, 3)
    np.testing.assert_array_equal(xyz, grid(cloud_from_depth(depth(), colours(), CAMERA, header()))[..., :3])


def wall_with_a_box(size=(40, 60)):
    """Return depth of a wall at 4 m with a box at 2 m before it, one pixel of blur to its right, and the camera."""
    z = np.full(size, 4.0, np.float32)
    z[10:30, 20:40] = 2.0
    z[10:30, 40] = 3.0
    return z, Intrinsics(size[1], size[0], 50.0, 50.0, 29.5, 19.5)


@pytest.mark.parametrize("stride", [1, 4])
def test_flying_pixels_are_nan(stride):
    z, camera = wall_with_a_box()
    picture = np.zeros((*z.shape, 3), np.uint8)
    settings = CloudSettings(stride, edge_share=0.05, edge_width=0.1)
    missing = np.isnan(grid(filtered_cloud(z, picture, camera, header(), settings))[..., 2])
    expected = np.zeros(z.shape, bool)
    expected[10:30, 40] = True
    np.testing.assert_array_equal(missing, expected[::stride, ::stride])
    kept = filtered_cloud(z, picture, camera, header(), CloudSettings(stride))
    assert np.isfinite(grid(kept)[..., 2]).all()


def test_voxels_make_one_row_of_finite_points():
    """A wall of 8 x 8 pixels, 2 cm apart, in voxels of 8 cm whose edges lie between pixels: 2 x 2 means of 16."""
    z = np.full((8, 8), 2.0, np.float32)
    z[0, 0], z[0, 1] = np.nan, np.inf
    camera = Intrinsics(8, 8, 100.0, 100.0, 3.5, 3.5)
    rgb = np.zeros((8, 8, 3), np.uint8)
    rgb[:, 4:] = (200, 100, 50)
    cloud = filtered_cloud(z, rgb, camera, header(), CloudSettings(voxel_m=0.08))
    assert (cloud.height, cloud.width, cloud.point_step, cloud.is_dense) == (1, 4, 16, True)
    assert cloud.header == header()
    points = grid(cloud)[0]
    first = [-0.07, -0.05, -0.03, -0.01]
    xy = [(x, y) for x in first for y in first if (x, y) not in ((first[0], first[0]), (first[1], first[0]))]
    np.testing.assert_allclose(points[0, :3], [*np.mean(xy, axis=0), 2.0], rtol=1e-5)
    np.testing.assert_allclose(points[1:, :3], [[-0.04, 0.04, 2], [0.04, -0.04, 2], [0.04, 0.04, 2]], rtol=1e-5)
    assert points[:, 3].copy().view("<u4").tolist() == [0, 0, 0xC86432, 0xC86432]


def test_the_nearest_voxels_are_kept():
    z = np.full((20, 30), 4.0, np.float32)
    z[8:12, 10:15] = 1.0
    camera = Intrinsics(30, 20, 10.0, 10.0, 14.5, 9.5)
    settings = CloudSettings(voxel_m=0.01, most_points=20)
    cloud = filtered_cloud(z, None, camera, header(), settings)
    assert (cloud.width, cloud.row_step, len(cloud.data)) == (20, 240, 240)
    np.testing.assert_allclose(np.frombuffer(cloud.data, "<f4").reshape(-1, 3)[:, 2], 1.0)


def test_a_cloud_of_voxels_may_be_empty():
    cloud = filtered_cloud(depth(), None, CAMERA, header(), CloudSettings(voxel_m=0.1, min_range_m=100.0))
    assert (cloud.height, cloud.width, len(cloud.data)) == (1, 0, 0) and cloud.fields
