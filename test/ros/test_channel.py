"""One camera's side of a node, before a node that only notes what it is asked for."""

import types

import pytest
from diagnostic_msgs.msg import DiagnosticStatus
from std_msgs.msg import String

from depth_pro_ros.errors import ImageError
from depth_pro_ros.ros.channel import Channel


class NotingNode:
    """Notes publications and log lines, and makes neither topics nor sound."""

    def __init__(self):
        self.events, self.topics = [], []

    def get_fully_qualified_name(self):
        return "/robot/depth_node"

    def create_lifecycle_publisher(self, kind, topic, qos, qos_overriding_options):
        self.topics.append(topic)
        return types.SimpleNamespace(
            publish=lambda message: self.events.append(f"{topic} published {message}"), get_subscription_count=lambda: 1
        )

    def get_logger(self):
        return types.SimpleNamespace(error=lambda text, **_: self.events.append(text))


@pytest.fixture
def node():
    return NotingNode()


def channel(node, name=""):
    made = Channel(node, {"depth": String, "points": String, "sigma": String}, name, lambda: {"scale": 2})
    made.advertise()
    return made


def test_a_named_camera_has_its_topics_and_its_diagnostics_under_its_name(node):
    front = channel(node, "front")
    assert node.topics == ["front/depth", "front/points", "front/sigma"] and front.wanted() == {
        "depth", "points", "sigma"}  # fmt: skip
    status = front.status("active")
    assert (status.name, status.hardware_id) == ("robot/depth_node: front", "front")
    assert {"scale": "2", "subscribed": "depth points sigma"}.items() <= {v.key: v.value for v in status.values}.items()
    only = channel(node)
    assert node.topics[3:] == ["depth", "points", "sigma"]
    assert (only.status("active").name, only.status("active").hardware_id) == ("robot/depth_node", "depth_pro_ros")


def test_each_message_goes_out_before_the_next_is_made(node):
    def make(name, message):
        return lambda: node.events.append(f"{name} made") or message

    stages = channel(node).send({"depth": make("depth", "1 m"), "sigma": make("sigma", None), "points": "cloud"})
    assert node.events == ["depth made", "depth published 1 m", "sigma made", "points published cloud"]
    assert list(stages) == ["messages", "publish"]


@pytest.mark.parametrize(
    ("error", "counter", "level", "words"),
    [
        (ImageError("too dark"), "rejected", DiagnosticStatus.WARN, "frame lost: too dark"),
        (ZeroDivisionError("a bug"), "failed", DiagnosticStatus.ERROR, "frame failed: ZeroDivisionError: a bug"),
    ],
)
def test_a_step_that_fails_is_counted_told_and_gone(node, error, counter, level, words):
    def fail():
        raise error

    front = channel(node, "front")
    assert front.attempt(lambda: 5) == 5
    assert front.attempt(fail) is None
    assert node.events == [f"front: {words}"]
    status = front.status("active")
    assert (status.level, status.message) == (level, words)
    assert {v.key: v.value for v in status.values}[counter] == "1"
