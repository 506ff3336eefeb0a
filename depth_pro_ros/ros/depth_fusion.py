"""Depth frames tied to the cues of their stamps."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from std_msgs.msg import Header

from depth_pro_ros.errors import DepthProError
from depth_pro_ros.fusion import Fuser, FusionSettings, ScaleEstimate
from depth_pro_ros.records import DepthMap, MetricSamples
from depth_pro_ros.ros.cues import CUES, CueBuffer, check_frame
from depth_pro_ros.ros.depth_pipeline import DepthFrame
from depth_pro_ros.ros.parameters import Value
from depth_pro_ros.ros.stamps import nanoseconds


class DepthFusion:
    """Follows the scale over the frames of one camera.

    A frame takes the cues of its own stamp that have come by the time its depth is ready. A cue that comes
    later still moves the factor, before the next frame. A cue that cannot be used is told in `facts`, and
    the depth goes on without it.
    """

    def __init__(self, settings: Mapping[str, Value]):
        self._settings = settings
        self._cues = CueBuffer(float(settings["fusion.tolerance"]))
        self._fuser = Fuser(
            FusionSettings(
                residual_field=bool(settings["fusion.residual_field"]), pixel_blend=bool(settings["fusion.pixel_blend"])
            )
        )
        self._reset = threading.Event()
        self._previous: tuple[Header, DepthMap, set[str]] | None = None
        self._estimate: ScaleEstimate | None = None
        self._problem = ""

    def add(self, topic: str, msg: Any) -> None:
        """Take a cue, on any thread."""
        self._cues.add(topic, msg)

    def reset(self) -> None:
        """Forget the factor before the next frame; may be called on any thread."""
        self._reset.set()

    def expect(self, header: Header) -> None:
        """Begin to keep the cues of the image of `header`, whose depth is about to be inferred."""
        self._cues.pin(header)

    def apply(self, frame: DepthFrame, header: Header) -> DepthFrame:
        """Return `frame` with fused depth, sigma and scale; the very same depth while no cue has fixed a factor."""
        start = time.perf_counter()
        if self._reset.is_set():
            self._reset.clear()
            self._fuser.reset()
        self._take_late_cues()
        samples = self._samples(self._cues.peek(header), header, frame.depth)
        fused = self._fuser.fuse(frame.depth, list(samples.values()), nanoseconds(header))
        self._previous = (header, frame.depth, set(samples))
        self._estimate = fused.factor
        stages = {**frame.stages_ms, "fuse": (time.perf_counter() - start) * 1e3}
        return replace(
            frame,
            depth=fused.depth,
            sigma_relative=fused.sigma_relative,
            scale=fused.factor,
            unfused=frame.depth,
            stages_ms=stages,
        )

    def _take_late_cues(self) -> None:
        """Let cues of the frame before move the factor that came after it was published."""
        if self._previous is None:
            return
        header, depth, used = self._previous
        late = {topic: msg for topic, msg in self._cues.take(header).items() if topic not in used}
        if samples := self._samples(late, header, depth):
            self._fuser.update(depth, list(samples.values()), nanoseconds(header))

    def _samples(self, cues: Mapping[str, Any], header: Header, depth: DepthMap) -> dict[str, MetricSamples]:
        """Return topic → samples of the cues that can be used; of the others, `_problem` tells why they cannot."""
        samples = {}
        for topic, msg in cues.items():
            try:
                check_frame(msg, header)
                samples[topic] = CUES[topic][1](msg, depth.intrinsics, self._settings)
                self._problem = ""
            except DepthProError as error:
                self._problem = f"{topic}: {error}"
        return samples

    def facts(self) -> dict[str, object]:
        """Return the factor and its health for the diagnostics."""
        estimate = self._estimate
        facts: dict[str, object] = {"cue_problem": self._problem or "none"}
        if estimate is not None:
            facts["scale_state"] = estimate.state
            facts["scale_reason"] = estimate.reason
            if estimate.known:
                names = ("scale", "shift_inv", "sigma_log", "inliers", "residual", "age_s")
                facts |= {f"scale_{name}".replace("scale_scale", "scale"): getattr(estimate, name) for name in names}
        return facts
