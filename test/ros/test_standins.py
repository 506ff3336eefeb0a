"""The stand-ins against hand-made messages, and the choice between them and the real packages.

Where the real packages are installed the same tests run on them too, which is what makes a stand-in one.
"""

import math
import subprocess
import sys
import textwrap

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header

from depth_pro_ros.ros import standins
from depth_pro_ros.ros.standins import cv_bridge_standin, point_cloud2_standin
from depth_pro_ros.ros.standins import tf_transformations_standin as tf_standin


def both(real: str, standin):
    """Return the stand-in and, where it works, the real package as pytest parameters."""
    chosen = standins.choose(real)
    return [pytest.param(standin, id="standin")] + ([pytest.param(chosen, id="real")] if chosen != standin else [])


BRIDGES = both("cv_bridge", cv_bridge_standin)
CLOUDS = both("point_cloud2", point_cloud2_standin)
TRANSFORMS = both("tf_transformations", tf_standin)


@pytest.mark.parametrize("module", BRIDGES)
@pytest.mark.parametrize(
    ("encoding", "dtype", "shape"),
    [("rgb8", "u1", (3, 5, 3)), ("bgra8", "u1", (3, 5, 4)), ("mono8", "u1", (3, 5)), ("mono16", "u2", (3, 5))]
    + [("16UC1", "u2", (3, 5)), ("32FC1", "f4", (3, 5)), ("64FC2", "f8", (3, 5, 2)), ("8SC1", "i1", (3, 5))]
    + [("bayer_grbg8", "u1", (3, 5)), ("bayer_rggb16", "u2", (3, 5)), ("yuv422", "u1", (3, 5, 2))],
)
def test_an_image_there_and_back(module, encoding, dtype, shape):
    pixels = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    head = Header(frame_id="camera")
    msg = module.CvBridge().cv2_to_imgmsg(pixels, encoding, header=head)
    assert (msg.height, msg.width, msg.encoding, msg.is_bigendian) == (3, 5, encoding, 0)
    assert msg.step * 3 == pixels.nbytes and msg.data.tobytes() == pixels.tobytes() and msg.header.frame_id == "camera"
    back = module.CvBridge().imgmsg_to_cv2(msg)
    assert back.dtype == pixels.dtype
    np.testing.assert_array_equal(back, pixels)


@pytest.mark.parametrize("module", BRIDGES)
def test_passthrough_names_the_opencv_type(module):
    assert module.CvBridge().cv2_to_imgmsg(np.zeros((2, 2, 3), np.uint8)).encoding == "8UC3"
    assert module.CvBridge().cv2_to_imgmsg(np.zeros((2, 2), np.float32)).encoding == "32FC1"


@pytest.mark.parametrize("module", BRIDGES)
def test_padded_rows_are_cut(module):
    msg = Image(height=2, width=2, encoding="mono8", step=3, data=[1, 2, 99, 3, 4, 99])
    assert module.CvBridge().imgmsg_to_cv2(msg).tolist() == [[1, 2], [3, 4]]


def test_padding_that_is_no_whole_pixel():
    msg = Image(height=2, width=1, encoding="rgb8", step=4, data=[1, 2, 3, 99, 4, 5, 6, 99])
    assert cv_bridge_standin.CvBridge().imgmsg_to_cv2(msg).tolist() == [[[1, 2, 3]], [[4, 5, 6]]]


def test_big_endian_words_arrive_native():
    msg = Image(height=1, width=2, encoding="mono16", step=4, is_bigendian=1, data=[1, 2, 3, 4])
    pixels = cv_bridge_standin.CvBridge().imgmsg_to_cv2(msg)
    assert pixels.dtype == np.uint16 and pixels.dtype.isnative and pixels.tolist() == [[0x0102, 0x0304]]


@pytest.mark.parametrize("module", BRIDGES)
def test_bridge_errors(module):
    bridge = module.CvBridge()
    assert issubclass(module.CvBridgeError, TypeError)
    with pytest.raises(module.CvBridgeError, match="rgb8.*8UC1"):
        bridge.cv2_to_imgmsg(np.zeros((2, 2), np.uint8), "rgb8")
    with pytest.raises(module.CvBridgeError):
        bridge.imgmsg_to_cv2(Image(height=1, width=1, encoding="rgb9", step=3, data=[0, 0, 0]))
    with pytest.raises(TypeError):
        bridge.cv2_to_imgmsg([[1]])


def test_the_standin_refuses_to_convert():
    bridge = cv_bridge_standin.CvBridge()
    msg = Image(height=1, width=1, encoding="rgb8", step=3, data=[1, 2, 3])
    assert bridge.imgmsg_to_cv2(msg, "rgb8").tolist() == [[[1, 2, 3]]]
    with pytest.raises(cv_bridge_standin.CvBridgeError, match="rgb8 to bgr8.*passthrough"):
        bridge.imgmsg_to_cv2(msg, desired_encoding="bgr8")
    with pytest.raises(cv_bridge_standin.CvBridgeError, match="passthrough"):
        bridge.compressed_imgmsg_to_cv2(CompressedImage(), "rgb8")


