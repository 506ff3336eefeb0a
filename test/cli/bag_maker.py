"""Small bags made by hand, what a bag holds, and a predictor whose depth is known."""

import argparse
from pathlib import Path

import cv2
import numpy as np
from rosbags.rosbag2 import Reader, StoragePlugin, Writer
from rosbags.typesys import Stores, get_typestore

from depth_pro_ros.cli import bag
from depth_pro_ros.errors import InferenceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap

STORE = get_typestore(Stores.ROS2_HUMBLE)
T = STORE.types
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO, DISPARITY = "sensor_msgs/msg/CameraInfo", "stereo_msgs/msg/DisparityImage"
START = 1_700_000_000_000_000_000
STEP = 100_000_000
DELAY = 3_000_000  # between a stamp and its receipt
WIDTH, HEIGHT = 48, 32
FOCAL = 40.0
STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}


def header(stamp_ns, frame="camera"):
    sec, nanosec = divmod(stamp_ns, 10**9)
    time = T["builtin_interfaces/msg/Time"](sec=sec, nanosec=nanosec)
    return T["std_msgs/msg/Header"](stamp=time, frame_id=frame)


def image(pixels, encoding, stamp_ns, frame="camera"):
    return T[IMAGE](
        header=header(stamp_ns, frame),
        height=pixels.shape[0],
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=0,
        step=pixels.nbytes // pixels.shape[0],
        data=np.ascontiguousarray(pixels).reshape(-1).view(np.uint8),
    )


def depth_pixels(stamp_ns):
    """Return a depth message."""
    return image(np.ones((4, 4), np.uint16), "16UC1", stamp_ns)


def picture(number, width=WIDTH, height=HEIGHT):
    """Return a picture (height, width, 3) that differs from number to number; red is not blue."""
    rgb = np.zeros((height, width, 3), np.uint8)
    rgb[..., 0] = np.arange(width) * 4
    rgb[..., 1] = np.arange(height)[:, None] * 6
    rgb[..., 2] = 10 * number
    return rgb


