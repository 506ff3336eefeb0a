"""Batches of scenes: seeds, geometry against depth, cameras, sky."""

import math

import numpy as np
import pytest
import torch

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.scenes import KINDS, render
from depth_pro_ros.scenes.batch import render_together
from depth_pro_ros.scenes.kinds import draw

SIDE = (72, 96)
CLOSED, OPEN = (1, 2, 3), (6, 12, 17)  # seeds of rooms ("robot") and of streets and fields ("wide")


@pytest.fixture(scope="module")
def rooms():
    return render("robot", CLOSED, *SIDE)


@pytest.fixture(scope="module")
def outdoors():
    return render("wide", OPEN, *SIDE)


def points(batch, index: int) -> np.ndarray:
    """Return the points (H, W, 3) in the camera's optical frame; inf where sky."""
    depth = batch.depth_m[index].numpy().astype(float)
    height, width = depth.shape
    x = (np.arange(width) - (width - 1) / 2) / float(batch.focal_x_px[index])
    y = (np.arange(height) - (height - 1) / 2) / float(batch.focal_y_px[index])
    return np.stack(np.broadcast_arrays(x[None] * depth, y[:, None] * depth, depth), -1)


def test_the_same_seed_gives_the_same_scene_wherever_it_stands(rooms):
    alone = render("robot", [2], *SIDE)
    for name in ("rgb", "depth_m", "normals", "instance", "T_world_camera", "fov_x_deg"):
        torch.testing.assert_close(getattr(alone, name)[0], getattr(rooms, name)[1], rtol=0, atol=0)
    assert not torch.equal(rooms.depth_m[0], rooms.depth_m[1])


def test_shapes_and_types_are_as_promised(rooms):
    assert rooms.rgb.shape == (3, *SIDE, 3) and rooms.rgb.dtype == torch.uint8
    assert rooms.depth_m.shape == rooms.instance.shape == (3, *SIDE)
    assert rooms.depth_m.dtype == rooms.normals.dtype == torch.float32 and rooms.instance.dtype == torch.int32
    assert rooms.T_world_camera.dtype == torch.float64 and not rooms.sky.any()
    assert (rooms.instance >= 1).all() and not rooms.rgb.is_inference()


def test_an_unknown_kind_is_refused_by_naming_the_kinds():
    with pytest.raises(ConfigurationError, match="'moon'.*" + ", ".join(KINDS)):
        render("moon", [0], 8, 8)


def test_normals_are_unit_face_the_camera_and_agree_with_depth(rooms, outdoors):
    for batch in (rooms, outdoors):
        for index in range(3):
            normals = batch.normals[index].numpy().astype(float)
            seen = ~batch.sky[index].numpy()
            place = points(batch, index)
            np.testing.assert_allclose(np.linalg.norm(normals[seen], axis=-1), 1.0, atol=1e-5)
            towards = (normals * np.where(seen[..., None], place, 0)).sum(-1)[seen]
            assert np.mean(towards < 1e-4) > 0.999
            _agree_with_depth(normals, place, batch.instance[index].numpy())


def _agree_with_depth(normals: np.ndarray, place: np.ndarray, instance: np.ndarray) -> None:
    """On planes, where all neighbours share the normal and the thing, the points' differences lie in the plane."""
    here = (slice(0, -1), slice(0, -1))
    right, below = (here[0], slice(1, None)), (slice(1, None), here[1])
    same = np.isfinite(place[here]).all(-1)
    for other in (right, below):
        same &= (normals[other] == normals[here]).all(-1) & (instance[other] == instance[here])
        same &= np.isfinite(place[other]).all(-1)
    cross = np.cross(place[below][same] - place[here][same], place[right][same] - place[here][same])
    cross /= np.linalg.norm(cross, axis=-1, keepdims=True)
    cosine = (cross * normals[here][same]).sum(-1)
    assert same.sum() > 500 and np.mean(cosine > 0.999) > 0.98  # the rest are steps within a thing, as two boards'


def test_points_of_the_floor_lie_on_it_and_all_within_the_room(rooms):
    for index in range(3):
        pose = rooms.T_world_camera[index].numpy()
        world = points(rooms, index) @ pose[:3, :3].T + pose[:3, 3]
        floor = world[rooms.instance[index].numpy() == 5]
        assert np.abs(floor[:, 2]).max(initial=0) < 1e-4
        assert world.min() > -1e-3 and 0.4 <= pose[2, 3] <= 1.5
        np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-12)


