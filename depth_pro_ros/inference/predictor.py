"""RGB images of any size to metric depth."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from depth_pro_ros.errors import CalibrationError, ConfigurationError, InferenceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.inference.focal import FocalFilter
from depth_pro_ros.inference.metric import to_depth
from depth_pro_ros.inference.precision import (
    TOLERANCE,
    Log,
    Precision,
    candidates,
    choose_device,
    deviation,
    memory_limit,
)
from depth_pro_ros.inference.preprocess import check_rgb, to_input
from depth_pro_ros.inference.weights import Loaded, open_weights
from depth_pro_ros.records import DepthMap, Intrinsics

CPU_PATCH_BATCH = 5  # for a ViT at least WIDE: activations that stay near the cache, and bounded memory
CPU_STRIPS = 4  # likewise, of the finest level
WIDE = 512
BACKENDS = ("torch", "onnxruntime")
_log = logging.getLogger(__name__)


class Predictor:
    """A network on a device, ready to predict; make one with `Predictor.load`.

    Not thread-safe: one predictor belongs to one thread.
    """

    def __init__(self, loaded: Loaded, device: torch.device, precision: Precision, max_range_m: float = 1000.0):
        if not max_range_m > 0:
            raise ConfigurationError(f"max_range_m is {max_range_m}; it must be positive")
        self.network = loaded.network
        self.max_range_m = max_range_m
        self.device = device
        self._run: Callable[..., tuple[Tensor, Tensor | None]] = loaded.network
        self.description: dict[str, str | int | float | bool] = {
            "weights": loaded.label,
            "preset": loaded.preset,
            "trained": loaded.trained,
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
            "precision": precision.name,
            "input_size": loaded.network.config.image_size,
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
    ) -> Predictor:
        """Return a predictor for `weights`: the name of embedded weights or the path of a checkpoint.

        precision "auto" takes the first half precision that the device has and that agrees with float32
        on a fixed image, and says so when none does. `patch_batch` 0 decides by device. `log` is told
        what a user should know. With `backend` "onnxruntime" weights are those of an export (see inference/export.py),
        and compile and patch_batch have no effect. Raises CheckpointError or ConfigurationError.
        """
        if backend not in BACKENDS:
            raise ConfigurationError(f"backend is '{backend}'; allowed: {', '.join(BACKENDS)}")
        if backend == "onnxruntime":
            return cls._of_export(weights, device, precision, max_range_m, log)
        chosen = choose_device(device, log)
        options = candidates(precision, chosen)
        if precision != "auto" and options[0].storage is not options[0].compute:
            log(f"this {chosen.type} has no {precision} arithmetic: {options[0].name}")
        with memory_limit(ConfigurationError, f"loading '{weights}'", "use half precision, or free the device"):
            loaded = cls._open(weights, options[0].storage, chosen, patch_batch)
            agreed = cls._first_that_agrees(loaded, options, log)
            if agreed.storage is not options[0].storage:  # rounded weights do not become exact again
                loaded = cls._open(weights, agreed.storage, chosen, patch_batch)
        loaded.network.set_precision(agreed.storage, agreed.compute)
        predictor = cls(loaded, chosen, agreed, max_range_m)
        if compile:
            predictor._compile(log)
        return predictor

    @classmethod
    def _of_export(cls, weights: str | Path, device: str, precision: str, max_range_m: float, log: Log) -> Predictor:
        from depth_pro_ros.inference import onnx_backend  # few have onnxruntime

        loaded = onnx_backend.load(weights, device, precision, log)
        number = getattr(torch, loaded.network.facts.precision)
        predictor = cls(loaded, torch.device("cpu"), Precision(number, number), max_range_m)
        predictor.description.update(device=loaded.network.provider, backend="onnxruntime")
        return predictor

    @staticmethod
    def _open(weights: str | Path, storage: torch.dtype, device: torch.device, patch_batch: int) -> Loaded:
        loaded = open_weights(weights, storage, device)
        loaded.network.to(memory_format=torch.channels_last)
        in_parts = device.type == "cpu" and loaded.network.config.embed_dim >= WIDE
        loaded.network.patch_batch = patch_batch or (CPU_PATCH_BATCH if in_parts else 0)
        loaded.network.strips = CPU_STRIPS if in_parts else 1
        return loaded

    @staticmethod
    def _first_that_agrees(loaded: Loaded, options: Sequence[Precision], log: Log) -> Precision:
        for option in options[:-1]:
            error = deviation(loaded.network.set_precision(option.storage, option.compute), option.compute)
            if error <= TOLERANCE:
                return option
            found = "results are not finite" if math.isnan(error) else f"the median deviation is {error:.1%}"
            log(f"{option.name} disagrees with float32 on this device ({found}, {TOLERANCE:.0%} is allowed): not used")
        return options[-1]

    def _compile(self, log: Log) -> None:
        """Run through torch.compile from now on, unless it fails here (it needs a C compiler)."""
        side = self.network.config.image_size
        compiled = torch.compile(self.network)
        try:
            with torch.inference_mode():
                for fov in (True, False):
                    compiled(torch.zeros(1, 3, side, side, device=self.device), fov=fov)
        except RuntimeError as error:  # what torch.compile raises derives from it
            log(f"torch.compile failed, the network runs without it: {type(error).__name__}: {error}")
            return
        self._run = compiled
        self.description["compiled"] = True

    def warm_up(self) -> float:
        """Run once on an empty image and return the seconds it took."""
        start = time.perf_counter()
        self.predict(np.zeros((64, 64, 3), np.uint8), estimate_focal=True)
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
        size: tuple[int, int] | None = None,
        estimate_focal: bool | None = None,
        focal_filter: FocalFilter | None = None,
    ) -> list[DepthMap]:
        """Return the depth of each image, in one forward pass; arguments as for `predict`."""
        cameras = _cameras(images, intrinsics, focal_px)
        fov = bool(estimate_focal) or any(
            _unknown(rgb, camera, focal_filter) for rgb, camera in zip(images, cameras, strict=True)
        )
        clock = _Stopwatch(self.device)
        doing = f"{len(images)} image(s) of {images[0].shape[1]}x{images[0].shape[0]}"
        advice = "set patch_batch lower, use half precision, or free the device"
        with memory_limit(InferenceError, doing, advice), torch.inference_mode():
            network_input = to_input(images, self.network.config.image_size, self.device)
            clock.lap("preprocess")
            canonical, fov_deg = self._run(network_input, fov=fov)
            clock.lap("network")
            degrees = [None] * len(images) if fov_deg is None else fov_deg.tolist()
            results = [
                self._metric(plane[0], rgb, camera, angle, size, focal_filter)
                for plane, rgb, camera, angle in zip(canonical, images, cameras, degrees, strict=True)
            ]
            clock.lap("metric")
        return [DepthMap(*result, timings_ms=clock.laps_ms) for result in results]

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
        estimate = None if fov_deg is None else self._estimate(fov_deg, width, camera)
        if camera is None:
            camera = pinhole.centred(width, height, _filtered(estimate, (width, height), focal_filter))
        wanted = size or (width, height)
        depth = to_depth(canonical, width, camera.fx, wanted, self.max_range_m)
        return depth.cpu().numpy(), pinhole.resize(camera, *wanted), camera.fx, estimate

    @staticmethod
    def _estimate(fov_deg: float, width: int, camera: Intrinsics | None) -> float | None:
        """Return the focal length that the angle means, None when it is no angle that a camera can have."""
        try:
            return pinhole.focal_from_fov(fov_deg, width, camera.cx if camera else None)
        except CalibrationError as error:
            if camera is None:
                raise InferenceError(
                    f"the network estimates a field of view of {fov_deg:.1f} degrees, which no pinhole camera has: "
                    "give the focal length (camera_info, or focal.source fixed)"
                ) from error
            return None


class _Stopwatch:
    """Wall time of consecutive stages, with the device's queue drained at each lap."""

    def __init__(self, device: torch.device):
        drains = {"cuda": torch.cuda.synchronize, "mps": torch.mps.synchronize}
        self._synchronise = drains.get(device.type, lambda: None)
        self._last = time.perf_counter()
        self.laps_ms: dict[str, float] = {}

    def lap(self, name: str) -> None:
        self._synchronise()
        now = time.perf_counter()
        self.laps_ms[name] = (now - self._last) * 1e3
        self._last = now


