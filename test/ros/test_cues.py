"""Cues by stamp: which frame takes which, however many come."""

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from sensor_msgs.msg import Image, PointCloud2, PointField
from std_msgs.msg import Header

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.geometry.pinhole import centred
from depth_pro_ros.ros.cues import CueBuffer, check_frame, depth_samples, landmark_samples

SETTINGS = {"fusion.depth_sigma": 0.02, "fusion.landmark_sigma": 0.05}


def head(ms, frame="camera"):
    return Header(stamp=Time(sec=1, nanosec=int(ms * 1e6)), frame_id=frame)


def cue(ms):
    return Image(header=head(ms))


def taken(buffer, ms):
    return {topic: msg.header.stamp.nanosec / 1e6 for topic, msg in buffer.take(head(ms)).items()}


def test_a_frame_takes_the_nearest_cue_within_the_tolerance():
    buffer = CueBuffer(0.02)
    for ms in (100, 115, 140):
        buffer.add("cues/depth", cue(ms))
    buffer.pin(head(110))
    assert taken(buffer, 110) == {"cues/depth": 115}
    assert taken(buffer, 110) == {}, "a frame takes its cues once"
    buffer.pin(head(180))
    assert taken(buffer, 180) == {}


def test_cues_of_a_frame_in_hand_are_kept_however_many_come_meanwhile():
    buffer = CueBuffer(0.005)
    buffer.add("cues/depth", cue(100))
    buffer.pin(head(100))
    buffer.add("cues/landmarks", cue(101))
    for ms in range(110, 300, 10):
        buffer.add("cues/depth", cue(ms))
    buffer.add("cues/disparity", cue(99))  # late
    assert set(buffer.peek(head(100))) == {"cues/depth", "cues/landmarks", "cues/disparity"}
    assert taken(buffer, 100) == {"cues/depth": 100, "cues/landmarks": 101, "cues/disparity": 99}


def test_cues_of_frames_that_are_lost_are_not_kept_for_ever():
    buffer = CueBuffer(0.005)
    for ms in range(0, 900, 10):
        buffer.add("cues/depth", cue(ms))
        buffer.pin(head(ms))
    assert taken(buffer, 0) == {} and taken(buffer, 850) == {}
    assert [taken(buffer, ms) for ms in (860, 890)] == [{"cues/depth": 860}, {"cues/depth": 890}]


def test_frames_must_agree_where_both_are_named():
    check_frame(cue(1), head(1))
    check_frame(Image(header=head(1, "")), head(1))
    with pytest.raises(CalibrationError, match="'lidar'.*'camera'"):
        check_frame(Image(header=head(1, "lidar")), head(1))


def test_depth_cue_of_another_size_lands_on_the_image_by_the_half_pixel_rule():
    depth = np.array([[1000, 0], [3000, 4000]], np.uint16)
    msg = Image(width=2, height=2, encoding="16UC1", step=4, data=depth.tobytes())
    samples = depth_samples(msg, centred(8, 6, 5.0), SETTINGS)
    np.testing.assert_allclose(samples.depth_m, [1, 3, 4])
    np.testing.assert_allclose(samples.sigma_m, [0.02, 0.06, 0.08])
    np.testing.assert_allclose(samples.u, [1.5, 1.5, 5.5])  # (0 + 0.5) * 4 - 0.5
    np.testing.assert_allclose(samples.v, [1.0, 4.0, 4.0])  # (0 + 0.5) * 3 - 0.5


def test_landmarks_with_and_without_sigma():
    names = ("x", "y", "z")
    fields = [PointField(name=n, offset=4 * i, datatype=PointField.FLOAT32, count=1) for i, n in enumerate(names)]
    points = np.array([[0.0, 0.0, 2.0], [0.4, -0.4, 2.0], [0, 0, -1]], np.float32)
    msg = PointCloud2(width=3, height=1, fields=fields, point_step=12, row_step=36, data=points.tobytes())
    samples = landmark_samples(msg, centred(9, 7, 10.0), SETTINGS)
    np.testing.assert_allclose(samples.u, [4, 6], atol=1e-6)
    np.testing.assert_allclose(samples.v, [3, 1], atol=1e-6)
    np.testing.assert_allclose(samples.sigma_m, [0.1, 0.1])
    with pytest.raises(ImageError, match="needs x, y and z"):
        landmark_samples(PointCloud2(fields=fields[:2]), centred(9, 7, 10.0), SETTINGS)