@pytest.mark.parametrize("module", BRIDGES)
def test_compressed_pictures_come_as_stored(module):
    bgr = np.array([[(255, 0, 0), (0, 255, 0)]], np.uint8)
    msg = CompressedImage(format="png", data=cv2.imencode(".png", bgr)[1].tobytes())
    np.testing.assert_array_equal(module.CvBridge().compressed_imgmsg_to_cv2(msg), bgr)


def xyz_and_ring() -> list[PointField]:
    fields = [PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, n in enumerate("xyz")]
    return [*fields, PointField(name="ring", offset=12, datatype=PointField.UINT16, count=1)]


POINTS = [(1.0, 2.0, 3.0, 7), (math.nan, 5.0, 6.0, 8), (-1.5, 0.25, 9.0, 65535)]


@pytest.mark.parametrize("module", CLOUDS)
def test_a_cloud_there_and_back(module):
    cloud = module.create_cloud(Header(frame_id="lidar"), xyz_and_ring(), POINTS)
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (1, 3, 14, 42)
    assert (cloud.header.frame_id, cloud.is_dense, cloud.is_bigendian) == ("lidar", False, False)
    assert cloud.data[28:].tobytes() == np.array([-1.5, 0.25, 9.0], "<f4").tobytes() + b"\xff\xff"
    points = module.read_points(cloud)
    assert points.dtype.names == ("x", "y", "z", "ring")
    np.testing.assert_array_equal(points["x"], [1.0, np.nan, -1.5])
    np.testing.assert_array_equal(points["ring"], [7, 8, 65535])


@pytest.mark.parametrize("module", CLOUDS)
def test_reading_a_part_of_a_cloud(module):
    cloud = module.create_cloud(Header(), xyz_and_ring(), POINTS)
    assert module.read_points(cloud, field_names=["z", "x"], skip_nans=True).tolist() == [(3.0, 1.0), (9.0, -1.5)]
    assert module.read_points(cloud, ["ring"], uvs=[2, 0]).tolist() == [(65535,), (7,)]
    plain = module.read_points_numpy(cloud, ["x", "y", "z"])
    assert plain.dtype == np.float32
    np.testing.assert_array_equal(plain[0], [1, 2, 3])
    with pytest.raises(AssertionError, match="same datatype"):
        module.read_points_numpy(cloud)
    with pytest.raises(AssertionError, match="field"):
        module.read_points(cloud, field_names=["intensity"])


@pytest.mark.parametrize("module", CLOUDS)
def test_plain_arrays_make_clouds_of_one_type(module):
    xyz = np.arange(6, dtype=np.float32).reshape(2, 3)
    cloud = module.create_cloud(Header(), xyz_and_ring()[:3], xyz)
    np.testing.assert_array_equal(module.read_points_numpy(cloud), xyz)
    with pytest.raises(AssertionError, match="same datatype"):
        module.create_cloud(Header(), xyz_and_ring(), np.zeros((2, 4), np.float32))
    with pytest.raises(AssertionError):
        module.create_cloud(Header(), xyz_and_ring(), np.zeros(2, [("x", "f4")]))


@pytest.mark.parametrize("module", CLOUDS)
def test_an_organised_array_counts_its_first_axis_as_width(module):
    """The package's own order, which callers must know: clouds.py avoids it by passing flat arrays."""
    points = np.zeros((4, 2), [(n, "f4") for n in "xyz"])
    points["x"] = np.arange(8).reshape(4, 2)
    cloud = module.create_cloud(Header(), xyz_and_ring()[:3], points)
    assert (cloud.width, cloud.height, cloud.row_step) == (4, 2, 48)
    back = module.read_points(cloud, reshape_organized_cloud=True)
    assert back.shape == (4, 2)
    np.testing.assert_array_equal(back["x"], points["x"])


@pytest.mark.parametrize("module", CLOUDS)
def test_gaps_and_repeated_fields(module):
    fields = [
        PointField(name="pair", offset=4, datatype=PointField.INT16, count=2),
        PointField(name="", offset=12, datatype=PointField.FLOAT64, count=1),
    ]
    dtype = module.dtype_from_fields(fields, point_step=24)
    assert dtype.names == ("pair_0", "pair_1", "unnamed_field_1") and dtype.itemsize == 24
    assert [dtype.fields[name][1] for name in dtype.names] == [4, 6, 12]
    with pytest.raises(AssertionError, match="Duplicate"):
        module.dtype_from_fields([fields[0], fields[0]])


