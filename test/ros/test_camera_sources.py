"""Each kind of camera source, on small files made here and on real recordings."""

import itertools
import json

import cv2
import numpy as np
import pytest
from rosbags.rosbag2 import StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from depth_pro_ros.errors import CalibrationError, ConfigurationError, ImageError, SourceError
from depth_pro_ros.ros.camera_parameters import CAMERA_PARAMETERS
from depth_pro_ros.ros.camera_sources import open_source
from depth_pro_ros.ros.camera_sources.bag import BagSource, info_topic
from depth_pro_ros.ros.camera_sources.calibration_file import read_calibration, read_depth_scale
from depth_pro_ros.ros.camera_sources.device import DeviceSource
from depth_pro_ros.ros.camera_sources.folder import FolderSource, natural_key, stamp_from_name
from depth_pro_ros.ros.camera_sources.scene import SceneSource
from depth_pro_ros.ros.camera_sources.video import VideoSource

RED, BLUE = (200, 30, 10), (10, 30, 200)
INTRINSICS = {"width": 8, "height": 6, "fx": 7.0, "fy": 7.5, "cx": 3.5, "cy": 2.5}


def half_red_half_blue(width: int = 8, height: int = 6) -> np.ndarray:
    """Return an RGB image, red on the left and blue on the right."""
    rgb = np.empty((height, width, 3), np.uint8)
    rgb[:, : width // 2], rgb[:, width // 2 :] = RED, BLUE
    return rgb


def write_png(path, rgb):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), rgb[..., ::-1])


@pytest.fixture
def warnings():
    return []


@pytest.fixture
def folder(tmp_path):
    """Return a folder of three images with calibration, and depth and pose of the second."""
    for name in ("img1", "img2", "img10"):
        write_png(tmp_path / "rgb" / f"{name}.png", half_red_half_blue())
    (tmp_path / "intrinsics.json").write_text(json.dumps({**INTRINSICS, "depth_scale": 5000}))
    depth = np.full((6, 8), 5000, np.uint16)
    depth[0, 0], depth[0, 1] = 0, 12500
    (tmp_path / "depth").mkdir()
    cv2.imwrite(str(tmp_path / "depth" / "img2.png"), depth)
    half = np.sqrt(0.5)
    (tmp_path / "poses.txt").write_text(f"# a comment\nimg2 1 2 3 0 0 {half} {half}\n")
    return tmp_path


def test_folder_gives_images_in_natural_order_with_colours_in_rgb(folder, warnings):
    source = FolderSource(str(folder), warn=warnings.append)
    frames = list(source.frames())
    assert [frame.stamp_ns for frame in frames] == [0, 100_000_000, 200_000_000]
    assert [frame.pose is not None for frame in frames] == [False, True, False]  # img1, img2, img10
    assert all(np.array_equal(frame.rgb, half_red_half_blue()) for frame in frames)
    assert frames[0].intrinsics.fy == 7.5
    assert (source.has_depth, source.has_pose, warnings) == (True, True, [])


def test_folder_depth_is_in_metres_and_zero_is_unknown(folder):
    depth_m = list(FolderSource(str(folder)).frames())[1].depth_m
    assert np.isnan(depth_m[0, 0])
    assert depth_m.dtype == np.float32
    np.testing.assert_allclose(depth_m[0, 1:3], [2.5, 1.0])


def test_folder_pose_is_camera_to_world(folder):
    matrix = list(FolderSource(str(folder)).frames())[1].pose.T_world_camera
    # A quarter turn about z takes x to y.
    np.testing.assert_allclose(matrix, [[0, -1, 0, 1], [1, 0, 0, 2], [0, 0, 1, 3], [0, 0, 0, 1]], atol=1e-12)


def test_folder_skips_a_broken_image_and_counts_it(folder, warnings):
    (folder / "rgb" / "img1.png").write_bytes(b"no picture")
    source = FolderSource(str(folder), warn=warnings.append)
    assert len(list(source.frames())) == 2
    assert source.skipped == 1 and len(warnings) == 1 and "img1.png" in warnings[0]


def test_folder_whose_images_are_all_broken_is_no_source(tmp_path):
    (tmp_path / "a.png").write_bytes(b"no picture")
    with pytest.raises(SourceError, match="none of the 1 images"):
        FolderSource(str(tmp_path))


