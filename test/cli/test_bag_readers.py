"""The new bag as others read it: mcap's own reader, SQLite, and rclpy, in a process of its own."""

import json
import sqlite3
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import yaml
from cli.bag_maker import KnownPredictor, like_the_sensor, messages, run
from mcap.reader import make_reader

CUE = "/camera/aligned_depth_to_color/image_raw"
DEPTH, INFO = "/camera/color/depth/image_rect", "/camera/color/depth/camera_info"
POINTS, SIGMA = "/camera/color/points", "/camera/color/depth/sigma"

DESERIALISE = """
import json, sys, zlib
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs import msg as sensor_msgs
found = {}
for topic, msgtype, path in json.load(sys.stdin):
    raw = open(path, "rb").read()
    message = deserialize_message(raw, getattr(sensor_msgs, msgtype.rpartition('/')[2]))
    told = {"stamp": [message.header.stamp.sec, message.header.stamp.nanosec], "frame": message.header.frame_id}
    told["bytes"] = len(serialize_message(message))  # rclpy leaves what it likes in the bytes between fields
    for name in ("width", "height", "encoding", "step", "point_step", "row_step", "is_dense", "distortion_model"):
        if hasattr(message, name):
            told[name] = getattr(message, name)
    if hasattr(message, "k"):
        told |= {"k": list(message.k), "d": list(message.d), "p": list(message.p)}
    if hasattr(message, "data"):
        told["crc"] = zlib.crc32(message.data)
    found.setdefault(topic, []).append(told)
json.dump(found, sys.stdout)
"""


@pytest.fixture(scope="module")
def recording(data_dir):
    return data_dir / "rosbag2" / "tum_fr1_desk_rgbd"


def make(recording, out, storage):
    """Write the recording with depth at half size, clouds and sigma, fused with the depth camera."""
    argv = ["--cue", CUE, "--sigma", "--cloud", "--cloud-stride", "8", "--scale", "0.5", "--storage", storage]
    assert run(recording, out, *argv, predictor=KnownPredictor(ramp=like_the_sensor(recording, CUE))) == 0
    return out


def mcap_messages(path):
    """Return (topic, type, receive time, publish time, CDR) by mcap's reader, which checks every index on its way."""
    with open(path, "rb") as file:
        reader = make_reader(file, validate_crcs=True)
        passing = reader.iter_messages()
        return [(c.topic, s.name, m.log_time, m.publish_time, m.data) for s, c, m in passing]


def sqlite_messages(path):
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    query = (
        "SELECT topics.name, topics.type, timestamp, timestamp, data FROM messages JOIN topics "
        "ON topics.id = topic_id ORDER BY timestamp, messages.id"
    )
    return connection.execute(query).fetchall()


