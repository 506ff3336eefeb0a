"""A procedural room with true depth and poses."""

from __future__ import annotations

from collections.abc import Iterator

from depth_pro_ros.geometry.pinhole import centred, focal_from_fov
from depth_pro_ros.ros.camera_sources.frame import Calibration, CameraFrame
from depth_pro_ros.scenes import Room

NOMINAL_RATE_HZ = 10.0


class SceneSource:
    """A flight through `Room(seed)`, there and back; the frames before a loop and after it join seamlessly."""

    live = False
    has_depth = has_pose = True
    skipped = 0

    def __init__(self, seed: int, width: int, height: int, fov_deg: float, rate_hz: float = 0.0) -> None:
        """Build the room and a centred camera of `fov_deg` across `width`; `rate_hz` 0 means 10."""
        self._room = Room(seed)
        self._camera = centred(width, height, focal_from_fov(fov_deg, width))
        self._rate_hz = rate_hz or NOMINAL_RATE_HZ
        self._count = max(1, round(self._room.flight_period_s * self._rate_hz))
        self.description = f"scene {seed}, {width}x{height}, {fov_deg:g} degrees, {self._count} frames"

    def frames(self) -> Iterator[CameraFrame]:
        """Yield the frames of one flight."""
        calibration = Calibration(self._camera)
        for pose in self._room.flight(self._count, self._rate_hz):
            rgb, depth_m = self._room.render(self._camera, pose.T_world_camera)
            yield CameraFrame(pose.stamp_ns, rgb, calibration, depth_m, pose)

    def close(self) -> None:
        """Do nothing: a scene holds no resource."""
