"""The kinds of world: what is drawn from one seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.scenes import camera as cameras
from depth_pro_ros.scenes.aisle import AislePlan
from depth_pro_ros.scenes.camera import Camera, CameraRange
from depth_pro_ros.scenes.effects import Film, Fog
from depth_pro_ros.scenes.layout import Layout
from depth_pro_ros.scenes.rooms import RoomPlan
from depth_pro_ros.scenes.shadows import LampView, downward, sunward
from depth_pro_ros.scenes.street import meadow, street

Rng = np.random.Generator
_CEILING_M = 2.0
_INDOOR_AMBIENT = (1.0, 0.97, 0.93)
_SKY_AMBIENT = (0.85, 0.95, 1.1)


@dataclass(frozen=True)
class Scene:
    """One world, one camera, one light and one film, drawn from one seed; `lamps` (L, 6), of the main one first."""

    layout: Layout
    camera: Camera
    lamps: np.ndarray
    ambient: np.ndarray
    lamp_view: LampView
    fog: Fog | None
    film: Film


def draw(kind: str, seed: int) -> Scene:
    """Return the scene of a seed. Raises ConfigurationError for an unknown kind."""
    if kind not in _KINDS:
        raise ConfigurationError(f"there is no scene kind '{kind}'; choose one of {', '.join(_KINDS)}")
    number, function = _KINDS[kind]
    rng = np.random.default_rng((number, seed))
    layout, spread = function(rng)
    camera = cameras.draw_camera(rng, layout, spread)
    lamps = main_first(layout, camera.origin)
    if layout.closed:
        ambient, view = rng.uniform(0.12, 0.35) * np.array(_INDOOR_AMBIENT), downward(lamps[0, :3])
    else:
        ambient = rng.uniform(0.25, 0.6) * np.array(_SKY_AMBIENT)
        view = sunward(lamps[0, :3], np.array([*(camera.origin + 8 * camera.rotation[:, 2])[:2], 0.0]))
    fog = Fog.draw(rng, layout.haze)
    return Scene(layout, camera, lamps, ambient, view, fog, Film.draw(rng))


def main_first(layout: Layout, origin: np.ndarray) -> np.ndarray:
    """Return the lamps (L, 6), first the one under the ceiling that is nearest to `origin` (3,): it throws shadows."""
    overhead = layout.lamps[layout.lamps[:, 2] > _CEILING_M]
    main = np.argmin(np.linalg.norm(overhead[:, :2] - origin[:2], axis=1)) if len(overhead) else 0
    return layout.lamps[np.argsort(np.arange(len(layout.lamps)) != main, kind="stable")]


def _robot(rng: Rng) -> tuple[Layout, CameraRange]:
    return RoomPlan(rng).layout(), cameras.ROBOT


def _handheld(rng: Rng) -> tuple[Layout, CameraRange]:
    return RoomPlan(rng).layout(), cameras.HANDHELD


def _wide(rng: Rng) -> tuple[Layout, CameraRange]:
    where = rng.random()
    if where < 0.34:
        return RoomPlan(rng).layout(), cameras.INDOOR
    layout = street(rng) if where < 0.67 else meadow(rng)
    return layout, cameras.GROUND if rng.random() < 0.6 else cameras.DRONE


def _aisle(rng: Rng) -> tuple[Layout, CameraRange]:
    return AislePlan(rng).layout(), cameras.ROBOT


_KINDS: dict[str, tuple[int, Callable[[Rng], tuple[Layout, CameraRange]]]] = {
    "robot": (1, _robot),
    "wide": (2, _wide),
    "aisle": (3, _aisle),
    "handheld": (4, _handheld),
}
KINDS = tuple(_KINDS)
