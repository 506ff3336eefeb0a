"""DisparityImage messages, written and read."""

import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import RegionOfInterest
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.geometry.stereo import StereoRig, depth_from_disparity
from depth_pro_ros.matching.disparity import Disparity
from depth_pro_ros.records import Intrinsics
from depth_pro_ros.ros.disparity_messages import decode_disparity, encode_disparity
from depth_pro_ros.ros.images import encode_depth

VALUES = np.array([[np.nan, 4.0, 19.9375], [8.5, np.nan, 12.0]], np.float32)
LEFT = Intrinsics(3, 2, 100.0, 100.0, 1.0, 0.5)
RIG = StereoRig(LEFT, 0.25, 3.0)
MATCH = Disparity(VALUES, VALUES * 0 + 0.3, 4, 20)


def floats(message):
    return np.frombuffer(bytes(message.image.data), np.float32).reshape(message.image.height, message.image.width)


def test_the_message_says_what_stereo_image_proc_says():
    """Difference of the principal points inside, so that Z = f T / d; no match is below min_disparity."""
    header = Header(frame_id="left_optical")
    header.stamp.sec, header.stamp.nanosec = 12, 345
    message = deserialize_message(serialize_message(encode_disparity(MATCH, RIG, header)), DisparityImage)
    assert message.header == message.image.header == header
    assert (message.f, message.t, message.delta_d) == (100.0, 0.25, 0.0625)
    assert (message.min_disparity, message.max_disparity) == (7.0, 22.0)
    np.testing.assert_array_equal(floats(message), [[6.0, 7.0, 22.9375], [11.5, 6.0, 15.0]])
    window = message.valid_window
    assert (window.x_offset, window.y_offset, window.width, window.height) == (3, 0, 0, 2)


def test_a_round_trip_keeps_depth():
    message = encode_disparity(MATCH, RIG, Header(), (0, 0, 3, 2))
    disparity, focal, baseline = decode_disparity(message)
    np.testing.assert_array_equal(disparity, VALUES + 3)
    expected = depth_from_disparity(VALUES, 100.0, 0.25, 3.0)
    np.testing.assert_allclose(depth_from_disparity(disparity, focal, baseline), expected)
    disparity[:] = 0  # a copy: the message stays
    assert floats(message)[1, 2] == 15.0


def message_of(values, **fields):
    """Return a message as another stereo node might write it."""
    image = encode_depth(np.array(values, np.float32), "32FC1", Header())
    return DisparityImage(
        **{"image": image, "f": 100.0, "t": 0.25, "min_disparity": 0.0, "max_disparity": 63.0, **fields}
    )


def test_every_way_to_say_that_there_is_no_match():
    message = message_of([[-1.0, np.nan, np.inf, 5.0, 0.0]])
    np.testing.assert_array_equal(decode_disparity(message)[0], [[np.nan, np.nan, np.nan, 5.0, 0.0]])


def test_outside_of_the_valid_window_is_nothing():
    message = message_of(np.full((4, 5), 9.0), valid_window=RegionOfInterest(x_offset=1, y_offset=2, width=3, height=1))
    expected = np.full((4, 5), np.nan)
    expected[2, 1:4] = 9.0
    np.testing.assert_array_equal(decode_disparity(message)[0], expected)


@pytest.mark.parametrize("fields", [{"t": 0.0}, {"t": -0.2}, {"f": 0.0}, {"f": float("nan")}, {"t": float("inf")}])
def test_no_depth_without_focal_length_and_baseline(fields):
    with pytest.raises(CalibrationError, match="both must be positive"):
        decode_disparity(message_of([[5.0]], **fields))


def test_another_encoding_is_refused():
    message = message_of([[5.0]])
    message.image.encoding = "16UC1"
    with pytest.raises(ImageError, match="'16UC1'"):
        decode_disparity(message)
