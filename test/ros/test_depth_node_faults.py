"""Bad input to depth_node over real DDS: each fault is said in the diagnostics, and the next good frame works."""

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from ros import camera
from ros.camera import HEIGHT, WIDTH, TestCamera
from sensor_msgs.msg import CompressedImage

RGB = camera.red_picture()
DEPTH = {"depth/image_rect": camera.OUTPUTS["depth/image_rect"]}


def good():
    return camera.image(RGB, "rgb8"), camera.info()


def big_endian_16():
    return camera.image(RGB[..., 0].astype(">u2") << 8, "mono16", is_bigendian=1), camera.info()


# name → (message and camera_info, what the diagnostics must say)
FAULTS = {
    "unknown encoding": (lambda: (camera.image(RGB, "rgb565"), camera.info()), "rgb565"),
    "step too small": (lambda: (camera.image(RGB, "rgb8", step=100), camera.info()), "step"),
    "short data": (lambda: (camera.image(RGB[:-1], "rgb8", step=3 * WIDTH), camera.info()), "bytes"),
    "zero size": (lambda: (camera.image(RGB, "rgb8", width=0, height=0, step=0), camera.info()), "0x0"),
    "NaN in K": (lambda: (camera.image(RGB, "rgb8"), camera.info(fx=float("nan"))), "nan"),
    "camera_info of another size": (lambda: (camera.image(RGB, "rgb8"), camera.info(320, 240)), "320x240"),
    "unknown distortion": (
        lambda: (camera.image(RGB, "rgb8"), camera.info(distortion_model="bent", d=[0.1])),
        "bent",
    ),
}


def test_each_fault_is_told_and_the_next_good_frame_works(start, peer):
    process = start("plane")
    device = TestCamera(peer, DEPTH)
    device.wait_for_node()
    for rejected, (make, words) in enumerate(FAULTS.values(), start=1):
        device.send(*make())
        peer.wait(lambda n=rejected: peer.status().get("rejected") == str(n), 20, f"rejection {rejected}")
        status = peer.status()
        assert words in status["message"] and status["level"] == DiagnosticStatus.WARN, status
        device.answer(device.send(*good()))
    peer.wait(lambda: peer.status()["level"] == DiagnosticStatus.OK, 20, "the state to be good again")
    assert process.running


def test_big_endian_and_changing_sizes_are_read(start, peer):
    start("plane")
    device = TestCamera(peer, DEPTH)
    device.wait_for_node()
    assert device.answer(device.send(*big_endian_16()))["depth/image_rect"].width == WIDTH
    for width, height in ((320, 240), (WIDTH, HEIGHT), (101, 67)):
        message = camera.image(camera.red_picture(width, height), "rgb8", width, height)
        answer = device.answer(device.send(message, camera.info(width, height, cx=width / 2, cy=height / 2)))
        assert (answer["depth/image_rect"].width, answer["depth/image_rect"].height) == (width, height)


def test_damaged_compressed_images(start, peer):
    start("plane", image_transport="compressed", focal__source="estimate")
    device = TestCamera(peer, DEPTH, compressed=True)
    device.wait_for_node()
    for count, data in enumerate((b"", b"\xff\xd8 no jpeg"), start=1):
        device.send(CompressedImage(format="jpeg", data=data))
        peer.wait(lambda n=count: peer.status().get("rejected") == str(n), 20, f"rejection {count}")


def test_camera_info_demanded_but_absent(start, peer):
    start("plane", focal__source="camera_info")
    device = TestCamera(peer, DEPTH)
    device.wait_for_node()
    device.send(camera.image(RGB, "rgb8"))
    peer.wait(lambda: "camera_info" in peer.status().get("message", ""), 20, "the missing camera_info to be told")
    device.answer(device.send(*good()))


@pytest.mark.parametrize(
    ("kind", "counter", "words", "level"),
    [
        ("full", "rejected", "out of memory", DiagnosticStatus.WARN),
        ("faulty", "failed", "a bug (pretended)", DiagnosticStatus.ERROR),
    ],
)
def test_a_failing_network_costs_its_frame_only(start, peer, kind, counter, words, level):
    """Out of memory, and a fault that nobody foresaw: the frame is dropped and counted, the node lives."""
    process = start(kind)
    device = TestCamera(peer, DEPTH)
    device.wait_for_node()
    device.answer(device.send(*good()))
    device.send(*good())
    peer.wait(lambda: peer.status().get(counter) == "1", 20, f"{counter} to be counted")
    assert words in peer.status()["message"] and peer.status()["level"] == level
    device.answer(device.send(*good()))
    assert process.running
