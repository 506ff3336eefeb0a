"""Tracks: known motion, spread, identity, and images that have nothing to follow."""

import cv2
import numpy as np
import pytest
from matching.panels import ROOM, Panel, pose, view

from depth_pro_ros.errors import ConfigurationError, ImageError
from depth_pro_ros.matching.tracks import Tracker, _rank_within

IMAGE = view(ROOM, pose())[0]


def shifted(image, du, dv):
    return cv2.warpAffine(image, np.float32([[1, 0, du], [0, 1, dv]]), image.shape[::-1], borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("motion", [(0.0, 0.0), (3.25, -2.5), (-20.0, 11.5), (45.0, 0.0)])
def test_corners_follow_a_known_motion(motion):
    tracker = Tracker()
    before, after = tracker.update(IMAGE), tracker.update(shifted(IMAGE, *motion))
    here, there = before.common(after)
    assert len(here) > 60
    moved = after.uv[there] - before.uv[here]
    assert np.median(np.linalg.norm(moved - motion, axis=1)) < 0.1


def test_ids_stay_and_are_never_used_again():
    tracker = Tracker(max_tracks=80)
    first = tracker.update(IMAGE)
    assert (np.diff(first.ids) > 0).all() and len(first.ids) <= 80
    second = tracker.update(np.zeros_like(IMAGE))
    third = tracker.update(IMAGE)
    assert len(second.ids) == 0
    assert third.ids.min() > first.ids.max()


def test_corners_are_spread_over_the_image():
    crowded = np.full((240, 320), 128, np.uint8)
    crowded[:, :160] = IMAGE[:, :160]
    crowded[:, 160:] = (IMAGE[:, 160:] // 5) + 100  # low contrast on the right
    tracks = Tracker(max_tracks=96, cell_px=40).update(crowded)
    assert (tracks.uv[:, 0] > 165).sum() > 0.3 * len(tracks.ids)


def test_a_blank_or_noisy_wall_has_no_corner():
    noise = np.random.default_rng(0).normal(128, 1.5, (240, 320)).round().astype(np.uint8)
    for image in (np.full((240, 320), 90, np.uint8), noise):
        tracker = Tracker()
        tracker.update(image)
        assert len(tracker.update(image).ids) == 0


def test_what_disappears_is_dropped():
    tracker = Tracker()
    before = tracker.update(IMAGE)
    other = view([Panel(4.0, seed=9)], pose())[0]
    here, _ = before.common(tracker.update(other))
    assert len(here) < 0.1 * len(before.ids)


def test_rewind_goes_on_from_an_earlier_image():
    tracker = Tracker()
    first = tracker.update(IMAGE)
    tracker.update(np.zeros_like(IMAGE))
    tracker.rewind(IMAGE, first)
    here, _ = first.common(tracker.update(shifted(IMAGE, 4, 0)))
    assert len(here) > 0.7 * len(first.ids)


def test_the_callers_image_may_be_overwritten():
    image, tracker = IMAGE.copy(), Tracker()
    first = tracker.update(image)
    image[:] = 0
    here, _ = first.common(tracker.update(IMAGE))
    assert len(here) > 0.9 * len(first.ids)


def test_rank_within_groups():
    assert _rank_within(np.array([3, 5, 3, 3, 5])).tolist() == [0, 0, 1, 2, 1]


def test_other_arrays_and_sizes_are_refused():
    tracker = Tracker()
    with pytest.raises(ImageError, match="uint8 grey"):
        tracker.update(np.zeros((10, 10, 3), np.uint8))
    tracker.update(IMAGE)
    with pytest.raises(ImageError, match="100x50 after ones of 320x240"):
        tracker.update(np.zeros((50, 100), np.uint8))
    with pytest.raises(ConfigurationError):
        Tracker(max_tracks=0)
