"""What `evaluate` looks at: the images of a folder, or scenes rendered when their turn comes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.evaluation import rgbd, rgbd_layouts
from depth_pro_ros.evaluation.rgbd import Sample
from depth_pro_ros.records import Intrinsics

HELD_OUT_SEED = 30_000_000  # training uses seeds below 10 million, validation those from 20 million on
CHECKED = 20  # images of a folder that are read before anything is predicted


@dataclass(frozen=True)
class FolderImages:
    """The images of an RGB-D folder (see evaluation/rgbd_layouts.py), at most `limit` of them, evenly spread."""

    folder: Path
    units_per_m: float | None = None
    limit: int | None = None

    exact = False  # the truth may be a sensor's, with noise

    @cached_property
    def data(self) -> rgbd_layouts.RgbdSet:
        """Return which files belong together."""
        return rgbd_layouts.open_folder(self.folder, self.units_per_m)

    @cached_property
    def chosen(self) -> tuple[rgbd.Item, ...]:
        """Return the images that count."""
        items = self.data.items
        count = len(items) if self.limit is None else min(self.limit, len(items))
        return tuple(items[len(items) * number // count] for number in range(count))

    def __len__(self) -> int:
        return len(self.chosen)

    @property
    def name(self) -> str:
        """Return what the set is called in tables and folders."""
        return self.folder.resolve().name

    @property
    def description(self) -> str:
        """Return one line for people."""
        return f"{len(self)} images, layout {self.data.layout}"

    @property
    def identity(self) -> dict[str, Any]:
        """Return what must stay the same for an interrupted evaluation to go on."""
        return {"folder": str(self.folder.resolve()), "units_per_m": self.units_per_m}

    @property
    def has_cameras(self) -> bool:
        """Tell whether every image's focal length is known."""
        return all(item.camera is not None or item.rig is not None for item in self.chosen)

    def names(self) -> list[str]:
        """Return the images' names."""
        return [item.name for item in self.chosen]

    def check(self) -> None:
        """Read some images; raises SourceError for files that cannot be used and for wrong units."""
        rgbd.check_units(self.chosen, CHECKED)

    def read(self, index: int) -> Sample:
        """Return image `index`; raises SourceError that names the file at fault."""
        return rgbd.read(self.chosen[index])


@dataclass(frozen=True)
class SceneImages:
    """Scenes of the world `kind` with seeds from `first_seed` on, as `side` x `side` pixels.

    The scenes' cameras have aspects of 1 to 16:9; in a square image their pixels are not square, which is what the
    network sees of any camera and what the intrinsics say.
    """

    kind: str
    count: int
    first_seed: int = HELD_OUT_SEED
    side: int = 512
    render: Callable[..., Any] | None = None

    exact = True
    has_cameras = True

    def __post_init__(self) -> None:
        """Raise ConfigurationError for a world that does not exist, no scene, or seeds that were trained on."""
        from depth_pro_ros import scenes
        from depth_pro_ros.training.data import TRAINING_SEEDS

        if self.kind not in scenes.KINDS:
            raise ConfigurationError(
                f"there is no world '{self.kind}': give scenes:KIND with one of {', '.join(scenes.KINDS)}"
            )
        if self.count < 1 or self.side < 32 or self.first_seed < 0:
            raise ConfigurationError(
                f"{self.count} scenes of {self.side} pixels from seed {self.first_seed} on: give at least 1 scene, "
                "32 pixels and seed 0"
            )
        if self.first_seed < TRAINING_SEEDS.stop:
            raise ConfigurationError(
                f"seeds from {self.first_seed} on: those below {TRAINING_SEEDS.stop} are trained on; give --first-seed "
                f"{HELD_OUT_SEED} or more"
            )

    def __len__(self) -> int:
        return self.count

    @property
    def name(self) -> str:
        """Return what the set is called in tables and folders."""
        return f"scenes_{self.kind}"

    @property
    def description(self) -> str:
        """Return one line for people."""
        last = self.first_seed + self.count - 1
        return f"{self.count} scenes of seeds {self.first_seed} to {last}, {self.side}x{self.side}"

    @property
    def identity(self) -> dict[str, Any]:
        """Return what must stay the same for an interrupted evaluation to go on."""
        return {"world": self.kind, "first_seed": self.first_seed, "side": self.side}

    def names(self) -> list[str]:
        """Return the scenes' names."""
        return [f"{self.kind}_{self.first_seed + index}" for index in range(self.count)]

    def check(self) -> None:
        """Nothing can be wrong with files that do not exist yet."""

    def read(self, index: int) -> Sample:
        """Render scene `index`."""
        if self.render is None:
            from depth_pro_ros.scenes import render
        else:
            render = self.render
        seed = self.first_seed + index
        batch = render(self.kind, [seed], self.side, self.side)
        fx, fy = float(batch.focal_x_px[0]), float(batch.focal_y_px[0])
        centre = (self.side - 1) / 2
        return Sample(
            name=f"{self.kind}_{seed}",
            rgb=np.ascontiguousarray(batch.rgb[0].numpy()),
            depth_m=batch.depth_m[0].float().numpy(),
            opacity=None,
            intrinsics=Intrinsics(self.side, self.side, fx, fy, centre, centre),
        )


Images = FolderImages | SceneImages
