"""Folders of RGB-D images as training data, in any layout of evaluation/rgbd_layouts.py whose cameras are known."""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np
import torch

from depth_pro_ros.errors import CalibrationError, SourceError
from depth_pro_ros.evaluation import rgbd
from depth_pro_ros.evaluation.camera_files import NAMES, NEEDS
from depth_pro_ros.evaluation.rgbd_layouts import open_folder
from depth_pro_ros.training.curriculum import DataSet
from depth_pro_ros.training.data import Raw

CHECKED = 200  # images, evenly spread, that `prepare` reads; the others are checked when their turn comes


class RgbdFolder:
    """The images of one data set in `folder`, resized to the data set's square side."""

    def __init__(self, folder: Path, data: DataSet):
        self.folder, self.side = folder, data.side
        if not folder.is_dir():
            raise SourceError(
                f"data set '{data.name}': there is no folder '{folder}'; correct --data {data.name}=FOLDER"
            )
        self.items = open_folder(folder).items
        for item in self.items:
            if item.depth is None:
                raise SourceError(f"data set '{data.name}': '{item.photo}' has no depth; train on sets that have it")
            if item.camera is None and item.rig is None:
                raise CalibrationError(f"'{folder}' has none of {', '.join(NAMES)}: {NEEDS}")

    @property
    def size(self) -> int:
        """Return the number of images."""
        return len(self.items)

    def prepare(self) -> None:
        """Read images spread over the folder; raises SourceError that lists what is wrong with which files."""
        rgbd.check_units(self.items, CHECKED)

    def read(self, indices: np.ndarray) -> Raw:
        """Return the images `indices` (B,); raises SourceError that names the file at fault."""
        images, inverses, known, fovs = [], [], [], []
        size = (self.side, self.side)
        for index in indices:
            sample = rgbd.read(self.items[int(index)])
            shrinks = min(sample.rgb.shape[:2]) >= self.side
            way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
            images.append(cv2.resize(sample.rgb, size, interpolation=way))
            depth = cv2.resize(sample.depth_m, size, interpolation=cv2.INTER_NEAREST_EXACT)
            known.append(depth > 0)
            inverses.append(np.divide(1.0, depth, out=np.zeros_like(depth), where=depth > 0))
            fovs.append(2 * math.degrees(math.atan(sample.intrinsics.width / (2 * sample.intrinsics.fx))))
        rgb, inverse_m, mask = (torch.from_numpy(np.stack(arrays)) for arrays in (images, inverses, known))
        return Raw(rgb, inverse_m, mask, torch.tensor(fovs))