@pytest.mark.parametrize(("name", "message"), [("missing", "there is no folder"), ("", "no images in")])
def test_missing_and_empty_folders_are_named(tmp_path, name, message):
    with pytest.raises(SourceError, match=message):
        FolderSource(str(tmp_path / name))


def test_calibration_of_another_size_names_both_sizes(folder):
    (folder / "intrinsics.json").write_text(json.dumps({**INTRINSICS, "width": 16, "height": 12}))
    with pytest.raises(CalibrationError, match="8x6 but the calibration is for 16x12"):
        FolderSource(str(folder))


def test_depth_of_another_size_is_refused(folder):
    cv2.imwrite(str(folder / "depth" / "img2.png"), np.ones((3, 4), np.uint16))
    with pytest.raises(ImageError, match=r"shape \(3, 4\).*\(6, 8\)"):
        list(FolderSource(str(folder)).frames())


def test_a_bad_pose_line_is_named(folder):
    (folder / "poses.txt").write_text("img2 1 2 3\n")
    with pytest.raises(SourceError, match="line 1"):
        FolderSource(str(folder))


@pytest.mark.parametrize("calibrated", [False, True])
def test_exif_orientation_is_obeyed_only_without_calibration(tmp_path, calibrated):
    rgb = half_red_half_blue(16, 8)
    done, jpeg = cv2.imencode(".jpg", rgb[..., ::-1])
    # EXIF with the one tag Orientation (0x0112) = 6: turn by 90 degrees clockwise to see it upright.
    tiff = b"MM\x00*\x00\x00\x00\x08\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00\x06\x00\x00\x00\x00\x00\x00"
    exif = b"Exif\x00\x00" + tiff
    data = jpeg.tobytes()
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif + data[2:])
    if calibrated:
        (tmp_path / "intrinsics.json").write_text(json.dumps({**INTRINSICS, "width": 16, "height": 8}))
    shape = next(FolderSource(str(tmp_path)).frames()).rgb.shape
    assert done and shape == ((8, 16, 3) if calibrated else (16, 8, 3))


def test_names_and_stamps():
    assert sorted(["img10", "img2", "img1"], key=natural_key) == ["img1", "img2", "img10"]
    assert stamp_from_name("1305031453.359684") == 1_305_031_453_359_684_000
    assert stamp_from_name("1403636579763555584") == 1_403_636_579_763_555_584
    assert stamp_from_name("00042") is None and stamp_from_name("DJI_0018") is None


def test_tum_names_are_stamps_and_depth_is_matched_by_time(data_dir):
    frames = list(FolderSource(str(data_dir / "rgbd_tum_fr1_desk")).frames())
    assert frames[0].stamp_ns == 1_305_031_453_359_684_000
    assert all(frame.depth_m is not None and frame.pose is not None for frame in frames)
    assert frames[0].calibration.distortion[0] == 0.2624
    np.testing.assert_allclose(frames[0].pose.T_world_camera[:3, 3], [1.3112460, 0.8506613, 1.5186110])
    truth = cv2.imread(str(data_dir / "rgbd_tum_fr1_desk/depth/1305031453.374112.png"), cv2.IMREAD_UNCHANGED) / 5000
    known = truth > 0
    np.testing.assert_allclose(frames[0].depth_m[known], truth[known], rtol=1e-6)  # the nearest depth, 14 ms later
    assert np.isnan(frames[0].depth_m[~known]).all()


def test_real_folders_with_named_poses(data_dir):
    for name in ("drone_brighton", "rgbd_hololens", "rgbd_livingroom_synth"):
        frame = next(FolderSource(str(data_dir / name)).frames())
        assert frame.pose is not None and frame.depth_m is not None
        assert frame.rgb.shape[:2] == (frame.intrinsics.height, frame.intrinsics.width) == frame.depth_m.shape


