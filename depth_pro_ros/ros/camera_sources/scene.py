"""A procedural room with true depth and poses."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from depth_pro_ros.geometry.pinhole import centred, focal_from_fov
from depth_pro_ros.records import Pose
from depth_pro_ros.ros.camera_sources.frame import Calibration, CameraFrame

NOMINAL_RATE_HZ = 10.0
_NEAR_M = 4.0  # from here on a pixel is at least a texel
_TEXEL_M = (0.008, 0.04)


class SceneSource:
    """A flight along the aisle of a furnished room, there and back, whose loops join seamlessly."""

    live = False
    has_depth = has_pose = True
    skipped = 0

    @property
    def has_right(self) -> bool:
        """Return whether every frame has a right one beside it."""
        return self._baseline_m > 0

    def __init__(
        self, seed: int, width: int, height: int, fov_deg: float, rate_hz: float = 0.0, baseline_m: float = 0.0
    ) -> None:
        """Build room `seed` and a centred camera of `fov_deg` across `width`; `rate_hz` 0 means 10.

        With `baseline_m` every frame has a right one beside it, seen from that far to the right.
        """
        from depth_pro_ros.scenes import World  # here, for it imports torch, which other sources do without

        self._camera = centred(width, height, focal_from_fov(fov_deg, width))
        self._world = World("aisle", seed, texel_m=float(np.clip(_NEAR_M / self._camera.fx, *_TEXEL_M)))
        self._rate_hz = rate_hz or NOMINAL_RATE_HZ
        self._baseline_m = baseline_m
        self._count = max(1, round(self._world.flight_period_s * self._rate_hz))
        self.description = f"scene {seed}, {width}x{height}, {fov_deg:g} degrees, {self._count} frames"

    def frames(self) -> Iterator[CameraFrame]:
        """Yield the frames of one flight."""
        calibration = Calibration(self._camera)
        for pose in self._world.flight(self._count, self._rate_hz):
            view = self._world.render(self._camera, pose.T_world_camera)
            yield CameraFrame(pose.stamp_ns, view.rgb, calibration, view.depth_m, pose, right=self._right(pose))

    def _right(self, pose: Pose) -> CameraFrame | None:
        """Return what the right camera of the pair sees; Tx = -fx B (sensor_msgs/CameraInfo)."""
        if not self._baseline_m:
            return None
        projection = np.hstack((self._camera.matrix, np.zeros((3, 1))))
        projection[0, 3] = -self._camera.fx * self._baseline_m
        T_left_right = np.eye(4)
        T_left_right[0, 3] = self._baseline_m
        view = self._world.render(self._camera, pose.T_world_camera @ T_left_right)
        return CameraFrame(pose.stamp_ns, view.rgb, Calibration(self._camera, projection=tuple(projection.ravel())))

    def close(self) -> None:
        """Do nothing: a scene holds no resource."""
