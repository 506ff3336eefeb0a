"""Images to and from messages, against pixels laid out by hand from the definitions of the encodings."""

import array

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from depth_pro_ros.errors import ImageError
from depth_pro_ros.ros import images
from depth_pro_ros.ros.images import decode_compressed, decode_depth, decode_image, encode_depth, encode_rgb

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)
COLOURS = np.array([[(200, 30, 7), (1, 2, 3), (90, 80, 70)], [(10, 250, 100), (0, 0, 255), (255, 0, 0)]], np.uint8)


def message(pixels: np.ndarray, encoding: str, *, padding: int = 0, height: int | None = None, big: int = 0) -> Image:
    """Lay an array's rows into a message, each followed by `padding` bytes of 0xAB."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=0xAB)
    msg = Image(height=height or pixels.shape[0], width=pixels.shape[1], encoding=encoding, step=padded.shape[1])
    msg.is_bigendian = big
    msg.data = array.array("B", padded.tobytes())
    return msg


def header() -> Header:
    head = Header(frame_id="camera_optical_frame")
    head.stamp.sec, head.stamp.nanosec = 1_700_000_000, 123_456_789
    return head


def mosaic(colour: tuple[int, int, int], pattern: str, shape=(8, 10), dtype=np.uint8) -> np.ndarray:
    """Sample one colour through a Bayer filter: `pattern` names the top-left 2x2 cell row by row (ROS)."""
    out = np.zeros(shape, dtype)
    for row in range(shape[0]):
        for column in range(shape[1]):
            letter = pattern[2 * (row % 2) + column % 2]
            out[row, column] = colour["rgb".index(letter)]
    return out


@pytest.mark.parametrize("padding", [0, 1, 5, 12])
@pytest.mark.parametrize(
    ("encoding", "order", "alpha"),
    [("rgb8", (0, 1, 2), False), ("bgr8", (2, 1, 0), False), ("8UC3", (2, 1, 0), False)]
    + [("rgba8", (0, 1, 2), True), ("bgra8", (2, 1, 0), True)],
)
def test_colour_orders_and_padded_rows(encoding, order, alpha, padding):
    stored = COLOURS[..., list(order)]
    if alpha:
        stored = np.concatenate([stored, np.full((2, 3, 1), 17, np.uint8)], axis=2)
    np.testing.assert_array_equal(decode_image(message(stored, encoding, padding=padding)), COLOURS)


@pytest.mark.parametrize("encoding", ["mono8", "8UC1"])
@pytest.mark.parametrize("padding", [0, 3])
def test_mono8_repeats_the_grey_value(encoding, padding):
    grey = np.array([[0, 7, 255], [128, 1, 2]], np.uint8)
    rgb = decode_image(message(grey, encoding, padding=padding))
    np.testing.assert_array_equal(rgb, np.stack([grey] * 3, axis=2))


@pytest.mark.parametrize(("byte_order", "flag"), [("<u2", 0), (">u2", 1)])
@pytest.mark.parametrize("padding", [0, 6])
def test_mono16_keeps_the_high_byte_in_either_byte_order(byte_order, flag, padding):
    values = np.array([[0x0000, 0x00FF, 0x0100], [0x12FE, 0xFFFF, 0x8000]])
    rgb = decode_image(message(values.astype(byte_order), "mono16", padding=padding, big=flag))
    np.testing.assert_array_equal(rgb[..., 0], [[0, 0, 1], [0x12, 255, 128]])
    assert rgb.dtype == np.uint8 and (rgb == rgb[..., :1]).all()


def test_the_big_endian_flag_means_nothing_for_bytes():
    np.testing.assert_array_equal(decode_image(message(COLOURS, "rgb8", big=1)), COLOURS)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("colour", [RED, GREEN, BLUE, (200, 100, 50)])
def test_bayer_patterns_give_the_colour_they_sampled(pattern, colour):
    rgb = decode_image(message(mosaic(colour, pattern), f"bayer_{pattern}8", padding=3))
    np.testing.assert_array_equal(rgb, np.broadcast_to(colour, (8, 10, 3)))


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize(("byte_order", "flag"), [("<u2", 0), (">u2", 1)])
def test_bayer_16_bit(pattern, byte_order, flag):
    stored = mosaic((200 * 256 + 9, 100 * 256 + 8, 50 * 256 + 7), pattern, dtype=byte_order)
    rgb = decode_image(message(stored, f"bayer_{pattern}16", big=flag))
    np.testing.assert_array_equal(rgb, np.broadcast_to((200, 100, 50), (8, 10, 3)))


def bt601(y: int, u: int, v: int) -> np.ndarray:
    """RGB of studio-range YUV (ITU-R BT.601): black at Y = 16, white at 235."""
    luma = 1.164383 * (y - 16)
    rgb = (luma + 1.596027 * (v - 128), luma - 0.391762 * (u - 128) - 0.812968 * (v - 128), luma + 2.017232 * (u - 128))
    return np.clip(np.rint(rgb), 0, 255)


YUV = {"left": (81, 90, 240), "right": (145, 54, 34)}  # about red and about green


def expected_yuv(height: int) -> np.ndarray:
    left, right = (bt601(*YUV[side]) for side in ("left", "right"))
    return np.broadcast_to(np.stack([left, left, right, right]), (height, 4, 3))


@pytest.mark.parametrize("padding", [0, 2, 3])
@pytest.mark.parametrize(
    ("encoding", "layout"),
    [("yuv422", "uyvy"), ("uyvy", "uyvy"), ("yuv422_yuy2", "yuyv"), ("yuyv", "yuyv")],
)
def test_packed_yuv_422(encoding, layout, padding):
    row = [YUV[side]["yuv".index(letter)] for side in ("left", "right") for letter in layout]
    stored = np.array([row, row], np.uint8).reshape(2, 4, 2)
    rgb = decode_image(message(stored, encoding, padding=padding))
    np.testing.assert_allclose(rgb.astype(int), expected_yuv(2), atol=2)


@pytest.mark.parametrize("padding", [0, 4, 7])
@pytest.mark.parametrize(("encoding", "chroma"), [("nv12", (1, 2)), ("nv21", (2, 1))])
def test_planar_yuv_420(encoding, chroma, padding):
    (ly, *_), (ry, *_) = YUV["left"], YUV["right"]
    pairs = [YUV[side][index] for side in ("left", "right") for index in chroma]
    stored = np.array([[ly, ly, ry, ry]] * 4 + [pairs] * 2, np.uint8)
    rgb = decode_image(message(stored, encoding, padding=padding, height=4))
    assert rgb.shape == (4, 4, 3)
    np.testing.assert_allclose(rgb.astype(int), expected_yuv(4), atol=2)


@pytest.mark.parametrize("encoding", ["rgb8", "bgr8", "mono8"])
def test_the_array_outlives_the_message(encoding):
    msg = message(COLOURS if encoding != "mono8" else COLOURS[..., 0], encoding)
    rgb = decode_image(msg)
    before = rgb.copy()
    msg.data[:] = array.array("B", bytes(len(msg.data)))
    np.testing.assert_array_equal(rgb, before)
    assert before.any() and rgb.flags.writeable


def test_data_behind_the_last_row_is_ignored():
    msg = message(COLOURS, "rgb8")
    msg.data.extend([1, 2, 3])
    np.testing.assert_array_equal(decode_image(msg), COLOURS)


def change(**fields):
    """Return a valid 4x2 message with some fields replaced."""
    msg = message(np.zeros((2, 4, 3), np.uint8), "rgb8")
    for name, value in fields.items():
        setattr(msg, name, value)
    return msg


@pytest.mark.parametrize(
    ("msg", "words"),
    [
        (change(width=0), "width 0"),
        (change(height=0), "height 0"),
        (change(encoding="rgb9"), "'rgb9'.*allowed are rgb8, bgr8"),
        (change(encoding=""), "''"),
        (change(encoding="32FC1"), "'32FC1'"),
        (change(step=11), "step 11.*at least 12"),
        (change(step=0), "step 0"),
        (change(data=array.array("B", bytes(23))), "needs 24 bytes of data and has 23"),
        (change(data=array.array("B")), "has 0"),
        (change(height=4_000_000_000), "needs 48000000000"),
        (change(encoding="mono16", step=9), "divisible by 2"),
        (change(encoding="yuv422", width=3), "width 3.*divisible by 2"),
        (change(encoding="nv12", height=1, width=4, step=4), "height 1.*divisible by 2"),
        (change(encoding="nv12", height=6, width=4, step=4), "needs 36"),
    ],
)
def test_messages_that_contradict_themselves(msg, words):
    with pytest.raises(ImageError, match=words):
        decode_image(msg)


def test_every_encoding_of_the_table_decodes():
    """A row that cv2 or cv_bridge does not understand would raise."""
    for name, encoding in images.ENCODINGS.items():
        rows = int(4 * encoding.rows_per_line)
        stored = np.zeros((rows, 4, encoding.channels), encoding.dtype)
        assert decode_image(message(stored, name, height=4)).shape == (4, 4, 3), name


def compressed(extension: str, pixels: np.ndarray, label: str = "") -> CompressedImage:
    data = cv2.imencode(extension, pixels)[1].tobytes()
    return CompressedImage(format=label or extension[1:], data=array.array("B", data))


def test_png_is_exact_and_in_rgb_order():
    np.testing.assert_array_equal(decode_compressed(compressed(".png", COLOURS[..., ::-1])), COLOURS)


def test_png_drops_alpha_and_the_low_byte():
    bgra = np.dstack([COLOURS[..., ::-1], np.zeros((2, 3), np.uint8)])
    np.testing.assert_array_equal(decode_compressed(compressed(".png", bgra)), COLOURS)
    deep = np.array([[0, 255, 256, 0x12FF, 65535]], np.uint16)
    np.testing.assert_array_equal(decode_compressed(compressed(".png", deep))[0, :, 1], [0, 0, 1, 0x12, 255])


def test_jpeg_keeps_red_on_the_left():
    bgr = np.zeros((32, 64, 3), np.uint8)
    bgr[:, :32, 2] = 255
    bgr[:, 32:, 0] = 255
    rgb = decode_compressed(compressed(".jpg", bgr, "rgb8; jpeg compressed bgr8")).astype(int)
    assert rgb[16, 8, 0] > 240 and rgb[16, 8, 2] < 15
    assert rgb[16, 56, 2] > 240 and rgb[16, 56, 0] < 15


def test_jpeg_is_not_turned_by_exif():
    """Orientation 6 asks viewers for a quarter turn; the camera's pixels must stay where camera_info says."""
    plain = cv2.imencode(".jpg", np.zeros((16, 48, 3), np.uint8))[1].tobytes()
    entry = b"\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00"  # tag 0x0112, SHORT, one value, 6
    tiff = b"MM\x00\x2a\x00\x00\x00\x08" + b"\x00\x01" + entry + b"\x00\x00\x00\x00"
    body = b"Exif\x00\x00" + tiff
    turned = plain[:2] + b"\xff\xe1" + (len(body) + 2).to_bytes(2, "big") + body + plain[2:]
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (48, 16, 3)
    assert decode_compressed(CompressedImage(format="jpeg", data=array.array("B", turned))).shape == (16, 48, 3)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