def jpeg(rgb, stamp_ns, frame="camera"):
    data = cv2.imencode(".png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR))[1]
    return T[COMPRESSED](header=header(stamp_ns, frame), format="rgb8; png compressed", data=data.reshape(-1))


def info(stamp_ns, width=WIDTH, height=HEIGHT, focal=FOCAL, d=(), p_focal=None, frame="camera"):
    k = np.array([focal, 0, (width - 1) / 2, 0, focal, (height - 1) / 2, 0, 0, 1])
    p_focal = focal if p_focal is None else p_focal
    p = np.array([p_focal, 0, (width - 1) / 2, 0, 0, p_focal, (height - 1) / 2, 0, 0, 0, 1, 0], np.float64)
    roi = T["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return T[INFO](
        header=header(stamp_ns, frame),
        height=height,
        width=width,
        distortion_model="plumb_bob",
        d=np.array(d, np.float64),
        k=k,
        r=np.eye(3).ravel(),
        p=p,
        binning_x=0,
        binning_y=0,
        roi=roi,
    )


def disparity(depth_m, stamp_ns, focal, baseline, frame="camera"):
    roi = T["sensor_msgs/msg/RegionOfInterest"](x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    return T[DISPARITY](
        header=header(stamp_ns, frame),
        image=image((focal * baseline / depth_m).astype(np.float32), "32FC1", stamp_ns, frame),
        f=focal,
        t=baseline,
        valid_window=roi,
        min_disparity=0.1,
        max_disparity=200.0,
        delta_d=0.0625,
    )


def write(path, messages, storage="mcap", qos=()):
    """Write (topic, message or (type, CDR), receive time); return the path."""
    with Writer(path, version=8, storage_plugin=STORAGES[storage]) as writer:
        connections = {}
        for topic, message, received_ns in messages:
            msgtype, raw = message if isinstance(message, tuple) else (message.__msgtype__, None)
            if topic not in connections:
                connections[topic] = writer.add_connection(
                    topic, msgtype, typestore=STORE, offered_qos_profiles=list(qos)
                )
            raw = STORE.serialize_cdr(message, msgtype) if raw is None else raw
            writer.write(connections[topic], received_ns, raw)
    return path


def camera(count=4, topic="/camera/image_raw", with_info=True, **options):
    """Return the messages of a camera: `count` pictures, and a camera_info beside each."""
    messages = []
    space = topic.rpartition("/")[0]
    for n in range(count):
        stamp = START + n * STEP
        if with_info:
            messages.append((f"{space}/camera_info", info(stamp, **options), stamp + DELAY - 1000))
        messages.append((topic, image(picture(n), "rgb8", stamp), stamp + DELAY))
    return messages


def read(path):
    """Return topic → [(receive time, CDR)] of a bag."""
    found = {}
    with Reader(path) as reader:
        for connection, received_ns, raw in reader.messages():
            found.setdefault(connection.topic, []).append((received_ns, bytes(raw)))
    return found


def messages(path, topic):
    """Return the deserialised messages of a topic."""
    with Reader(path) as reader:
        chosen = [c for c in reader.connections if c.topic == topic]
        return [STORE.deserialize_cdr(raw, c.msgtype) for c, _, raw in reader.messages(chosen)] if chosen else []


def pixels(message, dtype=np.float32):
    """Return a one-channel image's pixels."""
    return message.data.view(dtype).reshape(message.height, message.width)


RAMP = np.linspace(1.0, 3.0, WIDTH * HEIGHT, dtype=np.float32).reshape(HEIGHT, WIDTH)


class KnownPredictor:
    """Gives RAMP for a focal length of FOCAL, in proportion for others, with one unknown and one infinite pixel.

    Without intrinsics it believes FOCAL times 1, 2, 4, 1, 2, ... in turn. `calls` holds the arguments, `fail` maps the
    number of a call to what it raises.
    """

    description = {"weights": "known", "preset": "none", "trained": True}

    def __init__(self, fail=None, ramp=RAMP):
        self.calls = []
        self.fail = fail or {}
        self.ramp = ramp

    def predict(self, rgb, intrinsics=None, focal_px=None, size=None, estimate_focal=None):
        self.calls.append((rgb, intrinsics, focal_px, size))
        number = len(self.calls) - 1
        if number in self.fail:
            raise self.fail[number]
        height, width = rgb.shape[:2]
        estimate = None
        if intrinsics is None and focal_px is None:
            estimate = focal_px = FOCAL * 2.0 ** (number % 3)
        camera = intrinsics or pinhole.centred(width, height, focal_px)
        width, height = size or (width, height)
        depth = cv2.resize(self.ramp, (width, height), interpolation=cv2.INTER_NEAREST) * np.float32(camera.fx / FOCAL)
        depth[0, 0], depth[0, 1] = np.nan, np.inf
        return DepthMap(depth, pinhole.resize(camera, width, height), camera.fx, estimate, {"network": 1.0})


BROKEN = InferenceError("the device ran out of memory")


def run(source, out, *argv, predictor=None):
    """Run the command as the command line would, with the known predictor; return its status."""
    parser = argparse.ArgumentParser()
    bag.add_arguments(parser)
    known = predictor or KnownPredictor()
    return bag.run(parser.parse_args([str(a) for a in (source, out, *argv)]), load=lambda *a, **k: known)


def like_the_sensor(recording, cue):
    """Return a ramp for KnownPredictor: the first message of a depth topic with noise, 3 times too far."""
    first = pixels(messages(recording, cue)[0], np.uint16) / np.float32(1000)
    whole = np.where(first > 0, first, np.median(first[first > 0])).astype(np.float32)
    return whole * np.random.default_rng(0).normal(3, 0.05, whole.shape).astype(np.float32)


def stamps(path: Path, topic: str):
    """Return the stamps in ns of a topic's messages."""
    return [m.header.stamp.sec * 10**9 + m.header.stamp.nanosec for m in messages(path, topic)]
