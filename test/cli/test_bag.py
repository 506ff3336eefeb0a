"""`depth_pro_ros bag`: what stands in the new bag, and how a run is taken up again."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from cli.bag_maker import (
    BROKEN,
    DELAY,
    FOCAL,
    HEIGHT,
    IMAGE,
    RAMP,
    START,
    STEP,
    WIDTH,
    KnownPredictor,
    camera,
    image,
    info,
    jpeg,
    messages,
    picture,
    pixels,
    read,
    run,
    stamps,
    write,
)
from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime
from rosbags.rosbag2 import Reader

from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import Intrinsics

DEPTH, INFO_OUT, POINTS = "/camera/depth/image_rect", "/camera/depth/camera_info", "/camera/points"
NEVER = QosTime(9223372036, 854775807)
ODD_QOS = Qos(
    QosHistory.KEEP_LAST,
    7,
    QosReliability.BEST_EFFORT,
    QosDurability.TRANSIENT_LOCAL,
    QosTime(1, 5),
    NEVER,
    QosLiveliness.AUTOMATIC,
    NEVER,
    False,
)


def expected(ramp=RAMP):
    depth = ramp.copy()
    depth[0, 0], depth[0, 1] = np.nan, np.inf
    return depth


@pytest.mark.parametrize("into", ["mcap", "sqlite3"])
@pytest.mark.parametrize("source", ["mcap", "sqlite3"])
def test_depth_stands_beside_every_image_and_nothing_else_changes(tmp_path, source, into):
    old = write(tmp_path / "in", camera(), source, [ODD_QOS])
    assert run(old, tmp_path / "out", "--storage", into) == 0
    before, after = read(old), read(tmp_path / "out")
    assert {topic: after[topic] for topic in before} == before
    assert set(after) - set(before) == {DEPTH, INFO_OUT}
    received = [START + n * STEP + DELAY for n in range(4)]
    assert [ns for ns, _ in after[DEPTH]] == [ns for ns, _ in after[INFO_OUT]] == received
    old_headers = [raw[:28] for _, raw in before["/camera/image_raw"]]  # encapsulation, stamp, "camera" with its length
    assert [raw[:28] for _, raw in after[DEPTH]] == [raw[:28] for _, raw in after[INFO_OUT]] == old_headers
    for message in messages(tmp_path / "out", DEPTH):
        assert (message.encoding, message.step, message.is_bigendian) == ("32FC1", 4 * WIDTH, 0)
        np.testing.assert_array_equal(pixels(message), expected())


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_quality_of_service_is_kept_and_new_topics_are_reliable(tmp_path, storage):
    run(write(tmp_path / "in", camera(), storage, [ODD_QOS]), tmp_path / "out")
    suffix = {"mcap": ".mcap", "sqlite3": ".db3"}[storage]
    for place in (tmp_path / "out", tmp_path / "out" / f"out{suffix}"):  # the folder's metadata, and the file's own
        with Reader(place) as reader:
            found = {c.topic: (c.msgtype, c.ext.offered_qos_profiles) for c in reader.connections}
        assert found["/camera/image_raw"] == (IMAGE, [ODD_QOS])
        kind, (qos,) = found[DEPTH]
        assert kind == IMAGE
        assert (qos.reliability, qos.durability) == (QosReliability.RELIABLE, QosDurability.VOLATILE)
        assert (qos.history, qos.depth) == (QosHistory.KEEP_LAST, 5)
        assert qos.deadline == qos.lifespan == qos.liveliness_lease_duration == NEVER


def test_camera_info_is_scaled_with_the_half_pixel_and_has_no_distortion(tmp_path):
    assert run(write(tmp_path / "in", camera()), tmp_path / "out", "--scale", "0.5") == 0
    for message in messages(tmp_path / "out", INFO_OUT):
        assert (message.width, message.height, message.distortion_model) == (24, 16, "plumb_bob")
        assert message.d.tolist() == [0] * 5
        assert message.k.tolist() == [20, 0, 11.5, 0, 20, 7.5, 0, 0, 1]  # (23.5 + 0.5) / 2 - 0.5
        assert message.p.tolist() == [20, 0, 11.5, 0, 0, 20, 7.5, 0, 0, 0, 1, 0]
    assert pixels(messages(tmp_path / "out", DEPTH)[0]).shape == (16, 24)


def test_raw_images_are_undistorted_and_blank_where_nothing_was_seen(tmp_path):
    """With k1 = 0.4 and P = K, the corners of the undistorted image lie outside of the raw one."""
    old = write(tmp_path / "in", camera(d=(0.4, 0, 0, 0, 0)))
    known = KnownPredictor()
    assert run(old, tmp_path / "out", predictor=known) == 0
    rgb, intrinsics, _, _ = known.calls[0]
    assert intrinsics == Intrinsics(WIDTH, HEIGHT, FOCAL, FOCAL, 23.5, 15.5)
    depth = pixels(messages(tmp_path / "out", DEPTH)[0])
    assert np.isnan(depth[[0, 0, -1, -1], [0, -1, 0, -1]]).all()
    centre = slice(14, 18), slice(20, 28)
    np.testing.assert_array_equal(depth[centre], RAMP[centre])
    assert not np.array_equal(rgb, picture(0)) and np.abs(rgb[centre].astype(int) - picture(0)[centre]).max() <= 4
    assert run(old, tmp_path / "as_is", "--images", "rectified", predictor=known) == 0
    np.testing.assert_array_equal(known.calls[-1][0], picture(3))
    np.testing.assert_array_equal(pixels(messages(tmp_path / "as_is", DEPTH)[0]), expected())


def test_without_camera_info_all_images_have_the_median_of_the_estimates(tmp_path):
    """The predictor believes 40, 80, 160, 40 px; the median is 60 px, and depth is proportional to it."""
    assert run(write(tmp_path / "in", camera(with_info=False)), tmp_path / "out", "--max-range", "4.4") == 0
    depth = expected(RAMP * np.float32(1.5))
    depth[depth > 4.4] = np.inf
    assert np.isinf(depth).sum() > 10
    for message in messages(tmp_path / "out", DEPTH):
        np.testing.assert_allclose(pixels(message), depth, rtol=1e-6)
    assert {message.k[0] for message in messages(tmp_path / "out", INFO_OUT)} == {60.0}


def test_a_focal_length_in_pixels_goes_before_camera_info(tmp_path):
    assert run(write(tmp_path / "in", camera()), tmp_path / "out", "--focal", "80") == 0
    np.testing.assert_array_equal(pixels(messages(tmp_path / "out", DEPTH)[2]), expected(RAMP * 2))
    assert messages(tmp_path / "out", INFO_OUT)[2].k[0] == 80


def test_millimetres(tmp_path):
    assert run(write(tmp_path / "in", camera()), tmp_path / "out", "--encoding", "16UC1") == 0
    message = messages(tmp_path / "out", DEPTH)[1]
    found = pixels(message, np.uint16)
    assert message.encoding == "16UC1" and found[0, :2].tolist() == [0, 0]
    np.testing.assert_array_equal(found[1:], np.rint(RAMP[1:] * np.float32(1000)))


def test_clouds_are_organised_and_coloured(tmp_path):
    assert run(write(tmp_path / "in", camera()), tmp_path / "out", "--cloud", "--cloud-stride", "4") == 0
    message = messages(tmp_path / "out", POINTS)[3]
    assert [f.name for f in message.fields] == ["x", "y", "z", "rgb"] and message.point_step == 16
    assert (message.width, message.height, message.row_step) == (12, 8, 12 * 16)
    points = message.data.view(np.dtype([("xyz", "<f4", 3), ("bgr", "u1", 4)])).reshape(8, 12)
    whole = pinhole.unproject(expected(), Intrinsics(WIDTH, HEIGHT, FOCAL, FOCAL, 23.5, 15.5))[::4, ::4]
    np.testing.assert_allclose(points["xyz"], whole, rtol=1e-6)
    np.testing.assert_array_equal(points["bgr"][..., 2::-1], picture(3)[::4, ::4])


def test_real_recording_of_two_cameras(data_dir, tmp_path):
    """Both cameras of the stereo pair, raw: K and P of the result are P of the calibration, and its stamps its own."""
    old = data_dir / "rosbag2" / "chessboard_stereo_raw"
    known = KnownPredictor()
    assert run(old, tmp_path / "out", "--cloud", predictor=known) == 0
    for side in ("left", "right"):
        calibration = messages(old, f"/stereo/{side}/camera_info")[0]
        made = messages(tmp_path / "out", f"/stereo/{side}/depth/camera_info")
        assert len(made) == 6 and any(calibration.d) and not any(made[0].d)
        p = calibration.p.reshape(3, 4)
        np.testing.assert_allclose(made[0].k.reshape(3, 3), p[:, :3])
        topic = f"/stereo/{side}/image_raw"
        assert stamps(tmp_path / "out", f"/stereo/{side}/depth/image_rect") == stamps(old, topic)
        assert stamps(tmp_path / "out", f"/stereo/{side}/points") == stamps(old, topic)
    assert {call[1].fx for call in known.calls} == {p[0, 0]}


def test_figures_for_programs(tmp_path, capsys):
    old = write(tmp_path / "in", camera())
    assert run(old, tmp_path / "out", "--json") == 0
    captured = capsys.readouterr()
    record = json.loads(captured.out)
    assert captured.err == ""
    assert record["cameras"]["/camera/image_raw"] == {
        "images": 4,
        "written": 4,
        "failed": 0,
        "namespace": "/camera",
        "camera_info": "/camera/camera_info",
        "depth_focal_px": FOCAL,
        "fusion": {},
    }
    assert record["resumed"] == 0 and record["model"] == KnownPredictor.description
    with Reader(tmp_path / "out") as reader:
        assert json.loads(reader.storage.metadata.custom["depth_pro_ros"]) == KnownPredictor.description


def test_people_see_progress_and_a_line_for_each_camera(tmp_path, capsys):
    assert run(write(tmp_path / "in", camera()), tmp_path / "out") == 0
    captured = capsys.readouterr()
    assert captured.out.startswith("/camera/image_raw: depth of 4 of 4 images, focal 40 px -> /camera/depth\n")
    for bar in ("reading: 100%", "depth: 100%", "writing: 100%"):
        assert bar in captured.err


def test_compressed_chunks_hold_the_same(tmp_path):
    old = write(tmp_path / "in", camera())
    run(old, tmp_path / "plain"), run(old, tmp_path / "small", "--compress")
    assert read(tmp_path / "small") == read(tmp_path / "plain")
    sizes = [os.path.getsize(tmp_path / name / f"{name}.mcap") for name in ("small", "plain")]
    assert sizes[0] < 0.8 * sizes[1]


def test_single_images_that_fail_are_left_out_and_told(tmp_path, capsys):
    old = write(tmp_path / "in", camera(5))
    assert run(old, tmp_path / "out", predictor=KnownPredictor(fail={1: BROKEN, 3: BROKEN})) == 1
    err = capsys.readouterr().err
    assert err.count("ran out of memory") == 1 and "image 1 of /camera/image_raw: the device ran out of memory" in err
    assert "1 more image cannot be done" in err
    assert stamps(tmp_path / "out", DEPTH) == [START + n * STEP for n in (0, 2, 4)]
    assert len(read(tmp_path / "out")["/camera/image_raw"]) == 5


def test_one_file_is_read_as_a_bag(tmp_path):
    for storage, suffix in (("mcap", ".mcap"), ("sqlite3", ".db3")):
        old = write(tmp_path / storage, camera(2), storage)
        assert run(old / f"{storage}{suffix}", tmp_path / f"{storage}_out") == 0
        assert (tmp_path / f"{storage}_out" / f"{storage}_out{suffix}").exists()
        assert len(read(tmp_path / f"{storage}_out")[DEPTH]) == 2


def test_compressed_images_and_those_of_other_sizes(tmp_path):
    made = [("/cam/image_raw/compressed", jpeg(picture(n), START + n * STEP), START + n * STEP) for n in range(2)]
    wide = picture(3, 64, 20)
    made.append(("/cam/image_raw/compressed", jpeg(wide, START + 5 * STEP), START + 5 * STEP))
    known = KnownPredictor()
    assert run(write(tmp_path / "in", made), tmp_path / "out", predictor=known) == 0
    np.testing.assert_array_equal(known.calls[1][0], picture(1))
    np.testing.assert_array_equal(known.calls[2][0], wide)
    infos = messages(tmp_path / "out", "/cam/depth/camera_info")
    assert [(m.width, m.height, m.k[0]) for m in infos] == [(48, 32, 60), (48, 32, 60), (64, 20, 160)]


def test_images_that_camera_info_does_not_fit_are_told(tmp_path, capsys):
    made = camera(2)
    odd = START + 7 * STEP
    made.append(("/camera/image_raw", image(picture(0, 20, 20), "rgb8", odd), odd))
    assert run(write(tmp_path / "in", made), tmp_path / "out") == 1
    assert "the image is 20x20 but camera_info describes 48x32" in capsys.readouterr().err
    assert stamps(tmp_path / "out", DEPTH) == [START, START + STEP]


def test_works_where_ros_cannot_be_imported(tmp_path):
    """A child process that refuses ROS's modules writes a bag."""
    old = write(tmp_path / "in", camera(1))
    script = """
import re, sys
class NoRos:
    def find_spec(self, name, path=None, target=None):
        if re.fullmatch(r"rclpy|\\w+_msgs|\\w+_interfaces|cv_bridge|rosbag2_py|torch", name.split(".")[0]):
            raise ModuleNotFoundError(f"{name} is not to be imported", name=name)
sys.meta_path.insert(0, NoRos())
from cli.bag_maker import run
sys.exit(run(*sys.argv[1:]))
"""
    child = subprocess.run([sys.executable, "-c", script, old, tmp_path / "out"], env=_path(), text=True, check=False)
    assert child.returncode == 0
    assert len(read(tmp_path / "out")[DEPTH]) == 1


def _path():
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    return {**os.environ, "PYTHONPATH": os.pathsep.join([os.path.dirname(here), here])}


def test_infos_of_the_same_stamp_come_first(tmp_path):
    """The zoom changes from image to image; camera_info comes after its image."""
    made = []
    for n, focal in enumerate((40.0, 50.0, 60.0)):
        stamp = START + n * STEP
        made.append(("/camera/image_raw", image(picture(n), "rgb8", stamp), stamp))
        made.append(("/camera/camera_info", info(stamp, focal=focal), stamp + DELAY))
    assert run(write(tmp_path / "in", made), tmp_path / "out") == 0
    assert [m.k[0] for m in messages(tmp_path / "out", INFO_OUT)] == [40, 50, 60]
