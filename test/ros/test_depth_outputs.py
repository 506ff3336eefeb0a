"""What depth_node makes of one frame by its parameters, without a topic between."""

import math
import struct

import cv2
import numpy as np
import pytest
from std_msgs.msg import Header

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs import pictures
from depth_pro_ros.records import DepthMap
from depth_pro_ros.ros import depth_outputs
from depth_pro_ros.ros.depth_outputs import COLOR, COMPRESSED, POINTS, POINTS_NAV, TYPES, makers
from depth_pro_ros.ros.depth_parameters import DEPTH_PARAMETERS
from depth_pro_ros.ros.depth_pipeline import DepthFrame

HEADER = Header(frame_id="camera_optical_frame")
DEFAULTS = {parameter.name: parameter.default for parameter in DEPTH_PARAMETERS}


def live(**changes):
    """Return depth_node's parameters with changes, dots written as double underscores."""
    return {**DEFAULTS, **{name.replace("__", "."): value for name, value in changes.items()}}


def frame(width=160, height=120):
    """Return a wall at 4 m, a box at 2 m with a blurred right edge before it, sky above, and unknown below."""
    depth = np.full((height, width), 4.0, np.float32)
    depth[40:80, 60:100], depth[40:80, 100] = 2.0, 3.0
    depth[:10], depth[-10:] = np.inf, np.nan
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0] = 200
    camera = pinhole.centred(width, height, 120.0)
    return DepthFrame(rgb, DepthMap(depth, camera, 120.0), None, {})


def only(topic, **changes):
    """Return the message of one topic, and that nothing else is made."""
    ((made, make),) = makers(frame(), live(**changes), HEADER, {topic}).items()
    message = make()
    assert made == topic and isinstance(message, TYPES[topic])
    return message


def columns(cloud):
    """Return the points (N, fields) of a cloud of float32."""
    return np.frombuffer(cloud.data, "<f4").reshape(-1, len(cloud.fields))


@pytest.mark.parametrize("topic", list(TYPES))
def test_only_what_is_asked_for_is_made(topic, monkeypatch):
    asked = []
    for name in depth_outputs.MAKERS:
        monkeypatch.setitem(depth_outputs.MAKERS, name, lambda *_, name=name: asked.append(name) or name)
    assert set(depth_outputs.MAKERS) == set(TYPES)
    make = makers(frame(), live(), HEADER, {topic})
    assert list(make) == [topic] and not asked
    assert make[topic]() == topic and asked == [topic]


def test_the_cloud_follows_its_parameters():
    whole = only(POINTS)
    assert (whole.height, whole.width, whole.point_step) == (60, 80, 16)
    z = columns(whole)[:, 2].reshape(60, 80)
    assert np.isnan(z[:5]).all() and np.isnan(z[-5:]).all()
    assert (z[20:40, 30:50] == 2.0).all() and (z[20:40, 50] == 3.0).all() and (z[20:40, 51:] == 4.0).all()
    filtered = columns(only(POINTS, cloud__edge_share=0.05))[:, 2].reshape(60, 80)
    assert np.isnan(filtered[20:40, 50]).all() and np.isnan(filtered).sum() == np.isnan(z).sum() + 20
    assert np.nanmin(columns(only(POINTS, cloud__min_range=3.5))[:, 2]) == 4.0
    assert np.nanmax(columns(only(POINTS, cloud__max_range=2.5))[:, 2]) == 2.0
    assert only(POINTS, cloud__color=False).point_step == 12
    voxels = only(POINTS, cloud__voxel=0.2)
    assert voxels.height == 1 and 0 < voxels.width < 60 * 80 / 4 and np.isfinite(columns(voxels)).all()


def test_the_small_cloud_is_bounded_and_keeps_the_nearest():
    cloud = only(POINTS_NAV)
    assert (cloud.height, cloud.is_dense, [f.name for f in cloud.fields]) == (1, True, ["x", "y", "z"])
    assert set(np.round(columns(cloud)[:, 2], 3).tolist()) == {2.0, 4.0}, "without flying pixels"
    assert 3.0 in columns(only(POINTS_NAV, cloud_nav__edge_share=0.0))[:, 2]
    few = only(POINTS_NAV, cloud_nav__max_points=20)
    assert few.width == 20 and (columns(few)[:, 2] == 2.0).all()
    assert len(columns(only(POINTS_NAV, cloud_nav__max_range=1.0))) == 0


def test_its_default_bound_fits_one_datagram():
    """12 bytes a point, and what DDS puts before: UDP carries at most 65507 bytes."""
    assert DEFAULTS["cloud_nav.max_points"] * 12 + 1000 <= 65507


def test_compressed_depth_follows_its_parameters():
    message = only(COMPRESSED)
    assert message.format == "32FC1; compressedDepth png" and message.header == HEADER
    assert struct.unpack_from("<iff", message.data) == (0, 10100.0, 1.0)
    limited = only(COMPRESSED, compressed_depth__depth_max=3.5, compressed_depth__depth_quantization=50.0)
    assert struct.unpack_from("<iff", limited.data) == pytest.approx((0, 2550.0, 1 - 2550 / 3.5))
    pixels = cv2.imdecode(np.frombuffer(limited.data, np.uint8)[12:], cv2.IMREAD_UNCHANGED)
    assert (pixels[40:80, 60:101] > 0).all() and np.count_nonzero(pixels) == 40 * 41
    assert only(COMPRESSED, depth_encoding="16UC1").format == "16UC1; compressedDepth png"
    assert len(only(COMPRESSED, compressed_depth__png_level=0).data) > 4 * len(message.data)


def test_colours_span_a_fixed_range_when_one_is_given():
    def shown(**changes):
        message = only(COLOR, **changes)
        return np.frombuffer(message.data, np.uint8).reshape(message.height, message.width, 3)

    depth = frame().depth.depth_m
    np.testing.assert_array_equal(shown(), pictures.colour_depth(depth))
    fixed = shown(color__near=1.0, color__far=8.0)
    np.testing.assert_array_equal(fixed, pictures.colour_depth(depth, 1.0, 8.0))
    assert not math.isclose(float(shown().mean()), float(fixed.mean()))
