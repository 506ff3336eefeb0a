"""stereo_node: a stereo pair in; disparity and metric depth out."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence

from sensor_msgs.msg import CameraInfo, Image
from stereo_msgs.msg import DisparityImage

from depth_pro_ros.allocator import keep_frames
from depth_pro_ros.ros.camera_info import info_from_intrinsics
from depth_pro_ros.ros.disparity_messages import encode_disparity
from depth_pro_ros.ros.frame_node import FrameNode, Work
from depth_pro_ros.ros.images import encode_depth
from depth_pro_ros.ros.lifecycle import run
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.stamp_pairing import StampPairer
from depth_pro_ros.ros.stamps import nanoseconds
from depth_pro_ros.ros.stereo_parameters import STEREO_PARAMETERS
from depth_pro_ros.ros.stereo_pipeline import StereoFrame, StereoPair, StereoPipeline

DISPARITY, DEPTH, DEPTH_INFO = "disparity", "depth/image_rect", "depth/camera_info"
OUTPUTS = {DEPTH_INFO: CameraInfo, DEPTH: Image, DISPARITY: DisparityImage}

PATIENCE_S = 2.0  # images that come for this long without making a pair are reported


class StereoNode(FrameNode):
    """Pairs left and right images, rectifies and matches them; see the README for topics and parameters."""

    def __init__(self) -> None:
        super().__init__("stereo_node", STEREO_PARAMETERS, OUTPUTS)
        self._pipeline: StereoPipeline | None = None
        self._pairer: StampPairer[Image, Image] | None = None
        self._newest: StereoFrame | None = None
        self._tolerance_ns = 0
        self._alone_since: float | None = None

    def prepare(self, values: Mapping[str, Value]) -> None:
        """Make the matcher; raises ConfigurationError for parameters that do not go together."""
        self._pipeline = StereoPipeline(values)
        self._tolerance_ns = round(values["sync.tolerance"] * 1e9)

    def release(self) -> None:
        """Let go of the matcher and the calibration."""
        self._pipeline = self._pairer = self._newest = None

    def listen(self) -> None:
        """Subscribe to both cameras; what waited for a partner before is forgotten."""
        self._pairer = StampPairer(self._tolerance_ns)
        self._alone_since = None
        self.subscribe(CameraInfo, "left/camera_info", self._pipeline.left_infos.add, depth=5)
        self.subscribe(CameraInfo, "right/camera_info", self._pipeline.right_infos.add, depth=5)
        self.subscribe(Image, "left/image", self._on_left, depth=5)
        self.subscribe(Image, "right/image", self._on_right, depth=5)

    # Callbacks, on the executor's thread.

    def _on_left(self, image: Image) -> None:
        self.health.count("received")
        self._take(self._pairer.add_left(nanoseconds(image.header), image))

    def _on_right(self, image: Image) -> None:
        self._take(self._pairer.add_right(nanoseconds(image.header), image))

    def _take(self, pair: tuple[Image, Image] | None) -> None:
        now = time.monotonic()
        if pair is not None:
            self._alone_since = None
            if self.wanted():
                self.offer(StereoPair(*pair))
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since > PATIENCE_S:
            self._alone_since = now
            self.lose("rejected", self._why_unpaired())

    def _why_unpaired(self) -> str:
        nearest_ns = self._pairer.nearest_ns
        if nearest_ns is None:
            return "images of one side only have come: check the topics left/image and right/image"
        return (
            f"no pair: left and right images are {nearest_ns / 1e6:.1f} ms apart at best, and sync.tolerance is "
            f"{self._tolerance_ns / 1e6:g} ms; synchronise the cameras (trigger), or raise it where nothing moves"
        )

    def facts(self) -> Mapping[str, object]:
        """Return the newest match's own figures, and doubts about it."""
        facts: dict[str, object] = {"unpaired": 0 if self._pairer is None else self._pairer.unpaired}
        if (frame := self._newest) is not None:
            facts.update(matched_share=round(frame.disparity.share, 4), quality=frame.doubt or "good")
            facts.update(baseline_m=round(frame.rig.baseline_m, 5), focal_px=round(frame.rig.left.fx, 3))
        return facts

    # One pair, on the thread.

    def work(self, pair: StereoPair, live: Mapping[str, Value]) -> Work:
        """Return the messages that are wanted of a pair, under the left image's header."""
        frame = self._newest = self._pipeline.process(pair, float(live["max_range"]))
        header, wanted = pair.left.header, self.wanted()
        makers = {
            DEPTH_INFO: lambda: info_from_intrinsics(frame.rig.left, header),
            DEPTH: lambda: encode_depth(frame.depth_m, "32FC1", header),
            DISPARITY: lambda: encode_disparity(frame.disparity, frame.rig, header, frame.window),
        }
        return header, {topic: make() for topic, make in makers.items() if topic in wanted}, frame.stages_ms


def main(args: Sequence[str] | None = None) -> int:
    """Run stereo_node as a process."""
    keep_frames()
    return run(StereoNode, args)


if __name__ == "__main__":
    sys.exit(main())
