"""ROS packages that a plain Python environment lacks: the real one where it works, else a stand-in.

`from depth_pro_ros.ros.standins import CvBridge, point_cloud2, tf_transformations` gives, on a robot, the
distribution's own cv_bridge, sensor_msgs_py.point_cloud2 and tf_transformations. Where a package is not
installed, a stand-in with the same signatures takes its place, silently, for that is the normal case with
ROS from wheels. Where it is installed but fails (cv_bridge built for NumPy 1 under NumPy 2, say), a
RuntimeWarning says so once. Each is chosen at its first use, and never changes within a process.
"""

from __future__ import annotations

import functools
import importlib
import types
import warnings
from collections.abc import Callable

import numpy as np

__all__ = ["CvBridge", "CvBridgeError", "point_cloud2", "tf_transformations"]

# What an extension module built for another NumPy, or another package of the same name, was seen to raise.
_BREAKAGES = (ImportError, AttributeError, SystemError, TypeError, ValueError, LookupError)


def _try_cv_bridge(module: types.ModuleType) -> None:
    """Send two pixels there and back, which exercises cv_bridge's compiled half as well."""
    bridge = module.CvBridge()
    for encoding, pixel in (("mono16", np.array([[513]], np.uint16)), ("rgb8", np.array([[[1, 2, 3]]], np.uint8))):
        if bridge.imgmsg_to_cv2(bridge.cv2_to_imgmsg(pixel, encoding)).tolist() != pixel.tolist():
            raise ValueError(f"a {encoding} pixel came back changed")


def _try_point_cloud2(module: types.ModuleType) -> None:
    """Look the two functions up that this package calls."""
    _ = module.create_cloud, module.read_points


def _try_tf_transformations(module: types.ModuleType) -> None:
    """Check the order x, y, z, w on half a turn about z."""
    if not np.allclose(np.abs(module.quaternion_from_matrix(np.diag([-1.0, -1.0, 1.0, 1.0]))), [0, 0, 1, 0]):
        raise ValueError("half a turn about z is not the quaternion (0, 0, 1, 0)")


_PACKAGES: dict[str, tuple[str, Callable[[types.ModuleType], None]]] = {
    "cv_bridge": ("cv_bridge", _try_cv_bridge),
    "point_cloud2": ("sensor_msgs_py.point_cloud2", _try_point_cloud2),
    "tf_transformations": ("tf_transformations", _try_tf_transformations),
}


@functools.cache
def choose(name: str) -> types.ModuleType:
    """Return the real module behind `name` ("cv_bridge", "point_cloud2", "tf_transformations") or its stand-in."""
    real, works = _PACKAGES[name]
    try:
        module = importlib.import_module(real)
        works(module)
        return module
    except _BREAKAGES as error:
        absent = isinstance(error, ModuleNotFoundError) and error.name in (real, real.split(".")[0])
        if not absent:
            warnings.warn(
                f"{real} is installed but does not work here ({type(error).__name__}: {error}); depth_pro_ros uses its "
                "own stand-in instead. To use the real one, install the distribution's package and the NumPy it was "
                "built for",
                RuntimeWarning,
                stacklevel=3,
            )
    return importlib.import_module(f"{__name__}.{name}_standin")


def __getattr__(name: str) -> object:
    """Resolve the names of `__all__` at their first use (PEP 562)."""
    if name in ("CvBridge", "CvBridgeError"):
        return getattr(choose("cv_bridge"), name)
    if name in _PACKAGES:
        return choose(name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