@pytest.mark.parametrize("module", CLOUDS)
def test_big_endian_clouds(module):
    cloud = PointCloud2(height=1, width=1, fields=xyz_and_ring()[:3], point_step=12, row_step=12, is_bigendian=True)
    cloud.data.frombytes(np.array([1.5, 2.5, -3.0], ">f4").tobytes())
    assert module.read_points(cloud).tolist() == [(1.5, 2.5, -3.0)]


def test_reading_a_big_endian_cloud_leaves_it_alone():
    cloud = PointCloud2(height=1, width=1, fields=xyz_and_ring()[:1], point_step=4, row_step=4, is_bigendian=True)
    cloud.data.frombytes(np.array([1.5], ">f4").tobytes())
    assert point_cloud2_standin.read_points(cloud).tolist() == point_cloud2_standin.read_points(cloud).tolist()


@pytest.mark.parametrize("module", TRANSFORMS)
def test_quaternions_put_w_last(module):
    """A quarter turn about z takes x to y: (0, 0, sin 45, cos 45)."""
    quarter = math.sqrt(0.5)
    quaternion = module.quaternion_from_euler(0.0, 0.0, math.pi / 2)
    np.testing.assert_allclose(quaternion, [0, 0, quarter, quarter], atol=1e-12)
    matrix = module.quaternion_matrix([0, 0, quarter, quarter])
    assert matrix.shape == (4, 4)
    np.testing.assert_allclose(matrix @ [1, 0, 0, 1], [0, 1, 0, 1], atol=1e-12)
    matrix[:3, 3] = 5, 6, 7
    np.testing.assert_allclose(module.quaternion_from_matrix(matrix), [0, 0, quarter, quarter], atol=1e-12)
    np.testing.assert_allclose(module.euler_from_quaternion([quarter, 0, 0, quarter]), [math.pi / 2, 0, 0], atol=1e-12)


@pytest.mark.parametrize("module", TRANSFORMS)
def test_euler_angles_there_and_back(module):
    for axes in ("sxyz", "rzyx", "syxz"):
        angles = (0.3, -0.7, 1.9)
        quaternion = module.quaternion_from_euler(*angles, axes)
        np.testing.assert_allclose(module.euler_from_quaternion(quaternion, axes), angles, atol=1e-9)


def test_yaw_is_applied_last():
    """Fixed axes x, y, z: R = Rz Ry Rx, so x goes to yaw and pitch of it only (REP 103)."""
    matrix = tf_standin.quaternion_matrix(tf_standin.quaternion_from_euler(0.4, 0.2, 0.1))
    expected = [math.cos(0.1) * math.cos(0.2), math.sin(0.1) * math.cos(0.2), -math.sin(0.2)]
    np.testing.assert_allclose(matrix[:3, 0], expected, atol=1e-12)


def chosen_with(tmp_path, package: str, body: str, name: str) -> tuple[str, str]:
    """Return which module a fresh interpreter takes for `name`, and its stderr, where `package` holds `body`."""
    folder = tmp_path / package.replace(".", "/")
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text(textwrap.dedent(body))
    code = f"""
        import sys
        sys.path.insert(0, {str(tmp_path)!r})
        from depth_pro_ros.ros import standins
        print(standins.choose({name!r}).__name__, standins.choose({name!r}).__name__)
    """
    run = [sys.executable, "-W", "always", "-c", textwrap.dedent(code)]
    done = subprocess.run(run, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout.split()[0], done.stderr


@pytest.mark.parametrize(
    "body",
    [
        "raise SystemError('initialization of cv_bridge_boost raised unreported exception')",
        "raise AttributeError('_ARRAY_API not found')",
        "raise ImportError('numpy.core.multiarray failed to import')",
        "import cv_bridge.boost",
        "x = 1",
        """
        class CvBridge:
            def cv2_to_imgmsg(self, pixels, encoding): return pixels
            def imgmsg_to_cv2(self, message): return message & 255
        """,
    ],
)
def test_a_broken_cv_bridge_is_replaced_with_one_warning(tmp_path, body):
    name, stderr = chosen_with(tmp_path, "cv_bridge", body, "cv_bridge")
    assert name == "depth_pro_ros.ros.standins.cv_bridge_standin"
    assert stderr.count("RuntimeWarning: cv_bridge is installed but does not work here") == 1


def test_a_working_package_is_taken_without_a_word(tmp_path):
    body = """
        class CvBridge:
            def cv2_to_imgmsg(self, pixels, encoding): return pixels
            def imgmsg_to_cv2(self, message): return message
    """
    name, stderr = chosen_with(tmp_path, "cv_bridge", body, "cv_bridge")
    assert name == "cv_bridge" and "RuntimeWarning" not in stderr


def test_the_names_are_those_of_the_chosen_modules():
    assert standins.CvBridge is standins.choose("cv_bridge").CvBridge
    assert standins.point_cloud2 is standins.choose("point_cloud2")
    assert standins.tf_transformations is standins.choose("tf_transformations")
    with pytest.raises(AttributeError, match="tf2_ros"):
        _ = standins.tf2_ros
