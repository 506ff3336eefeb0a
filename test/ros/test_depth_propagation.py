"""Keyframes carried to images, thread by thread but without topics: what goes out, in which order, and what is said."""

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image
from std_msgs.msg import Header

from depth_pro_ros.geometry.pinhole import centred
from depth_pro_ros.records import DepthMap
from depth_pro_ros.ros import posed_images
from depth_pro_ros.ros.depth_outputs import DEPTH, SCALE, SIGMA
from depth_pro_ros.ros.depth_parameters import DEPTH_PARAMETERS
from depth_pro_ros.ros.depth_pipeline import DepthFrame, Picture
from depth_pro_ros.ros.depth_propagation import DepthPropagation, camera_poses

SETTINGS = {parameter.name: parameter.default for parameter in DEPTH_PARAMETERS}
WIDTH, HEIGHT, FOCAL, WALL_M = 64, 48, 50.0, 2.0
MESSAGES = {DEPTH: "depth", SIGMA: "sigma", SCALE: "scale"}


def head(seconds):
    return Header(stamp=Time(sec=int(seconds), nanosec=round(seconds % 1 * 1e9)), frame_id="camera")


def rgb(width=WIDTH, height=HEIGHT):
    return np.full((height, width, 3), 90, np.uint8)


@pytest.fixture
def clock(monkeypatch):
    """Return the time as [seconds], which stands still unless a test moves it."""
    now = [100.0]
    monkeypatch.setattr(posed_images.time, "monotonic", lambda: now[0])
    return now


class Stage:
    """A camera that moves along x at 1 m/s before a wall, and the threads' parts one after the other."""

    def __init__(self, **changed):
        self.settings = {**SETTINGS, **{name.replace("__", "."): value for name, value in changed.items()}}
        self.posed, self.warnings = [], []
        poses = camera_poses(None, self.settings)
        self.propagation = DepthPropagation(self.settings, poses, self.posed.append, self.warnings.append)

    def see(self, seconds, posed=True):
        """An image comes, and the odometry of its stamp; return whether the image is taken."""
        taken = self.propagation.take_image(Image(header=head(seconds)))
        if posed:
            self.move(seconds)
        return taken

    def move(self, seconds):
        message = Odometry(header=head(seconds))
        message.pose.pose.position.x, message.pose.pose.orientation.w = seconds, 1.0
        self.propagation.take_odometry(message)

    def infer(self, seconds, wall_m=WALL_M, sigma=None, size=(WIDTH, HEIGHT)):
        """The network's result of the image of `seconds` comes; return what of it goes out."""
        depth = DepthMap(np.full(size[::-1], wall_m, np.float32), centred(*size, FOCAL * size[0] / WIDTH), FOCAL)
        frame = self.propagation.take_keyframe(DepthFrame(rgb(*size), depth, None, {}, sigma), head(seconds))
        return frame, set(self.propagation.admit(head(seconds), MESSAGES, "keyframe"))

    def carry(self, picture=None):
        """The newest image with a pose is carried to; return its seconds, the frame and what goes out."""
        posed = self.posed[-1]
        frame = self.propagation.carry(posed, picture or Picture(rgb(), None, None, {}), self.settings)
        header = posed.image.header
        out = set() if frame is None else set(self.propagation.admit(header, MESSAGES, "carried"))
        return header.stamp.sec + header.stamp.nanosec * 1e-9, frame, out

    def fact(self, name):
        return self.propagation.facts()[name]


def test_a_late_keyframe_is_carried_forward_and_not_published_back_in_time():
    stage = Stage()
    stage.see(1.0)
    assert stage.carry()[1] is None and stage.fact("propagation") == "waiting for a first keyframe"
    stage.see(1.1)
    assert stage.infer(1.0)[1] == set(MESSAGES), "the first goes out itself: nothing newer has"
    stage.see(1.2)
    seconds, frame, out = stage.carry()
    assert seconds == pytest.approx(1.2) and out == set(MESSAGES)
    np.testing.assert_allclose(frame.depth.depth_m[:, 5:-5], WALL_M, rtol=1e-5)
    assert (stage.fact("depth_is"), stage.fact("keyframe_age_s")) == ("carried", 0.2)
    assert stage.fact("keyframe_baseline_m") == 0.2 and stage.fact("propagation") == "carrying"
    stage.see(1.5)
    assert stage.infer(1.1, wall_m=3.0)[1] == {SCALE}, "1.2 s has gone out: only what belongs to keyframes does"
    _, frame, out = stage.carry()
    np.testing.assert_allclose(frame.depth.depth_m[:, 10:-10], 3.0, rtol=1e-5)
    assert out == set(MESSAGES) and stage.fact("keyframe_age_s") == 0.4
    assert (stage.fact("keyframes"), stage.fact("published_carried"), stage.fact("published_keyframe")) == (2, 2, 1)
    assert stage.warnings == []


