"""All materials, by number."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from depth_pro_ros.scenes import materials_indoor as indoor
from depth_pro_ros.scenes import materials_outdoor as outdoor
from depth_pro_ros.scenes.texturing import Surface

MATERIALS: tuple[Callable[[Surface], Tensor], ...] = (
    indoor.floor_tiles_30,
    indoor.floor_tiles_60,
    indoor.planks,
    indoor.carpet,
    indoor.brick,
    indoor.plaster,
    indoor.wainscot,
    indoor.wall_tiles,
    indoor.ceiling_panels,
    indoor.plain,
    indoor.cardboard,
    indoor.crate,
    indoor.wood,
    indoor.door,
    indoor.window,
    indoor.picture,
    indoor.lamp,
    indoor.hoops,
    indoor.clothes,
    indoor.leaves,
    indoor.speckled,
    indoor.books,
    outdoor.road,
    outdoor.slabs,
    outdoor.kerb,
    outdoor.facade,
    outdoor.brick_facade,
    outdoor.car_body,
    outdoor.glazing,
    outdoor.grass,
    outdoor.earth,
    outdoor.bark,
    outdoor.stone,
    outdoor.roof,
    outdoor.sky,
)
M = {material.__name__: number for number, material in enumerate(MATERIALS)}
EMISSIVE = (M["window"], M["lamp"], M["sky"])  # what they return is light, not albedo