def test_damaged_pictures_are_refused(extension):
    whole = compressed(extension, np.random.default_rng(3).integers(0, 255, (64, 96, 3), np.uint8))
    for data in (whole.data[: len(whole.data) // 2], whole.data[20:], array.array("B", b"not a picture")):
        with pytest.raises(ImageError, match=f"{len(data)} bytes"):
            decode_compressed(CompressedImage(format=extension, data=data))


def test_empty_and_depth_pictures_are_refused():
    with pytest.raises(ImageError, match="no data"):
        decode_compressed(CompressedImage(format="jpeg"))
    with pytest.raises(ImageError, match="depth image"):
        decode_compressed(compressed(".png", COLOURS, "16UC1; compressedDepth png"))


def test_depth_in_metres_keeps_every_bit_and_the_header():
    depth_m = np.array([[1.25, np.nan, np.inf], [0.001, 1000.0, 65.536]], np.float32)
    msg = encode_depth(depth_m, "32FC1", header())
    assert (msg.width, msg.height, msg.step, msg.encoding, msg.is_bigendian) == (3, 2, 12, "32FC1", 0)
    assert msg.header == header() and isinstance(msg.data, array.array)
    assert msg.data.tobytes() == depth_m.tobytes()
    np.testing.assert_array_equal(decode_depth(msg), depth_m)


def test_depth_in_millimetres_is_rounded_and_zero_where_it_cannot_say():
    metres = [1.2344, 1.2346, np.nan, np.inf, -np.inf, -1.0, 0.0, 0.0004, 0.0006, 65.535, 65.536, 3e38]
    msg = encode_depth(np.array([metres], np.float32), "16UC1", header())
    stored = np.frombuffer(msg.data, "<u2")
    assert stored.tolist() == [1234, 1235, 0, 0, 0, 0, 0, 0, 1, 65535, 0, 0]
    expected = [1.234, 1.235] + [np.nan] * 6 + [0.001, 65.535, np.nan, np.nan]
    np.testing.assert_allclose(decode_depth(msg)[0], expected, rtol=1e-6)


def test_depth_of_a_slice_is_stored_row_by_row():
    depth_m = np.arange(12, dtype=np.float32).reshape(3, 4)[:, ::2]
    np.testing.assert_array_equal(decode_depth(encode_depth(depth_m, "32FC1", header())), depth_m)


@pytest.mark.parametrize(
    ("kind", "encoding", "flag"), [("<f4", "32FC1", 0), (">f4", "32FC1", 1), ("<u2", "16UC1", 0), (">u2", "16UC1", 1)]
)
def test_depth_in_either_byte_order_with_padded_rows(kind, encoding, flag):
    stored = np.array([[500, 1000], [2000, 4000]]).astype(kind)
    metres = stored.astype(np.float32) * (0.001 if encoding == "16UC1" else 1.0)
    decoded = decode_depth(message(stored, encoding, padding=4, big=flag))
    np.testing.assert_allclose(decoded, metres, rtol=1e-6)
    assert decoded.dtype == np.float32 and decoded.dtype.isnative


def test_depth_errors():
    with pytest.raises(ImageError, match="'64FC1'.*32FC1"):
        encode_depth(np.ones((2, 2), np.float32), "64FC1", header())
    with pytest.raises(ImageError, match="float64"):
        encode_depth(np.ones((2, 2)), "32FC1", header())
    with pytest.raises(ImageError, match="'rgb8'.*32FC1, 16UC1"):
        decode_depth(message(COLOURS, "rgb8"))


def test_rgb_round_trip_and_errors():
    msg = encode_rgb(COLOURS, header())
    assert (msg.width, msg.height, msg.step, msg.encoding) == (3, 2, 9, "rgb8") and msg.header == header()
    assert msg.data[:3].tolist() == [200, 30, 7]
    np.testing.assert_array_equal(decode_image(encode_rgb(COLOURS[:, ::-1], header())), COLOURS[:, ::-1])
    with pytest.raises(ImageError, match="float32"):
        encode_rgb(COLOURS.astype(np.float32), header())