def _cameras(
    images: Sequence[np.ndarray], intrinsics: Sequence[Intrinsics | None] | None, focal_px: float | None
) -> list[Intrinsics | None]:
    given = intrinsics if intrinsics is not None else [None] * len(images)
    if not images or len(given) != len(images):
        raise ConfigurationError(f"{len(images)} images, {len(given)} intrinsics: give one for each, and at least one")
    return [_camera(check_rgb(rgb), known, focal_px) for rgb, known in zip(images, given, strict=True)]


def _camera(rgb: np.ndarray, given: Intrinsics | None, focal_px: float | None) -> Intrinsics | None:
    """Return the known camera of an image, or None when its focal length is to be estimated."""
    height, width = rgb.shape[:2]
    if given is not None and focal_px is not None:
        raise CalibrationError("both intrinsics and focal_px were given: give one of them")
    if focal_px is not None:
        return pinhole.check(pinhole.centred(width, height, float(focal_px)))
    if given is None:
        return None
    if (given.width, given.height) != (width, height):
        raise CalibrationError(
            f"the image is {width}x{height} but its intrinsics are for {given.width}x{given.height}: "
            "resize the intrinsics with the image"
        )
    return pinhole.check(given)


def _unknown(rgb: np.ndarray, camera: Intrinsics | None, focal_filter: FocalFilter | None) -> bool:
    size = (rgb.shape[1], rgb.shape[0])
    return camera is None and not (focal_filter and focal_filter.latched(size))


def _filtered(estimate: float | None, size: tuple[int, int], focal_filter: FocalFilter | None) -> float:
    if focal_filter is None:
        return estimate
    return focal_filter.latched(size) if estimate is None else focal_filter.update(estimate, size)
