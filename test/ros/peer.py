"""The other side of a topic: a node in the test's own process, on the same private domain as the node under test."""

import contextlib
import os
import threading
import time

import rclpy
from lifecycle_msgs.srv import GetState
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy
from ros.process import PATIENCE

TRANSPORT = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE", "ROS_AUTOMATIC_DISCOVERY_RANGE")


class Peer:
    """Publishes, subscribes and calls services; collects what comes, by topic."""

    def __init__(self, ros_env):
        os.environ.update((name, ros_env[name]) for name in TRANSPORT if name in ros_env)
        self.context = Context()
        rclpy.init(context=self.context, domain_id=int(ros_env["ROS_DOMAIN_ID"]))
        self.node = rclpy.create_node("peer", context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.received = {}
        self.arrived_at = {}
        self._thread = threading.Thread(target=self._spin)
        self._thread.start()

    def _spin(self):
        with contextlib.suppress(ExternalShutdownException):
            self.executor.spin()

    def publisher(self, kind, topic, reliability=ReliabilityPolicy.RELIABLE, depth=5):
        return self.node.create_publisher(kind, topic, QoSProfile(depth=depth, reliability=reliability))

    def collect(self, kind, topic, reliability=ReliabilityPolicy.RELIABLE, depth=50):
        messages = self.received.setdefault(topic, [])
        times = self.arrived_at.setdefault(topic, [])

        def take(message):
            times.append(time.time_ns())
            messages.append(message)

        return self.node.create_subscription(kind, topic, take, QoSProfile(depth=depth, reliability=reliability))

    def call(self, kind, service, request, timeout_s=20.0):
        client = self.node.create_client(kind, service)
        assert client.wait_for_service(PATIENCE * timeout_s), f"no service {service}"
        future = client.call_async(request)
        self.wait(future.done, timeout_s, f"an answer of {service}")
        self.node.destroy_client(client)
        return future.result()

    def settle(self, node):
        """Return once `node` has taken what was published before: its executor answers services after topics."""
        return self.call(GetState, f"/{node}/get_state", GetState.Request())

    def wait(self, condition, timeout_s=30.0, what="the condition"):
        """Poll `condition` until it holds; fail after `timeout_s`."""
        end = time.monotonic() + PATIENCE * timeout_s
        while not (result := condition()):
            assert time.monotonic() < end, f"waited {timeout_s} s in vain for {what}; last status: {self.status('')}"
            time.sleep(0.02)
        return result

    def status(self, name="depth_node"):
        """Return the newest diagnostic values of a node, as a dict, with its message and level."""
        for array in reversed(self.received.get("/diagnostics", [])):
            for status in array.status:
                if status.name.endswith(name):
                    values = {pair.key: pair.value for pair in status.values}
                    return {**values, "message": status.message, "level": status.level}
        return {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.context.try_shutdown()
        self._thread.join()
        self.executor.shutdown()
        self.node.destroy_node()
