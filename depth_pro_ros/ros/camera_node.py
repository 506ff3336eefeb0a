"""camera_node: a folder, video, bag, device or procedural scene as a camera, for demos, tests and replays."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from typing import Any

from nav_msgs.msg import Odometry
from rclpy.duration import Duration
from rclpy.lifecycle import LifecyclePublisher, LifecycleState, TransitionCallbackReturn
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.qos_overriding_options import QoSOverridingOptions
from sensor_msgs.msg import CameraInfo, CompressedImage, Image
from std_msgs.msg import Header

from depth_pro_ros.allocator import keep_frames
from depth_pro_ros.errors import DepthProError
from depth_pro_ros.ros import parameters
from depth_pro_ros.ros.camera_parameters import CAMERA_PARAMETERS
from depth_pro_ros.ros.camera_sources import CameraFrame, CameraSource, messages, open_source
from depth_pro_ros.ros.camera_sources.pacing import paced, played
from depth_pro_ros.ros.images import encode_depth
from depth_pro_ros.ros.lifecycle import ManagedNode, run, transition

_POLL_S = 0.05
_DELIVERY = Duration(seconds=2)


class CameraNode(ManagedNode):
    """Publishes `image` and `camera_info`, and the truth where the source knows it; see CAMERA_PARAMETERS.

    on_configure opens and checks the source, on_activate plays it from its start in one thread of its own,
    so that a slow source holds up no service. `finished` is done, with the exit status, when `exit_at_end`
    is set and the source has ended or failed.
    """

    def __init__(self, **options: Any) -> None:
        """Declare the parameters; nothing is opened before on_configure."""
        super().__init__("camera_node", **options)
        self._source: CameraSource | None = None
        self._settings: dict[str, Any] = {}
        self._publishers_by_topic: dict[str, LifecyclePublisher] = {}
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        parameters.declare(self, CAMERA_PARAMETERS, locked=lambda: self._source is not None)

    def autostart(self) -> bool:
        """Configure and activate when the parameter `autostart` says so; a failure is final with `exit_at_end`."""
        started = super().autostart()
        if not started and self.get_parameter("exit_at_end").value is True:
            self.finished.set_result(1)
        return started

    @transition
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Open the source; on failure log why and stay unconfigured, to be configured again."""
        try:
            self._settings = parameters.read(self, CAMERA_PARAMETERS)
            self._source = open_source(self._settings, self.get_logger().warning)
        except DepthProError as error:
            self.get_logger().error(str(error))
            return TransitionCallbackReturn.FAILURE
        self._create_publishers(self._source)
        self.get_logger().info(f"source: {self._source.description}")
        return super().on_configure(state)

    @transition
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Play the source from its first frame."""
        result = super().on_activate(state)
        self._stop.clear()
        self._thread = threading.Thread(target=self._play, name="camera")
        self._thread.start()
        return result

    @transition
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop playing, after the frame at hand."""
        self.close()
        return super().on_deactivate(state)

    @transition
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close the source and take the topics away."""
        self._release()
        return super().on_cleanup(state)

    @transition
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop playing and close the source, from whatever state."""
        self._release()
        return super().on_shutdown(state)

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Close everything, so that the node can be configured again."""
        self.get_logger().error(f"the transition from {state.label} failed; configure the node again")
        self._release()
        return TransitionCallbackReturn.SUCCESS

    def close(self) -> bool:
        """End the playing thread, if there is one, and wait for it; True, since no frame takes long."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        return True

    def destroy_node(self) -> None:
        """Release the source before the node goes."""
        self._release()
        super().destroy_node()

    def _release(self) -> None:
        self.close()
        for publisher in self._publishers_by_topic.values():
            self.destroy_lifecycle_publisher(publisher)
        self._publishers_by_topic = {}
        if self._source is not None:
            self._source.close()
            self._source = None

    def _create_publishers(self, source: CameraSource) -> None:
        types = {"image": Image, "camera_info": CameraInfo}
        if self._settings["compressed"]:
            types["image/compressed"] = CompressedImage
        if source.has_depth:
            types["ground_truth/depth"] = Image
        if source.has_pose:
            types["odometry"] = Odometry
        if source.has_right:
            types.update({"right/image": Image, "right/camera_info": CameraInfo})
        for topic, message_type in types.items():
            self._publishers_by_topic[topic] = self.create_lifecycle_publisher(
                message_type,
                topic,
                QoSProfile(depth=5, reliability=ReliabilityPolicy.RELIABLE),
                qos_overriding_options=QoSOverridingOptions.with_default_policies(),
            )

    def _play(self) -> None:
        """Publish every frame when it is due, say how it ended and, with `exit_at_end`, end the process."""
        status, count = 1, 0
        try:
            self._wait_to_start()
            frames = played(self._source, self._settings["loop"], self._settings["frames"])
            for frame in paced(frames, self._settings["rate"], self._source.live, self._stop):
                self._publish(frame)
                count += 1
            status = 0
            self._say_goodbye(count)
        except DepthProError as error:
            self.get_logger().error(f"the source failed after {count} frames: {error}")
        finally:
            if self._settings["exit_at_end"] and not self._stop.is_set():
                self.finished.set_result(status)

    def _say_goodbye(self, count: int) -> None:
        """Log the end of the source; before the process ends, wait until the last messages have arrived."""
        if self._stop.is_set():
            return
        self.get_logger().info(f"end of the source: {count} frames, {self._source.skipped} skipped")
        if self._settings["exit_at_end"]:
            for publisher in self._publishers_by_topic.values():
                publisher.wait_for_all_acked(_DELIVERY)

    def _wait_to_start(self) -> None:
        """Wait, if wanted, for a subscriber of the image, but not for ever, and then for `start_delay`."""
        deadline = time.monotonic() + self._settings["subscriber_timeout"]
        waiting = self._settings["wait_for_subscribers"]
        while waiting and not self._is_watched("image", "image/compressed"):
            if time.monotonic() > deadline:
                self.get_logger().warning(f"no subscriber within {self._settings['subscriber_timeout']:g} s; starting")
                break
            if self._stop.wait(_POLL_S):
                return
        self._stop.wait(self._settings["start_delay"])

    def _is_watched(self, *topics: str) -> bool:
        found = (self._publishers_by_topic.get(topic) for topic in topics)
        return any(publisher is not None and publisher.get_subscription_count() for publisher in found)

    def _publish(self, frame: CameraFrame) -> None:
        """Publish one frame, all messages under the same stamp; what nobody watches is not made."""
        publishers, header = self._publishers_by_topic, self._header(frame)
        publishers["camera_info"].publish(messages.info_message(frame, header))
        if frame.pose is not None:
            publishers["odometry"].publish(messages.odometry_message(frame.pose, header))
        if frame.depth_m is not None and self._is_watched("ground_truth/depth"):
            publishers["ground_truth/depth"].publish(encode_depth(frame.depth_m, "32FC1", header))
        publishers["image"].publish(messages.image_message(frame, header))
        if frame.right is not None:
            publishers["right/camera_info"].publish(messages.info_message(frame.right, header))
            publishers["right/image"].publish(messages.image_message(frame.right, header))
        if self._is_watched("image/compressed"):
            jpeg = messages.compressed_message(frame, self._settings["jpeg_quality"], header)
            publishers["image/compressed"].publish(jpeg)

    def _header(self, frame: CameraFrame) -> Header:
        header = Header(frame_id=self._settings["frame_id"] or frame.frame_id)
        if self._settings["stamp"] == "now":
            header.stamp = self.get_clock().now().to_msg()
        else:
            header.stamp.sec, header.stamp.nanosec = divmod(frame.stamp_ns, 1_000_000_000)
        return header


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until SIGINT, SIGTERM or, with `exit_at_end`, the end of its source; return the exit status."""
    keep_frames()
    return run(CameraNode, args)


if __name__ == "__main__":
    sys.exit(main())
