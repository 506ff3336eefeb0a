"""Compressed depth against the plugin's documented layout, decoded here with struct and cv2 alone."""

import struct
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from depth_pro_ros.errors import ConfigurationError, ImageError
from depth_pro_ros.messages.compressed_depth import compressed_depth, decode_compressed_depth, format_of

NAN, INF = np.nan, np.inf


def parts(data):
    """Return the header's format, A and B, and the PNG's pixels."""
    kind, a, b = struct.unpack_from("<iff", data)
    return kind, a, b, cv2.imdecode(np.frombuffer(data, np.uint8)[12:], cv2.IMREAD_UNCHANGED)


def as_the_plugin_reads(data):
    """Return metres as the plugin's decoder works them out: single precision, 0 is NaN, and C's division by zero."""
    _, a, b, pixels = parts(data)
    depth = [np.float32(a) / (np.float32(q) - np.float32(b)) if q else NAN for q in pixels.ravel().tolist()]
    return np.array(depth, np.float32).reshape(pixels.shape)


def message(data, encoding="32FC1"):
    return SimpleNamespace(format=format_of(encoding), data=data)


def random_depth(low=0.2, high=80.0, seed=0):
    depth = np.exp(np.random.default_rng(seed).uniform(np.log(low), np.log(high), (48, 64))).astype(np.float32)
    depth[0, :4] = NAN, INF, NAN, INF
    return depth


def test_format_names_the_encoding_and_the_codec():
    assert format_of("32FC1") == "32FC1; compressedDepth png"
    assert format_of("16UC1") == "16UC1; compressedDepth png"


def test_float_depth_by_hand():
    """A = 100 * 101 = 10100, B = 1: 2 m is 5051, 10 m 1011, 3 m 3366.67 + 1, rounded 3368; sky is 1, unknown 0."""
    depth = np.array([[2, 10, 3, INF, NAN]], np.float32)
    kind, a, b, pixels = parts(compressed_depth(depth))
    assert (kind, a, b) == (0, 10100.0, 1.0)
    assert pixels.dtype == np.uint16 and pixels.tolist() == [[5051, 1011, 3368, 1, 0]]


def test_float_depth_with_the_plugins_range():
    """As the plugin has it by default: depth_max 10 gives B = 1 - 1010; 10 m and farther is unknown."""
    depth = np.array([[2, 9.999, 10, 11, INF]], np.float32)
    _, a, b, pixels = parts(compressed_depth(depth, depth_max_m=10.0))
    assert (a, b) == (10100.0, -1009.0)
    assert pixels.tolist() == [[4041, 1, 0, 0, 0]]


@pytest.mark.parametrize("quantization", [30.0, 100.0, 150.0])
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_the_plugin_reads_float_depth_to_half_a_step(quantization):
    depth = random_depth()
    a = quantization * (quantization + 1)
    depth[depth < a / 65000] = 1.0
    read = as_the_plugin_reads(compressed_depth(depth, depth_quantization=quantization))
    known = np.isfinite(depth)
    step = 1 / (1 / depth[known].astype(np.float64) - 0.5 / a) - depth[known]
    assert (np.abs(read[known] - depth[known]) <= step + 1e-5 * depth[known]).all()
    assert np.isnan(read[0, [0, 2]]).all() and np.isposinf(read[0, [1, 3]]).all()
    assert np.isfinite(read[known]).all() and (read[known] > 0).all()


@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_very_near_and_very_far_do_not_wrap_round():
    depth = np.array([[1e-6, 0.1, 0.154, 0.155, 9000.0, 30000.0, 1e6]], np.float32)
    read = as_the_plugin_reads(compressed_depth(depth))[0]
    nearest = 10100 / 65534
    np.testing.assert_allclose(read[:3], nearest, rtol=1e-3)
    np.testing.assert_allclose(read[3], 0.155, rtol=1e-4)
    assert read[4] == 10100 and np.isposinf(read[5:]).all()


def test_zero_and_negative_depth_is_unknown():
    for depth_max in (10.0, INF):
        data = compressed_depth(np.array([[0.0, -1.0, -INF, 1.0]], np.float32), depth_max_m=depth_max)
        assert (parts(data)[3] == 0).tolist() == [[True, True, True, False]]


def test_millimetres_are_kept_as_they_are():
    depth = np.array([[0.001, 1.2346, 65.535, 66.0, INF, NAN]], np.float32)
    kind, a, b, pixels = parts(compressed_depth(depth, "16UC1"))
    assert (kind, a, b) == (0, 0.0, 0.0)
    assert pixels.dtype == np.uint16 and pixels.tolist() == [[1, 1235, 65535, 0, 0, 0]]
    assert parts(compressed_depth(depth, "16UC1", depth_max_m=2.0))[3].tolist() == [[1, 1235, 0, 0, 0, 0]]


@pytest.mark.parametrize("encoding", ["32FC1", "16UC1"])
@pytest.mark.parametrize("level", [0, 1, 9])
@pytest.mark.filterwarnings("ignore:divide by zero:RuntimeWarning")
def test_our_decoder_reads_what_the_plugin_would(encoding, level):
    data = compressed_depth(random_depth(), encoding, png_level=level)
    read = decode_compressed_depth(message(data, encoding))
    assert read.dtype == np.float32
    if encoding == "32FC1":
        np.testing.assert_array_equal(read, as_the_plugin_reads(data))
    else:
        pixels = parts(data)[3]
        np.testing.assert_array_equal(np.isnan(read), pixels == 0)
        np.testing.assert_allclose(read[pixels > 0], pixels[pixels > 0] / 1000, rtol=1e-6)


def test_the_first_versions_of_the_plugin_named_no_codec():
    data = compressed_depth(random_depth(), "16UC1")
    for name in ("16UC1; compressedDepth", "16UC1"):
        np.testing.assert_array_equal(
            decode_compressed_depth(SimpleNamespace(format=name, data=data)),
            decode_compressed_depth(message(data, "16UC1")),
        )


def test_the_depth_is_not_changed():
    depth = random_depth()
    before = depth.copy()
    compressed_depth(depth, depth_max_m=3.0)
    np.testing.assert_array_equal(depth, before)


@pytest.mark.parametrize("name", ["32FC1; compressedDepth rvl", "jpeg", "rgb8; jpeg compressed bgr8", ""])
def test_other_formats_are_refused(name):
    with pytest.raises(ImageError, match="png"):
        decode_compressed_depth(SimpleNamespace(format=name, data=compressed_depth(random_depth())))


def test_damaged_data_is_refused():
    data = compressed_depth(random_depth())
    gray = struct.pack("<iff", 0, 1.0, 1.0) + cv2.imencode(".png", np.zeros((2, 2), np.uint8))[1].tobytes()
    for damaged in (b"", data[:12], data[12:40], data[:60], gray):
        with pytest.raises(ImageError, match="16-bit PNG"):
            decode_compressed_depth(message(damaged))


def test_what_cannot_be_written():
    depth = random_depth()
    for settings in ({"depth_max_m": 0.0}, {"depth_max_m": NAN}, {"depth_quantization": 0.0}, {"png_level": 10}):
        with pytest.raises(ConfigurationError, match="level 0 to 9"):
            compressed_depth(depth, **settings)
    with pytest.raises(ImageError, match="float32"):
        compressed_depth(depth.astype(np.float64))
    with pytest.raises(ImageError, match="64FC1"):
        compressed_depth(depth, "64FC1")