def test_the_same_stamp_never_goes_out_twice():
    stage = Stage()
    stage.see(1.0)
    stage.infer(1.0)
    assert not stage.propagation.in_time(head(1.0))
    assert stage.carry()[2] == {SCALE}


def test_carried_depth_moves_with_the_camera():
    stage = Stage(propagation__fill=False)
    stage.see(1.0)
    stage.infer(1.0)
    stage.see(1.4)
    _, frame, _ = stage.carry()
    # 0.4 m to the right before a wall at 2 m: the wall goes 50 * 0.4 / 2 = 10 px to the left.
    assert np.isfinite(frame.depth.depth_m[:, :54]).all() and np.isnan(frame.depth.depth_m[:, 54:]).all()
    assert stage.fact("carried_share") == pytest.approx(54 / 64, abs=1e-4) and stage.fact("filled_share") == 0
    stage = Stage()
    stage.see(1.0)
    stage.infer(1.0)
    stage.see(1.4)
    _, frame, _ = stage.carry()
    assert np.isfinite(frame.depth.depth_m[:, :58]).all() and stage.fact("filled_share") > 0.05


def test_sigma_tells_a_keyframe_from_what_is_carried_and_filled():
    stage = Stage(propagation__keyframe_sigma=0.05, propagation__scene_speed=0.1, propagation__drift=0.0)
    stage.see(1.0)
    frame, _ = stage.infer(1.0)
    np.testing.assert_allclose(frame.sigma_relative, 0.05)
    stage.see(1.4)
    _, frame, _ = stage.carry()
    np.testing.assert_allclose(frame.sigma_relative[:, :53], np.hypot(0.05, 0.04 / WALL_M), rtol=1e-4)
    assert frame.sigma_relative[:, 55].min() > 0.09
    fused = np.full((HEIGHT, WIDTH), 0.01, np.float32)
    assert stage.infer(1.4, sigma=fused)[0].sigma_relative is fused, "what fusion knows is kept"


def test_without_a_pose_there_are_keyframes_only_and_it_is_said(clock):
    stage = Stage(propagation__pose_timeout=0.3)
    for seconds in (1.0, 2.0, 3.0):
        stage.see(seconds, posed=False)
        assert stage.infer(seconds)[1] == set(MESSAGES)
    clock[0] += 0.4
    stage.propagation.match()
    assert stage.posed == [] and len(stage.warnings) == 3
    assert "keyframes only: an image waited 0.3 s for its pose: no odometry has come" in stage.warnings[0]
    assert stage.fact("propagation") == stage.warnings[-1] and stage.fact("depth_is") == "keyframe"


def test_a_pose_that_comes_after_its_keyframe():
    stage = Stage()
    stage.see(1.0, posed=False)
    stage.see(1.1, posed=False)
    assert stage.infer(1.0)[1] == set(MESSAGES), "a network faster than the odometry is not held up"
    stage.move(1.0)
    stage.move(1.1)
    assert len(stage.posed) == 2
    seconds, frame, out = stage.carry()
    assert seconds == pytest.approx(1.1) and frame is not None and out == set(MESSAGES)


def test_poses_that_stop_and_come_back(clock):
    stage = Stage()
    stage.see(1.0)
    stage.infer(1.0)
    stage.see(1.1, posed=False)
    clock[0] += 0.6
    stage.propagation.match()
    assert "has stopped" in stage.warnings[0]
    assert stage.infer(1.1)[1] == set(MESSAGES)
    stage.see(1.2)
    assert stage.carry()[2] == set(MESSAGES) and stage.fact("keyframe_age_s") == 0.2, "from the last one with a pose"
    assert stage.fact("propagation") == "carrying"


