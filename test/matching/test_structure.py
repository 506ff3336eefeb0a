"""Structure from motion without odometry: the recorded path up to scale, and sequences that tell nothing."""

import numpy as np
import pytest
from matching.panels import CAMERA, ROOM, pose, view
from matching.recordings import load, path_errors

from depth_pro_ros.errors import TrackingError
from depth_pro_ros.matching.structure import reconstruct

BOUNDS = {"rgbd_livingroom_synth": 0.01, "rgbd_hololens": 0.03}


@pytest.mark.parametrize("name", BOUNDS)
def test_recorded_path_up_to_scale(data_dir, name):
    camera, frames = load(data_dir / name)
    structure = reconstruct([gray for gray, _, _ in frames], camera)
    located = [index for index, T in enumerate(structure.poses) if T is not None]
    _, ate = path_errors([structure.poses[i] for i in located], [frames[i][2] for i in located], with_scale=True)
    print(f"{name}: {len(located)} of {len(frames)} located, ATE {100 * ate:.2f} % of the path after alignment")
    assert len(located) >= 0.9 * len(frames) and ate <= BOUNDS[name]
    assert len(structure.ids) == len(set(structure.ids.tolist())) > 500
    assert np.isfinite(structure.points).all()


def test_a_motion_too_short_is_refused(data_dir):
    camera, frames = load(data_dir / "rgbd_tum_fr1_desk")
    with pytest.raises(TrackingError, match="no two images to begin with"):
        reconstruct([gray for gray, _, _ in frames[:4]], camera)


def test_images_after_a_cut_are_named():
    path = [view(ROOM, pose(x=0.15 * index, turn=(0, -index, 0)))[0] for index in range(6)]
    notes = []
    structure = reconstruct([*path, np.zeros_like(path[0])], CAMERA, note=notes.append)
    assert structure.poses[-1] is None and sum(T is not None for T in structure.poses) >= 5
    assert any("image 6 is left out" in note for note in notes)


def test_rotation_and_nothing_are_refused():
    with pytest.raises(TrackingError, match="fewer than two images"):
        reconstruct([], CAMERA)
    with pytest.raises(TrackingError):
        reconstruct([view(ROOM, pose(turn=(0, 2.0 * index, 0)))[0] for index in range(5)], CAMERA)