def test_camera_info_yaml_is_read_as_camera_calibration_writes_it(tmp_path):
    path = tmp_path / "camera_info.yaml"
    path.write_text(
        "image_width: 8\nimage_height: 6\ncamera_name: test\n"
        "camera_matrix: {rows: 3, cols: 3, data: [7, 0, 3.5, 0, 7.5, 2.5, 0, 0, 1]}\n"
        "distortion_model: plumb_bob\n"
        "distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0.001, 0.002, 0.3]}\n"
        "rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}\n"
        "projection_matrix: {rows: 3, cols: 4, data: [6, 0, 3, 0, 0, 6.5, 2, 0, 0, 0, 1, 0]}\n"
    )
    calibration = read_calibration(path)
    assert (calibration.intrinsics.fx, calibration.intrinsics.cy) == (7.0, 2.5)
    assert calibration.distortion == (0.1, -0.2, 0.001, 0.002, 0.3)
    assert calibration.projection[5] == 6.5
    assert read_depth_scale(path) == 1000.0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "cannot read the calibration"),
        ("[1, 2]", "holds a list"),
        ('{"width": 8, "height": 6, "fx": 7}', "'fy'"),
        (json.dumps({**INTRINSICS, "fx": -1}), "fx=-1"),
        (json.dumps({**INTRINSICS, "distortion": [1, 2, 3]}), "3 coefficients for plumb_bob, which has 5"),
        ('{"image_width": 8, "image_height": 6, "camera_matrix": {"data": [1, 2]}}', "camera_matrix has 2 numbers"),
    ],
)
def test_bad_calibration_files_say_what_is_wrong(tmp_path, text, message):
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(CalibrationError, match=message) as error:
        read_calibration(path)
    assert str(path) in str(error.value)


def test_video_keeps_rate_and_colours(tmp_path):
    path = tmp_path / "video.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 20.0, (64, 48))
    for _ in range(4):
        writer.write(half_red_half_blue(64, 48)[..., ::-1])
    writer.release()
    source = VideoSource(str(path))
    frames = list(source.frames())
    assert [frame.stamp_ns for frame in frames] == [0, 50_000_000, 100_000_000, 150_000_000]
    np.testing.assert_allclose(frames[0].rgb[24, 10], RED, atol=12)
    np.testing.assert_allclose(frames[0].rgb[24, 54], BLUE, atol=12)
    assert len(list(source.frames())) == 4  # once more, for a loop
    (tmp_path / "k.json").write_text(json.dumps(INTRINSICS))
    with pytest.raises(CalibrationError, match="64x48 but the calibration is for 8x6"):
        VideoSource(str(path), str(tmp_path / "k.json"))


def test_video_that_is_missing_or_none_is_refused(tmp_path):
    with pytest.raises(SourceError, match="there is no video"):
        VideoSource(str(tmp_path / "missing.avi"))
    (tmp_path / "text.avi").write_text("no video")
    with pytest.raises(SourceError, match="OpenCV cannot open"):
        VideoSource(str(tmp_path / "text.avi"))


def test_device_that_is_not_there_is_refused():
    with pytest.raises(SourceError, match="'/dev/no_such_camera' gives no image"):
        DeviceSource("/dev/no_such_camera")


