"""Recorded sequences with depth and poses, undistorted; and how far a path is from the true one."""

import json

import cv2
import numpy as np
from scipy.spatial.transform import Rotation

from depth_pro_ros.geometry.distortion import Distortion, Rectifier
from depth_pro_ros.records import Intrinsics


def load(folder):
    """Return intrinsics and a list of (gray uint8, depth_m float32 with NaN, T_world_camera)."""
    facts = json.loads((folder / "intrinsics.json").read_text())
    camera = Intrinsics(*(facts[name] for name in ("width", "height", "fx", "fy", "cx", "cy")))
    lens = np.array(facts["distortion"], np.float64)
    rectifier = None
    if lens.any():
        distortion = Distortion("plumb_bob", lens, camera.matrix, np.eye(3), camera.matrix)
        rectifier = Rectifier(distortion, camera.width, camera.height)
    frames = []
    depths = sorted((folder / "depth").glob("*.png"))
    for line in (folder / "poses.txt").read_text().splitlines():
        name, *numbers = line.split()
        gray = cv2.imread(str(next((folder / "rgb").glob(f"{name}.*"))), cv2.IMREAD_GRAYSCALE)
        depth_file = min(depths, key=lambda path, name=name: abs(float(path.stem) - float(name)))
        depth = cv2.imread(str(depth_file), cv2.IMREAD_UNCHANGED) / np.float32(facts["depth_scale"])
        depth[depth == 0] = np.nan
        if rectifier is not None:
            gray = rectifier.rectify(gray)
            size = (camera.width, camera.height)
            maps = cv2.initUndistortRectifyMap(camera.matrix, lens, None, camera.matrix, size, cv2.CV_32FC1)
            depth = cv2.remap(depth, *maps, cv2.INTER_NEAREST, borderValue=float("nan"))
        numbers = [float(number) for number in numbers]
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = Rotation.from_quat(numbers[3:]).as_matrix(), numbers[:3]
        frames.append((gray, depth, pose))
    return camera, frames


def path_errors(estimated, true, with_scale=False):
    """Return (end drift, ATE) as shares of the true path's length.

    The drift compares ends from a common start; the ATE is the RMS distance of positions after the best rigid (or
    similarity) alignment (Umeyama, PAMI 1991).
    """
    start = np.linalg.inv(true[0])
    a = np.array([(np.linalg.inv(estimated[0]) @ pose)[:3, 3] for pose in estimated])
    b = np.array([(start @ pose)[:3, 3] for pose in true])
    length = np.linalg.norm(np.diff(b, axis=0), axis=1).sum()
    centred_a, centred_b = a - a.mean(axis=0), b - b.mean(axis=0)
    U, S, Vt = np.linalg.svd(centred_b.T @ centred_a)
    sign = np.array([1, 1, np.linalg.det(U @ Vt)])
    scale = (S * sign).sum() / (centred_a**2).sum() if with_scale else 1.0
    aligned = scale * centred_a @ ((U * sign) @ Vt).T
    ate = np.sqrt(((aligned - centred_b) ** 2).sum(axis=1).mean())
    return np.linalg.norm(a[-1] - b[-1]) / length, ate / length
