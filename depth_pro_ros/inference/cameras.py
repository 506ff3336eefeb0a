"""The cameras of images that are to be predicted: which are known, and what an estimated angle means."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from depth_pro_ros.errors import CalibrationError, ConfigurationError, InferenceError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.inference.focal import FocalFilter
from depth_pro_ros.inference.preprocess import check_rgb
from depth_pro_ros.records import Intrinsics


def known_cameras(
    images: Sequence[np.ndarray], intrinsics: Sequence[Intrinsics | None] | None, focal_px: float | None
) -> list[Intrinsics | None]:
    """Return the camera of each image, None where its focal length is to be estimated.

    Raises ImageError, CalibrationError for a camera that is not the image's, ConfigurationError for other counts.
    """
    given = intrinsics if intrinsics is not None else [None] * len(images)
    if not images or len(given) != len(images):
        raise ConfigurationError(f"{len(images)} images, {len(given)} intrinsics: give one for each, and at least one")
    return [_camera(check_rgb(rgb), known, focal_px) for rgb, known in zip(images, given, strict=True)]


def _camera(rgb: np.ndarray, given: Intrinsics | None, focal_px: float | None) -> Intrinsics | None:
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


def is_unknown(rgb: np.ndarray, camera: Intrinsics | None, focal_filter: FocalFilter | None) -> bool:
    """Return whether an image's focal length must be estimated: there is no camera and the filter has not settled."""
    return camera is None and not (focal_filter and focal_filter.latched((rgb.shape[1], rgb.shape[0])))


def estimated_focal(fov_deg: float, width: int, camera: Intrinsics | None) -> float | None:
    """Return the focal length in pixels that the network's angle means.

    An angle that no camera can have raises InferenceError, or gives None where the camera is known.
    """
    try:
        return pinhole.focal_from_fov(fov_deg, width, camera.cx if camera else None)
    except CalibrationError as error:
        if camera is None:
            raise InferenceError(
                f"the network estimates a field of view of {fov_deg:.1f} degrees, which no pinhole camera has: "
                "give the focal length (camera_info, or focal.source fixed)"
            ) from error
        return None


def completed(
    camera: Intrinsics | None, estimate: float | None, size: tuple[int, int], focal_filter: FocalFilter | None
) -> Intrinsics:
    """Return `camera`, or where it is None a centred one of an image of `size` = (w, h) with the filtered estimate."""
    if camera is not None:
        return camera
    focal_px = estimate
    if focal_filter is not None:
        focal_px = focal_filter.latched(size) if estimate is None else focal_filter.update(estimate, size)
    assert focal_px is not None, "an unknown camera asks for the estimate"
    return pinhole.centred(*size, focal_px)