def write_bag(path, images, info_k=None):
    """Write images (topic, encoding, stamp_ns, array (H, W, C)) and one camera_info beside each to a new bag."""
    store = get_typestore(Stores.ROS2_JAZZY)
    types = store.types
    with Writer(path, version=9, storage_plugin=StoragePlugin.MCAP) as writer:
        connections = {}

        def write(topic, message, stamp_ns):
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, message.__msgtype__, typestore=store)
            writer.write(connections[topic], stamp_ns, store.serialize_cdr(message, message.__msgtype__))

        for topic, encoding, stamp_ns, pixels in images:
            time = types["builtin_interfaces/msg/Time"](*divmod(stamp_ns, 10**9))
            header = types["std_msgs/msg/Header"](time, "bag_camera")
            height, width = pixels.shape[:2]
            data = pixels.reshape(-1).view(np.uint8)
            image = types["sensor_msgs/msg/Image"](header, height, width, encoding, 0, pixels.nbytes // height, data)
            write(topic, image, stamp_ns)
            if info_k is not None:
                k = np.array([info_k, 0, 3.5, 0, info_k, 2.5, 0, 0, 1.0])
                roi = types["sensor_msgs/msg/RegionOfInterest"](1, 2, 4, 4, True)
                p = np.zeros(12)
                info = types["sensor_msgs/msg/CameraInfo"](
                    header, 6, 8, "equidistant", np.arange(4.0), k, np.eye(3).ravel(), p, 2, 2, roi
                )
                write(info_topic(topic), info, stamp_ns)


def test_bag_gives_header_stamps_own_encoding_and_whole_camera_info(tmp_path):
    bgr = half_red_half_blue()[..., ::-1].copy()
    depth = np.ones((6, 8, 1), np.uint16)
    write_bag(
        tmp_path / "bag", [("/a/depth", "16UC1", 5, depth), ("/cam/image", "bgr8", 7_000_000_009, bgr)], info_k=7.0
    )
    source = BagSource(str(tmp_path / "bag"))
    (frame,) = source.frames()
    assert frame.stamp_ns == 7_000_000_009 and frame.frame_id == "bag_camera"
    assert np.array_equal(frame.rgb, half_red_half_blue())
    assert frame.encoded.encoding == "bgr8" and bytes(frame.encoded.data) == bgr.tobytes()
    assert frame.calibration.distortion_model == "equidistant"
    assert frame.calibration.distortion == (0.0, 1.0, 2.0, 3.0)
    assert frame.calibration.binning == (2, 2) and frame.calibration.roi == (1, 2, 4, 4, True)


def test_bag_topic_can_be_chosen_and_a_wrong_one_lists_the_images(tmp_path):
    grey = np.ones((6, 8, 1), np.uint8)
    write_bag(tmp_path / "bag", [("/left", "mono8", 1, grey), ("/right", "mono8", 1, 2 * grey)])
    (frame,) = BagSource(str(tmp_path / "bag"), "/right").frames()
    assert frame.rgb[0, 0].tolist() == [2, 2, 2] and frame.calibration is None
    with pytest.raises(SourceError, match="no images on '/middle'; image topics: /left, /right"):
        BagSource(str(tmp_path / "bag"), "/middle")


def test_bag_image_that_cannot_be_decoded_is_skipped(tmp_path, warnings):
    grey = np.ones((6, 8, 1), np.uint8)
    encodings = ("mono8", "no_such", "mono8")
    write_bag(tmp_path / "bag", [("/image", name, stamp, grey) for stamp, name in enumerate(encodings, start=1)])
    source = BagSource(str(tmp_path / "bag"), warn=warnings.append)
    assert [frame.stamp_ns for frame in source.frames()] == [1, 3]
    assert source.skipped == 1 and "no_such" in warnings[-1]


def test_bag_without_colour_images_and_no_bag_at_all_are_refused(tmp_path):
    write_bag(tmp_path / "bag", [("/depth", "16UC1", 1, np.ones((6, 8, 1), np.uint16))])
    with pytest.raises(SourceError, match="no colour images; image topics: /depth"):
        BagSource(str(tmp_path / "bag"))
    with pytest.raises(SourceError, match="cannot read the bag"):
        BagSource(str(tmp_path / "missing"))


@pytest.mark.parametrize(
    ("name", "topic", "encoding"),
    [
        ("tum_fr1_desk_rgbd", "/camera/color/image_raw", "rgb8"),
        ("chessboard_stereo_raw", "/stereo/left/image_raw", "mono8"),
    ],
)
def test_real_bags(data_dir, name, topic, encoding):
    source = BagSource(str(data_dir / "rosbag2" / name))
    frames = list(source.frames())
    assert len(frames) == 6 and topic in source.description
    assert {frame.encoded.encoding for frame in frames} == {encoding}
    assert all(frame.calibration.distortion[0] != 0 for frame in frames)


def test_scene_knows_its_truth():
    source = SceneSource(seed=1, width=80, height=60, fov_deg=90.0, rate_hz=20.0)
    first, second = itertools.islice(source.frames(), 2)
    assert first.intrinsics.fx == pytest.approx(40.0)  # 80 / 2 / tan(45 degrees)
    assert first.rgb.shape == (60, 80, 3) and first.depth_m.shape == (60, 80)
    assert second.stamp_ns == second.pose.stamp_ns == 50_000_000


def settings(**changes):
    return {parameter.name: parameter.default for parameter in CAMERA_PARAMETERS} | changes


def test_open_source_takes_the_kind_that_the_settings_name(folder):
    assert isinstance(open_source(settings(source="folder", path=str(folder)), print), FolderSource)
    assert isinstance(open_source(settings(source="scene", width=16, height=16), print), SceneSource)
    with pytest.raises(ConfigurationError, match="'path' is empty"):
        open_source(settings(source="bag"), print)
