"""depth_node as a process over real DDS, around a network that answers with a tilted plane (doubles.py)."""

import cv2
import numpy as np
import pytest
from ros import camera
from ros.camera import CX, CY, FX, FY, HEIGHT, WIDTH, TestCamera, array, plane
from sensor_msgs.msg import CompressedImage


def mosaic(rgb, pattern):
    """Return the Bayer mosaic of `rgb`; `pattern` names the top left 2x2 in reading order."""
    channels = ["rgb".index(letter) for letter in pattern]
    out = np.empty(rgb.shape[:2], np.uint8)
    for number, channel in enumerate(channels):
        out[number // 2 :: 2, number % 2 :: 2] = rgb[number // 2 :: 2, number % 2 :: 2, channel]
    return out


def yuv(red, green, blue):
    """ITU-R BT.601 with the studio range, as cameras send it."""
    y = 16 + (65.738 * red + 129.057 * green + 25.064 * blue) / 256
    u = 128 + (-37.945 * red - 74.494 * green + 112.439 * blue) / 256
    v = 128 + (112.439 * red - 94.154 * green - 18.285 * blue) / 256
    return round(y), round(u), round(v)


def uyvy():
    y, u, v = yuv(*RGB[0, 0])
    return np.tile(np.array([u, y, v, y], np.uint8), WIDTH * HEIGHT // 2)


def nv12():
    y, u, v = yuv(*RGB[0, 0])
    return np.concatenate((np.full(WIDTH * HEIGHT, y), np.tile([u, v], WIDTH * HEIGHT // 4))).astype(np.uint8)


def jpeg(rgb):
    return CompressedImage(format="jpeg", data=cv2.imencode(".jpg", rgb[..., ::-1])[1].tobytes())


RGB = camera.red_picture()
RED_MINUS_BLUE = (220 - 20) / 255

ENCODED = {
    "rgb8": (lambda: camera.image(RGB, "rgb8"), RED_MINUS_BLUE),
    "bgr8": (lambda: camera.image(RGB[..., ::-1], "bgr8"), RED_MINUS_BLUE),
    "bgra8": (lambda: camera.image(np.dstack((RGB[..., ::-1], RGB[..., 0])), "bgra8"), RED_MINUS_BLUE),
    "mono8": (lambda: camera.image(RGB[..., 1], "mono8"), 0.0),
    "bayer_rggb8": (lambda: camera.image(mosaic(RGB, "rggb"), "bayer_rggb8"), RED_MINUS_BLUE),
    "bayer_gbrg8": (lambda: camera.image(mosaic(RGB, "gbrg"), "bayer_gbrg8"), RED_MINUS_BLUE),
    "yuv422": (lambda: camera.image(uyvy(), "yuv422"), RED_MINUS_BLUE),
    "nv12": (lambda: camera.image(nv12(), "nv12", step=WIDTH), RED_MINUS_BLUE),
}


def check_geometry(answers, header):
    """All five outputs of one frame, against numbers worked out here."""
    for message in answers.values():
        assert (message.header.stamp, message.header.frame_id) == (header.stamp, header.frame_id)
    depth = array(answers["depth/image_rect"], np.float32)
    np.testing.assert_allclose(depth, plane(), atol=1e-3, rtol=0)
    info = answers["depth/camera_info"]
    assert (info.width, info.height, list(info.d)) == (WIDTH, HEIGHT, [0.0] * 5)
    np.testing.assert_allclose(info.k, [FX, 0, CX, 0, FY, CY, 0, 0, 1])
    np.testing.assert_allclose(info.p, [FX, 0, CX, 0, 0, FY, CY, 0, 0, 0, 1, 0])
    cloud = answers["points"]
    xyz = np.frombuffer(bytes(cloud.data), np.float32).reshape(cloud.height, cloud.width, 4)[..., :3]
    z = depth[::2, ::2]
    u, v = np.meshgrid(np.arange(0, WIDTH, 2), np.arange(0, HEIGHT, 2))
    np.testing.assert_allclose(xyz, np.stack(((u - CX) / FX * z, (v - CY) / FY * z, z), -1), rtol=1e-5, atol=1e-5)
    assert answers["depth/image_color"].encoding == "rgb8"


def check_colour(answers, red_minus_blue):
    """The stand-in tells the colour that reached the network by its field of view, which the focal length shows."""
    fov = np.radians(40 + 40 * red_minus_blue)
    np.testing.assert_allclose(answers["focal/camera_info"].k[0], WIDTH / 2 / np.tan(fov / 2), rtol=0.02)


def test_depth_cloud_and_colour_are_right_in_every_encoding(start, peer):
    start("plane", focal__latch=False, focal__window=1)
    device = TestCamera(peer)
    device.wait_for_node()
    for name, (make, red_minus_blue) in ENCODED.items():
        header = device.send(make(), camera.info())
        answers = device.answer(header)
        check_geometry(answers, header)
        check_colour(answers, red_minus_blue)
        assert name


def test_compressed_images(start, peer):
    start("plane", image_transport="compressed", focal__latch=False, focal__window=1)
    device = TestCamera(peer, compressed=True)
    device.wait_for_node()
    header = device.send(jpeg(RGB), camera.info())
    answers = device.answer(header)
    check_geometry(answers, header)
    check_colour(answers, RED_MINUS_BLUE)


def test_the_focal_length_is_estimated_where_camera_info_knows_none(start, peer):
    """Zeros in K mean an uncalibrated camera; the estimate is held still once the window is full."""
    start("plane", focal__window=2)
    device = TestCamera(peer)
    device.wait_for_node()
    unknown = camera.info(fx=0.0, fy=0.0, cx=0.0, cy=0.0)
    unknown.k = [0.0] * 9
    expected = WIDTH / 2 / np.tan(np.radians(40 + 40 * RED_MINUS_BLUE) / 2)
    for _ in range(2):
        answers = device.answer(device.send(camera.image(RGB, "rgb8"), unknown))
    np.testing.assert_allclose(answers["depth/camera_info"].k[0], expected, rtol=1e-3)
    np.testing.assert_allclose(answers["depth/camera_info"].k[2], (WIDTH - 1) / 2)
    np.testing.assert_allclose(array(answers["depth/image_rect"], np.float32), plane(fx=expected), atol=2e-3)
    blue = device.answer(device.send(camera.image(RGB[..., ::-1], "rgb8"), unknown))
    np.testing.assert_allclose(blue["depth/camera_info"].k[0], expected, rtol=1e-3)  # latched
    small = camera.red_picture(320, 240)[..., ::-1]
    other = device.answer(device.send(camera.image(small, "rgb8", 320, 240), unknown))
    np.testing.assert_allclose(
        other["depth/camera_info"].k[0], 160 / np.tan(np.radians(40 - 40 * RED_MINUS_BLUE) / 2), rtol=1e-3
    )


def test_outputs_at_half_size_in_millimetres(start, peer):
    start("plane", output_scale=0.5, depth_encoding="16UC1", cloud__stride=1)
    device = TestCamera(peer)
    device.wait_for_node()
    answers = device.answer(device.send(camera.image(RGB, "rgb8"), camera.info()))
    depth, info = answers["depth/image_rect"], answers["depth/camera_info"]
    assert (depth.width, depth.height, depth.encoding) == (320, 240, "16UC1")
    np.testing.assert_allclose(array(depth, np.uint16) / 1000, plane(320, 240), atol=2e-3)
    np.testing.assert_allclose(info.k, [FX / 2, 0, (CX + 0.5) / 2 - 0.5, 0, FY / 2, (CY + 0.5) / 2 - 0.5, 0, 0, 1])
    np.testing.assert_allclose(np.asarray(info.p).reshape(3, 4)[:, :3].ravel(), info.k)
    assert (answers["points"].width, answers["points"].height) == (320, 240)


def test_a_raw_image_is_rectified_by_its_own_calibration(start, peer):
    """With barrel distortion and P given: camera_info is P's, and what the raw image lacks is unknown, not invented."""
    start("plane")
    device = TestCamera(peer)
    device.wait_for_node()
    bent = camera.info(d=[0.2, 0.05, 0.0, 0.0, 0.0])  # pincushion: rectified corners lie outside the raw image
    answers = device.answer(device.send(camera.image(RGB, "rgb8"), bent))
    np.testing.assert_allclose(answers["depth/camera_info"].k, [FX, 0, CX, 0, FY, CY, 0, 0, 1])
    assert not any(answers["depth/camera_info"].d)
    depth = array(answers["depth/image_rect"], np.float32)
    x, y = (0 - CX) / FX, (0 - CY) / FY
    r2 = x * x + y * y
    corner_u = FX * x * (1 + 0.2 * r2 + 0.05 * r2 * r2) + CX
    assert corner_u < -0.5 and np.isnan(depth[0, 0])
    middle = depth[HEIGHT // 2 - 100 : HEIGHT // 2 + 100, WIDTH // 2 - 100 : WIDTH // 2 + 100]
    np.testing.assert_allclose(middle, plane()[140:340, 220:420], atol=1e-3)


def test_far_is_infinite_and_the_cloud_ends_at_its_range(start, peer):
    start("plane", max_range=3.0, cloud__max_range=2.5, cloud__stride=1)
    device = TestCamera(peer)
    device.wait_for_node()
    answers = device.answer(device.send(camera.image(RGB, "rgb8"), camera.info()))
    depth = array(answers["depth/image_rect"], np.float32)
    truth = plane()
    assert np.isposinf(depth[truth > 3.001]).all() and np.isfinite(depth[truth < 2.999]).all()
    z = np.frombuffer(bytes(answers["points"].data), np.float32).reshape(HEIGHT, WIDTH, 4)[..., 2]
    assert np.isnan(z[truth > 2.501]).all() and np.isfinite(z[truth < 2.499]).all()


@pytest.mark.parametrize("topic", list(camera.OUTPUTS))
def test_each_output_comes_alone(start, peer, topic):
    """With one subscriber, only its topic is made."""
    start("plane")
    device = TestCamera(peer, {topic: camera.OUTPUTS[topic]})
    device.wait_for_node()
    header = device.send(camera.image(RGB, "rgb8"), camera.info())
    assert device.answer(header)[topic].header.frame_id == header.frame_id


def test_nothing_is_computed_without_subscribers(start, peer):
    start("plane")
    device = TestCamera(peer, {})
    device.wait_for_node()
    for number in ("1", "2", "3"):
        device.send(camera.image(RGB, "rgb8"), camera.info())
        peer.wait(lambda number=number: peer.status().get("received") == number, what=f"image {number} to be counted")
    assert peer.status()["published"] == "0" and "network_ms_p50" not in peer.status()
