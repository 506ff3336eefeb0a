"""Several photos at once: the same results, each photo's own errors."""

import numpy as np
from cli.bag_maker import FOCAL

from depth_pro_ros.cli.predict_batch import in_groups, infer
from depth_pro_ros.errors import InferenceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.records import DepthMap


class Counting:
    """Depth is the photo's level; photos at level 13 fail, and with them every batch that holds one."""

    def __init__(self):
        self.sizes = []

    def predict(self, rgb, focal_px=None, estimate_focal=None):
        (result,) = self.predict_batch([rgb], [focal_px and pinhole.centred(*rgb.shape[1::-1], focal_px)])
        return result

    def predict_batch(self, images, cameras, estimate_focal=None):
        self.sizes.append(len(images))
        if any((rgb == 13).all() for rgb in images):
            raise InferenceError("no finite value")
        cameras = [c or pinhole.centred(*rgb.shape[1::-1], FOCAL) for rgb, c in zip(images, cameras, strict=True)]
        return [DepthMap(rgb[..., 0] / np.float32(10), c, c.fx) for rgb, c in zip(images, cameras, strict=True)]


def level(value, width=8):
    return np.full((6, width, 3), value, np.uint8)


def test_one_pass_for_all_each_with_its_own_camera():
    counting, notes = Counting(), []
    results = infer(counting, [level(10), level(20, 12)], [None, 50.0], notes.append)
    assert counting.sizes == [2] and notes == []
    assert [(r.depth_m[0, 0], r.focal_px) for r in results] == [(1.0, FOCAL), (2.0, 50.0)]
    assert results[1].intrinsics == pinhole.centred(12, 6, 50.0)


def test_where_one_fails_the_others_are_done_one_by_one():
    counting, notes = Counting(), []
    results = infer(counting, [level(10), level(13), level(30)], [None] * 3, notes.append)
    assert counting.sizes == [3, 1, 1, 1]
    assert isinstance(results[1], InferenceError) and [results[i].depth_m[0, 0] for i in (0, 2)] == [1.0, 3.0]
    assert notes == ["3 photos at once failed (no finite value): they are tried one by one"]


def test_nothing_to_infer():
    assert infer(Counting(), [], [], print) == []


def test_groups_keep_the_order_and_leave_videos_alone(tmp_path):
    names = ["a.jpg", "b.jpg", "c.jpg", "d.mp4", "e.png", "f.MOV", "g.avi", "h.png", "i.png"]
    groups = list(in_groups([(tmp_path / name, name[0]) for name in names], 2))
    assert ["".join(name for _, name in group) for group in groups] == ["ab", "c", "d", "e", "f", "g", "hi"]
