"""Boxes by hand, and the recomputation of windows against that of everything."""

import pytest
import torch
import torch.nn.functional as F

from depth_pro_ros.inference.windows import Box, joined, recompute, whole


def test_boxes_by_hand():
    box = Box(3, 5, 6, 9)
    assert box.area == 12
    assert box.grown(4, 10) == Box(0, 1, 10, 10), "a map ends where it ends"
    assert box.aligned(4) == Box(0, 4, 8, 12)
    assert Box(2, 4, 6, 8).scaled(3, 2) == Box(3, 6, 9, 12)
    assert box.inside(Box(1, 5, 8, 9)) == Box(2, 0, 5, 4)
    assert list(box.bands(2)) == [Box(3, 5, 5, 9), Box(5, 5, 6, 9)]


def test_boxes_that_nearly_touch_become_one_and_distant_ones_stay():
    touching, beside, distant = Box(0, 0, 10, 10), Box(0, 10, 10, 20), Box(50, 50, 60, 60)
    assert set(joined([touching, beside, distant, distant])) == {Box(0, 0, 10, 20), distant}
    assert joined([]) == []


@pytest.mark.parametrize("seed", range(4))
def test_joined_boxes_cover_what_the_boxes_covered(seed):
    random = torch.Generator().manual_seed(seed)
    corners = torch.randint(0, 40, (12, 2), generator=random).tolist()
    boxes = [Box(top, left, top + 7, left + 5) for top, left in corners]
    covered, after = torch.zeros(1, 1, 50, 50), torch.zeros(1, 1, 50, 50)
    for marks, some in ((covered, boxes), (after, joined(boxes))):
        for box in some:
            box.of(marks).fill_(1)
    assert len(joined(boxes)) <= len(boxes) and bool((after >= covered).all())


@pytest.mark.parametrize("changed", [[Box(0, 0, 3, 3)], [Box(9, 12, 11, 16), Box(30, 1, 32, 2)], [Box(0, 0, 32, 32)]])
def test_windows_of_two_convolutions_equal_the_whole(changed):
    random = torch.Generator().manual_seed(0)
    first, second = (torch.randn(1, 1, 3, 3, generator=random, dtype=torch.float64) for _ in range(2))

    def compute(x):
        return F.conv2d(torch.relu(F.conv2d(x, first, padding=1)), second, padding=1)

    x = torch.randn(1, 1, 32, 32, generator=random, dtype=torch.float64)
    plane = compute(x)
    for box in changed:
        box.of(x).normal_(generator=random)
    renewed, pixels = recompute(plane, changed, reach=2, step=4, rows=5, compute=lambda window: compute(window.of(x)))
    torch.testing.assert_close(plane, compute(x), rtol=0, atol=1e-12)
    assert sum(box.area for box in renewed) <= pixels
    assert whole(plane) == Box(0, 0, 32, 32)


def test_nothing_changed_computes_nothing():
    plane = torch.ones(1, 1, 8, 8)
    assert recompute(plane, [], 2, 2, 8, lambda window: pytest.fail("nothing to compute")) == ([], 0)