def test_focal_length_and_field_of_view_agree(rooms, outdoors):
    for batch, low, high in ((rooms, 50, 100), (outdoors, 30, 110)):
        for fx, fov in zip(batch.focal_x_px.tolist(), batch.fov_x_deg.tolist(), strict=True):
            assert fx == pytest.approx(SIDE[1] / 2 / math.tan(math.radians(fov) / 2), rel=1e-5) and low <= fov <= high


def test_another_size_is_the_same_view_stretched(rooms):
    """With sides of three times and of as many pixels, every third row's ray is an old row's ray."""
    tall = render("robot", CLOSED, 3 * SIDE[0], SIDE[1])
    torch.testing.assert_close(tall.depth_m[:, 1::3], rooms.depth_m, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tall.focal_y_px, 3 * rooms.focal_y_px)
    torch.testing.assert_close(tall.focal_x_px, rooms.focal_x_px)
    aspect = (rooms.focal_y_px * SIDE[1] / (rooms.focal_x_px * SIDE[0])).tolist()
    assert all(min(abs(a - b) for b in (1, 4 / 3, 3 / 2, 16 / 9)) < 1e-4 for a in aspect)


def test_sky_is_seen_only_above_the_ground_and_has_neither_instance_nor_normal(outdoors):
    assert outdoors.sky.any() and not outdoors.sky.all()
    assert torch.equal(outdoors.sky, outdoors.instance == 0)
    assert (outdoors.normals[outdoors.sky] == 0).all()
    for index in range(3):
        height, width = SIDE
        u = (np.arange(width) - (width - 1) / 2) / float(outdoors.focal_x_px[index])
        v = (np.arange(height) - (height - 1) / 2) / float(outdoors.focal_y_px[index])
        rays = np.stack(np.broadcast_arrays(u[None], v[:, None], 1.0), -1)
        up = (rays @ outdoors.T_world_camera[index, :3, :3].numpy().T)[..., 2]
        ground = up < -0.03  # lower rays meet the ground, which reaches 600 m, from 12 m height at most
        assert not outdoors.sky[index].numpy()[ground].any()
    assert 0 < outdoors.depth_m.min() and outdoors.depth_m[~outdoors.sky].max() < 2000


def test_without_effects_the_geometry_stays_and_the_picture_is_clean():
    shown, clean = (render("robot", [4], 48, 64, effects=effects) for effects in (True, False))
    assert torch.equal(shown.depth_m, clean.depth_m) and not torch.equal(shown.rgb, clean.rgb)
    assert torch.equal(clean.rgb, render("robot", [4], 48, 64, effects=False).rgb)


def test_pictures_are_neither_black_nor_white_and_show_texture(rooms, outdoors):
    for batch in (rooms, outdoors):
        grey = batch.rgb.float().mean(-1)
        assert (grey.mean((1, 2)) > 30).all() and (grey.mean((1, 2)) < 225).all() and (grey.std((1, 2)) > 8).all()


@pytest.mark.parametrize(("kind", "seeds"), [("robot", CLOSED), ("wide", OPEN)])
def test_worlds_worked_out_together_are_those_worked_out_alone(kind, seeds):
    """How a GPU does it: every solid of all worlds at every pixel, not each within its rectangle."""
    alone = render(kind, seeds, 36, 48, effects=False)
    with torch.no_grad():
        together = render_together([draw(kind, seed) for seed in seeds], 36, 48, torch.device("cpu"), effects=False)
    assert torch.isclose(together.depth_m, alone.depth_m, rtol=1e-4).float().mean() > 0.999
    assert (together.instance == alone.instance).float().mean() > 0.999
    assert ((together.rgb.float() - alone.rgb.float()).abs() <= 1).float().mean() > 0.998


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("kind", ["robot", "wide"])
def test_a_gpu_sees_the_same_worlds(kind):
    seeds = (1, 2, 6, 12)
    here, there = (render(kind, seeds, *SIDE, device=device, effects=False) for device in ("cpu", "cuda"))
    close = torch.isclose(here.depth_m, there.depth_m.cpu(), rtol=1e-3)
    assert close.float().mean() > 0.995
    assert (here.rgb.float() - there.rgb.cpu().float()).abs().median() <= 1
