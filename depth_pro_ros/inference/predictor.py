"""RGB images of any size to metric depth."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.errors import ConfigurationError, InferenceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.inference.cameras import completed, estimated_focal, is_unknown, known_cameras
from depth_pro_ros.inference.focal import FocalFilter
from depth_pro_ros.inference.graphs import Run
from depth_pro_ros.inference.incremental import IncrementalNetwork
from depth_pro_ros.inference.loading import IncrementalOptions, Options, make_ready
from depth_pro_ros.inference.memory import memory_limit
from depth_pro_ros.inference.metric import to_depth
from depth_pro_ros.inference.precision import Log, Precision
from depth_pro_ros.inference.preprocess import to_input
from depth_pro_ros.inference.stopwatch import Stopwatch
from depth_pro_ros.inference.weights import Loaded
from depth_pro_ros.records import DepthMap, Intrinsics

if TYPE_CHECKING:
    from depth_pro_ros.inference.onnx_backend import OnnxNetwork

BACKENDS = ("torch", "onnxruntime")
_log = logging.getLogger(__name__)
T = TypeVar("T")


class Predictor:
    """A network on a device, ready to predict; make one with `Predictor.load`.

    `run` is what calls the network for a frame, the network itself when it is None. Not thread-safe: one predictor
    belongs to one thread.
    """

    def __init__(
        self,
        loaded: Loaded,
        device: torch.device,
        precision: Precision,
        max_range_m: float = 1000.0,
        run: Run | None = None,
        facts: Mapping[str, str | int | float | bool] | None = None,
        incremental: IncrementalNetwork | None = None,
    ):
        if not max_range_m > 0:
            raise ConfigurationError(f"max_range_m is {max_range_m}; it must be positive")
        self.network = loaded.network
        self.max_range_m = max_range_m
        self.device = device
        self._run: Run = run or loaded.network
        self._incremental = incremental
        self.description: dict[str, str | int | float | bool] = {
            "weights": loaded.label,
            "preset": loaded.preset,
            "trained": loaded.trained,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "precision": precision.name,
            "input_size": loaded.network.config.image_size,
            **(facts or {}),
        }

    @classmethod
    def load(
        cls,
        weights: str | Path = "tiny",
        device: str = "auto",
        precision: str = "auto",
        max_range_m: float = 1000.0,
        patch_batch: int = 0,
        compile: bool = False,
        log: Log = _log.warning,
        backend: str = "torch",
        quality: str = "full",
        incremental: IncrementalOptions | None = None,
        max_memory_gb: float = 0.0,
    ) -> Predictor:
        """Return a predictor for `weights`: the name of embedded weights or the path of a checkpoint.

        precision "auto" takes the first half precision that the device has and that agrees with float32 on a fixed
        image, and says so when none does; "int8" gives the ViTs linear layers of 8 bits, on a CPU. `patch_batch` 0
        decides by device. `quality` full computes the whole network, the others approximate it (see
        inference/quality.py). With `incremental` images are taken for consecutive frames of one camera.
        `max_memory_gb` bounds the memory of weights and activations, 0 does not. `log` is told what a user should
        know. With `backend` "onnxruntime" weights are those of an export (see inference/export.py), and compile,
        patch_batch and max_memory_gb have no effect.
        Raises CheckpointError or ConfigurationError.
        """
        if backend not in BACKENDS:
            raise ConfigurationError(f"backend is '{backend}'; allowed: {', '.join(BACKENDS)}")
        options = Options(device, precision, patch_batch, compile, quality, incremental, max_memory_gb)
        if backend == "onnxruntime":
            return cls._of_export(weights, options, max_range_m, log)
        ready = make_ready(weights, options, log)
        return cls(ready.loaded, ready.device, ready.precision, max_range_m, ready.run, ready.facts, ready.incremental)

    @classmethod
    def _of_export(cls, weights: str | Path, options: Options, max_range_m: float, log: Log) -> Predictor:
        from depth_pro_ros.inference import onnx_backend  # few have onnxruntime

        options.check_exportable()
        loaded = onnx_backend.load(weights, options.device, options.precision, log)
        exported = cast("OnnxNetwork", loaded.network)
        number = getattr(torch, exported.facts.precision)
        facts = {"device": exported.provider, "backend": "onnxruntime"}
        return cls(loaded, torch.device("cpu"), Precision(number, number), max_range_m, facts=facts)

    def figures(self) -> Mapping[str, float | int | bool | None]:
        """Return what incremental inference did for the last frame (see FrameCost); nothing without it."""
        return self._incremental.cost.figures() if self._incremental else {}

    def warm_up(self) -> float:
        """Run on an empty image and return the seconds it took.

        A GPU is also made ready for frames whose focal length is known.
        """
        start = time.perf_counter()
        empty = np.zeros((64, 64, 3), np.uint8)
        self.predict(empty, estimate_focal=True)
        if self.device.type == "cuda":
            self.predict(empty, focal_px=64.0)
        return time.perf_counter() - start

    def predict(
        self,
        rgb: np.ndarray,
        intrinsics: Intrinsics | None = None,
        focal_px: float | None = None,
        size: tuple[int, int] | None = None,
        estimate_focal: bool | None = None,
        focal_filter: FocalFilter | None = None,
    ) -> DepthMap:
        """Return the depth of one RGB image (H, W, 3) uint8, at its own size or at `size` = (w, h).

        The focal length is that of `intrinsics` (which must be of the image's size), or `focal_px` with
        a centred principal point, or what the network estimates, through `focal_filter` when there is
        one. The estimate is computed when it is needed or when `estimate_focal` is True.
        Raises ImageError, CalibrationError, or InferenceError when the device runs out of memory.
        """
        return self.predict_batch([rgb], [intrinsics], focal_px, size, estimate_focal, focal_filter)[0]

    def predict_batch(
        self,
        images: Sequence[np.ndarray],
        intrinsics: Sequence[Intrinsics | None] | None = None,
        focal_px: float | None = None,
        size: tuple[int, int] | list[tuple[int, int]] | None = None,
        estimate_focal: bool | None = None,
        focal_filter: FocalFilter | list[FocalFilter] | None = None,
    ) -> list[DepthMap]:
        """Return the depth of each image, in one forward pass; arguments as for `predict`.

        Images may differ in size; `size` and `focal_filter` are one for all of them, or a list with one for each.
        """
        cameras = known_cameras(images, intrinsics, focal_px)
        sizes, filters = _each(size, len(images)), _each(focal_filter, len(images))
        fov = bool(estimate_focal) or any(map(is_unknown, images, cameras, filters))
        clock = Stopwatch(self.device)
        doing = f"{len(images)} image(s) of {images[0].shape[1]}x{images[0].shape[0]}"
        advice = "set max_memory_gb or a lower patch_batch, use half precision, or free the device"
        with memory_limit(InferenceError, doing, advice), torch.inference_mode():
            network_input = to_input(images, self.network.config.image_size, self.device)
            clock.lap("preprocess")
            canonical, fov_deg = self._run(network_input, fov=fov)
            clock.lap("network")
            degrees = [None] * len(images) if fov_deg is None else fov_deg.tolist()
            results = [
                self._metric(plane[0], *facts)
                for plane, *facts in zip(canonical, images, cameras, degrees, sizes, filters, strict=True)
            ]
            clock.lap("metric")
        laps_ms = clock.laps_ms()
        return [DepthMap(*result, timings_ms=laps_ms) for result in results]

    def _metric(
        self,
        canonical: Tensor,
        rgb: np.ndarray,
        camera: Intrinsics | None,
        fov_deg: float | None,
        size: tuple[int, int] | None,
        focal_filter: FocalFilter | None,
    ) -> tuple[np.ndarray, Intrinsics, float, float | None]:
        height, width = rgb.shape[:2]
        estimate = None if fov_deg is None else estimated_focal(fov_deg, width, camera)
        camera = completed(camera, estimate, (width, height), focal_filter)
        wanted = size or (width, height)
        depth = to_depth(canonical, width, camera.fx, wanted, self.max_range_m)
        return depth.cpu().numpy(), pinhole.resize(camera, *wanted), camera.fx, estimate


def _each(given: T | list[T] | None, count: int) -> Sequence[T | None]:
    """Return what is given for all of `count` images, or for each, as a list with one for each."""
    return given if isinstance(given, list) else [given] * count
