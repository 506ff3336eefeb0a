"""stereo_node as a process over real DDS, on the Middlebury motorcycle and on a raw chessboard pair."""

import json
import sys
import time

import cv2
import numpy as np
import pytest
from ros.process import NodeProcess
from ros.stereo_camera import StereoCamera, raw_info, rectified_info

from depth_pro_ros.ros.disparity_messages import decode_disparity

QUICK = {"num_disparities": 64}


@pytest.fixture
def node(ros_env):
    """Return a function that starts stereo_node with parameters."""
    started = []

    def start(**parameters):
        named = {name.replace("__", "."): value for name, value in {**QUICK, **parameters}.items()}
        started.append(NodeProcess("stereo_node", named, ros_env))
        return started[-1]

    yield start
    for process in started:
        process.__exit__()


@pytest.fixture(scope="module")
def motorcycle(data_dir):
    """Return (left, right) images RGB, (left, right) camera_infos, and the true depth."""
    folder = data_dir / "stereo_motorcycle"
    calibration = json.loads((folder / "calib.json").read_text())
    images = [cv2.imread(str(folder / f"{side}.png"))[..., ::-1] for side in ("left", "right")]
    size, focal = (calibration["width"], calibration["height"]), calibration["fx"]
    cx, cy, doffs = calibration["cx"], calibration["cy"], calibration["doffs_px"]
    tx = -focal * calibration["baseline_m"]
    infos = [rectified_info(*size, focal, cx, cy, 0.0), rectified_info(*size, focal, cx + doffs, cy, tx)]
    stored = cv2.imread(str(folder / "disp_left_x256.png"), cv2.IMREAD_UNCHANGED)
    truth = np.where(stored > 0, -tx / (stored / 256 + doffs), np.nan)
    return images, infos, truth


def depth_of(message):
    return np.frombuffer(bytes(message.data), np.float32).reshape(message.height, message.width)


def test_disparity_and_depth_of_a_rectified_pair(node, peer, motorcycle):
    images, infos, truth = motorcycle
    node()
    camera = StereoCamera(peer)
    camera.wait_for_node()
    header = camera.send(images, infos)
    answers = camera.answer(header)
    depth = depth_of(answers["depth/image_rect"])
    assert np.nanmedian(np.abs(depth - truth) / truth) < 0.004
    message = answers["disparity"]
    disparity, focal, baseline = decode_disparity(message)
    np.testing.assert_allclose(focal * baseline / disparity, depth, rtol=1e-5)
    assert (message.min_disparity, message.max_disparity) == pytest.approx((31.086, 94.086), abs=1e-4)
    assert message.image.header == header
    info = answers["depth/camera_info"]
    assert list(info.k) == list(infos[0].k) and list(info.p) == list(infos[0].p)
    found = peer.wait(lambda: "matched_share" in camera.status() and camera.status(), 10.0, "the figures of the match")
    assert float(found["matched_share"]) > 0.8 and float(found["baseline_m"]) == pytest.approx(0.193, abs=1e-3)


def test_a_bad_pair_is_named_and_the_next_one_works(node, peer, motorcycle):
    """Swapped images, swapped cameras, a baseline of zero, other sizes, no calibration; then a good pair."""
    images, infos, _ = motorcycle
    small = [cv2.resize(image, None, fx=0.5, fy=0.5) for image in images]
    alone = rectified_info(741, 500, 994.978, 342.279, 254.877, 0.0)
    unknown = rectified_info(741, 500, 0.0, 0.0, 0.0, 0.0)
    node()
    camera = StereoCamera(peer)
    camera.wait_for_node()
    for bad_images, bad_infos, reason in (
        (images, [None, None], "no message of left/camera_info and right/camera_info"),
        (images[::-1], infos, "left and right look swapped"),
        (images[::-1], infos[::-1], "left and right are swapped"),
        (images, [infos[0], alone], "baseline is 0"),
        (small, infos, "the image is 370x250 but camera_info describes 741x500"),
        ([images[0], small[1]], infos, "left is 741x500, right 370x250"),
        (images, [unknown, infos[1]], "left camera_info holds no stereo calibration"),
    ):
        camera.send(bad_images, bad_infos)
        peer.wait(lambda reason=reason: reason in camera.status().get("message", ""), 20.0, reason)
    camera.answer(camera.send(images, infos))
    peer.wait(lambda: "Hz" in camera.status()["message"], 10.0, "the node to be well again")
    assert int(camera.status()["rejected"]) == 7