def test_images_out_of_order_are_left_out():
    stage = Stage()
    assert stage.see(1.0) and stage.see(1.2)
    assert not stage.see(1.1) and not stage.see(1.2)
    assert stage.fact("images_out_of_order") == 2


def test_time_that_jumps_back_forgets_everything():
    stage = Stage()
    stage.see(100.0)
    stage.see(100.1)
    stage.infer(100.0)
    stage.carry()
    late = stage.posed[-1]
    assert stage.see(5.0), "a bag that starts again"
    assert stage.fact("restarts") == 1
    assert stage.infer(100.1)[1] == {SCALE}, "a keyframe of before the jump is not published"
    assert stage.propagation.admit(late.image.header, MESSAGES, "carried").keys() == {SCALE}
    assert stage.carry()[1] is None, "and nothing is carried from it"
    stage.see(5.1)
    assert stage.infer(5.1)[1] == set(MESSAGES)
    stage.see(5.2)
    seconds, frame, out = stage.carry()
    assert seconds == pytest.approx(5.2) and frame is not None and out == set(MESSAGES)


def test_a_keyframe_too_old_or_too_far_away_is_not_carried():
    stage = Stage(propagation__max_age=1.0)
    stage.see(1.0)
    stage.infer(1.0)
    stage.see(2.5)
    assert stage.carry()[1] is None and "1.50 s old" in stage.warnings[-1]
    assert "keyframes only" in stage.fact("propagation")
    stage = Stage(propagation__max_baseline=0.5)
    stage.see(1.0)
    stage.infer(1.0)
    stage.see(1.8)
    assert stage.carry()[1] is None and "0.80 m from the last keyframe" in stage.warnings[-1]


def test_another_resolution_waits_for_a_keyframe_unless_the_camera_is_known():
    stage = Stage()
    stage.see(1.0)
    stage.infer(1.0)
    stage.see(1.1)
    large = rgb(2 * WIDTH, 2 * HEIGHT)
    assert stage.carry(Picture(large, None, None, {}))[1] is None
    assert "the image is 128x96, the last keyframe 64x48" in stage.warnings[-1]
    known = Picture(large, centred(2 * WIDTH, 2 * HEIGHT, 2 * FOCAL), None, {})
    _, frame, _ = stage.carry(known)
    assert frame.depth.depth_m.shape == (96, 128) and frame.depth.intrinsics.fx == 2 * FOCAL
    np.testing.assert_allclose(frame.depth.depth_m[:, 8:-16], WALL_M, rtol=1e-4)
    stage.see(1.2)
    assert stage.infer(1.2, size=(2 * WIDTH, 2 * HEIGHT))[1] == set(MESSAGES)
    stage.see(1.3)
    assert stage.carry(Picture(large, None, None, {}))[1] is not None


def test_half_the_size_and_pixels_that_show_nothing():
    stage = Stage(output_scale=0.5)
    stage.see(1.0)
    stage.infer(1.0, size=(WIDTH // 2, HEIGHT // 2))
    stage.see(1.1)
    valid = np.ones((HEIGHT, WIDTH), bool)
    valid[:10] = False
    _, frame, _ = stage.carry(Picture(rgb(), centred(WIDTH, HEIGHT, FOCAL), valid, {"decode": 1.0}))
    assert frame.depth.depth_m.shape == (24, 32) and set(frame.stages_ms) == {"decode", "warp", "fill"}
    for plane in (frame.depth.depth_m, frame.sigma_relative):
        assert np.isnan(plane[:5]).all() and np.isfinite(plane[5:, :28]).all()


def test_a_mounting_is_used():
    # The base looks along its x, and drives along it: the camera comes nearer to the wall.
    stage = Stage(mounting__rotation="-0.5 0.5 -0.5 0.5")
    stage.see(1.0)
    stage.infer(1.0)
    stage.see(1.5)
    np.testing.assert_allclose(stage.carry()[1].depth.depth_m, WALL_M - 0.5, rtol=1e-5)