def by_rclpy(found, tmp_path, env):
    """Return topic → what rclpy says of each message of the stamped topics."""
    wanted = []
    for number, (topic, msgtype, _, _, raw) in enumerate(found):
        (tmp_path / f"{number}.cdr").write_bytes(raw)
        wanted.append((topic, msgtype, str(tmp_path / f"{number}.cdr")))
    child = subprocess.run(
        [sys.executable, "-c", DESERIALISE],
        env=env,
        input=json.dumps(wanted),
        capture_output=True,
        text=True,
        check=False,
    )
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_others_read_what_was_written(recording, tmp_path, ros_env, storage):
    out = make(recording, tmp_path / "out", storage)
    read = mcap_messages if storage == "mcap" else sqlite_messages
    found = read(out / f"out.{'mcap' if storage == 'mcap' else 'db3'}")
    old = mcap_messages(recording / "tum_fr1_desk_rgbd.mcap")
    made = {DEPTH, INFO, POINTS, SIGMA}
    assert sorted(m for m in found if m[0] not in made) == sorted(old)
    images = [(at, raw) for topic, _, at, _, raw in old if topic == "/camera/color/image_raw"]
    for topic in made:
        new = [(at, raw) for name, _, at, _, raw in found if name == topic]
        assert [at for at, _ in new] == [at for at, _ in images]
        heads = [raw[4 : 16 + raw[12]] for _, raw in new]  # stamp, length of the frame's name, the name
        assert heads == [raw[4 : 16 + raw[12]] for _, raw in images]
    told = by_rclpy([m for m in found if m[0] in made], tmp_path, ros_env)
    for topic, read_back in told.items():
        assert [message["bytes"] for message in read_back] == [len(raw) for name, *_, raw in found if name == topic]
    for topic in (DEPTH, POINTS, SIGMA):
        assert [message["crc"] for message in told[topic]] == [zlib.crc32(m.data) for m in messages(out, topic)]
    depth, info, cloud = told[DEPTH][0], told[INFO][0], told[POINTS][0]
    assert (depth["width"], depth["height"], depth["encoding"], depth["step"]) == (320, 240, "32FC1", 1280)
    assert (info["width"], info["height"], info["d"]) == (320, 240, [0.0] * 5)
    assert (cloud["width"], cloud["height"], cloud["point_step"], cloud["row_step"]) == (40, 30, 16, 640)
    k = np.reshape(info["k"], (3, 3))
    np.testing.assert_array_equal(np.reshape(info["p"], (3, 4))[:, :3], k)
    assert cloud["is_dense"] is False


def test_camera_info_by_rclpy_is_the_recording_s_scaled(recording, tmp_path, ros_env):
    found = mcap_messages(make(recording, tmp_path / "out", "mcap") / "out.mcap")
    told = by_rclpy([m for m in found if m[0] in (INFO, "/camera/color/camera_info")], tmp_path, ros_env)
    for new, old in zip(told[INFO], told["/camera/color/camera_info"], strict=True):
        fx, fy, cx, cy = (old["p"][i] if any(old["p"]) else old["k"][j] for i, j in ((0, 0), (5, 4), (2, 2), (6, 5)))
        assert new["k"] == pytest.approx([fx / 2, 0, (cx + 0.5) / 2 - 0.5, 0, fy / 2, (cy + 0.5) / 2 - 0.5, 0, 0, 1])
        assert new["stamp"] == old["stamp"] and new["frame"] == old["frame"]


def test_mcap_s_summary_and_the_metadata_tell_types_counts_and_quality(recording, tmp_path):
    out = make(recording, tmp_path / "out", "mcap")
    with open(out / "out.mcap", "rb") as file:
        summary = make_reader(file).get_summary()
    counts = {summary.channels[i].topic: n for i, n in summary.statistics.channel_message_counts.items()}
    assert {counts[topic] for topic in (DEPTH, INFO, POINTS, SIGMA, CUE)} == {6}
    assert summary.statistics.message_count == 54
    schemas = {c.topic: summary.schemas[c.schema_id] for c in summary.channels.values()}
    assert schemas[POINTS].name == "sensor_msgs/msg/PointCloud2" and schemas[POINTS].encoding == "ros2msg"
    assert b"PointField[] fields" in schemas[POINTS].data and b"MSG: std_msgs/Header" in schemas[POINTS].data
    quality = {c.topic: yaml.safe_load(c.metadata["offered_qos_profiles"]) for c in summary.channels.values()}
    assert quality[CUE] is None
    assert (quality[DEPTH][0]["reliability"], quality[DEPTH][0]["durability"]) == (1, 2)  # rmw: RELIABLE, VOLATILE
    metadata = yaml.safe_load(Path(out / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert metadata["version"] == 8 and metadata["relative_file_paths"] == ["out.mcap"]
    types = {
        t["topic_metadata"]["name"]: (t["topic_metadata"]["type"], t["topic_metadata"]["type_description_hash"])
        for t in metadata["topics_with_message_count"]
    }
    assert types[DEPTH] == types[CUE] and types[DEPTH][0] == "sensor_msgs/msg/Image"