def test_pairs_out_of_step(node, peer, motorcycle):
    """Within the tolerance they are matched under the left stamp; beyond it the distance is told."""
    images, infos, _ = motorcycle
    node(sync__tolerance=0.008)
    camera = StereoCamera(peer)
    camera.wait_for_node()
    headers = []
    for _ in range(3):
        headers.append(camera.send(images, infos, apart_ns=4_000_000))
        time.sleep(0.1)
    depths = peer.received["depth/image_rect"]  # the newest pair may replace one that still waits
    peer.wait(lambda: any(depth.header in headers for depth in depths), 20.0, "depth under a left image's header")
    for _ in range(8):
        camera.send(images, infos, apart_ns=40_000_000)
        time.sleep(0.35)
    peer.wait(
        lambda: "40.0 ms apart at best, and sync.tolerance is 8 ms" in camera.status()["message"], 10.0, "a reason"
    )


def test_raw_images_are_rectified_and_unseen_corners_are_nan(node, peer, data_dir):
    """The board's squares, measured on the published depth, have their 25 mm."""
    folder = data_dir / "stereo_chessboard"
    calibration = json.loads((folder / "calib.json").read_text())
    images = [cv2.imread(str(next((folder / side).glob("01.*"))), cv2.IMREAD_GRAYSCALE) for side in ("left", "right")]
    infos = [raw_info(640, 480, calibration[side]) for side in ("left", "right")]
    node(num_disparities=160)
    camera = StereoCamera(peer)
    camera.wait_for_node()
    answers = camera.answer(camera.send(images, infos))
    depth, info = depth_of(answers["depth/image_rect"]), answers["depth/camera_info"]
    np.testing.assert_allclose(np.reshape(info.p, (3, 4))[:, :3], np.array(calibration["left"]["P"])[:, :3], atol=1e-9)
    side = square_side_m(images[0], calibration["left"], depth)
    print(f"square side on the published depth: {1e3 * side:.2f} mm")
    assert side == pytest.approx(0.025, abs=0.001)
    window = answers["disparity"].valid_window
    known = np.argwhere(np.isfinite(depth))
    assert (known.min(axis=0) >= (window.y_offset, window.x_offset)).all()
    assert (known.max(axis=0) < (window.y_offset + window.height, window.x_offset + window.width)).all()


def square_side_m(raw, camera, depth):
    """Return the median distance of neighbouring corners, with the depth of a plane through those of all corners."""
    K, D, R, P = (np.array(camera[name]) for name in ("K", "D", "R_rect", "P"))
    found, corners = cv2.findChessboardCorners(raw, (9, 6))
    assert found
    corners = cv2.cornerSubPix(
        raw, corners, (5, 5), (-1, -1), (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_COUNT, 30, 1e-3)
    )
    pixels = cv2.undistortPoints(corners, K, D, R=R, P=P).reshape(-1, 2)
    u, v = pixels.round().astype(int).T
    near = [depth[y - 2 : y + 3, x - 2 : x + 3] for x, y in zip(u, v, strict=True)]
    known = np.array([np.isfinite(patch).any() for patch in near])
    assert known.sum() > 40
    inverse = 1 / np.array([np.nanmedian(patch) for patch in near if np.isfinite(patch).any()])
    plane = np.column_stack([pixels, np.ones(len(pixels))])  # a plane's inverse depth is affine in the pixel
    z = 1 / (plane @ np.linalg.lstsq(plane[known], inverse, rcond=None)[0])
    points = (np.column_stack([(pixels - P[:2, 2]) / P[0, 0], np.ones(len(z))]) * z[:, None]).reshape(6, 9, 3)
    return np.median(np.linalg.norm(np.diff(points, axis=1), axis=-1))


def test_nothing_is_computed_without_a_subscriber(node, peer, motorcycle):
    images, infos, _ = motorcycle
    node()
    camera = StereoCamera(peer, outputs={})
    camera.wait_for_node()
    for _ in range(3):
        camera.send(images, infos)
    peer.wait(lambda: int(camera.status()["received"]) == 3, 10.0, "the images to arrive")
    time.sleep(1.5)
    assert int(camera.status()["published"]) == 0 and "match_ms_p50" not in camera.status()


def test_parameters_that_do_not_fit_are_refused_with_the_reason(node):
    process = node(num_disparities=40)
    process.wait_for_output("multiple of 16")
    assert process.running and process.end() == 0


def test_the_node_needs_no_torch(project):
    import subprocess

    code = "import sys, depth_pro_ros.ros.stereo_node; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=project).returncode == 0
