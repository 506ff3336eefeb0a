"""Settings that let images and clouds travel between processes: a Fast DDS profile and glibc's malloc.

Fast DDS's default shared-memory segment of 512 KB loses best-effort images silently; config/fastdds.xml gives
it 64 MB. glibc returns every large buffer to the kernel and faults it in again at the next frame; higher
thresholds keep it. Both are chosen when a process starts, so they travel in the environment of a child.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from depth_pro_ros.allocator import THRESHOLDS
from depth_pro_ros.errors import ConfigurationError

PACKAGE = "depth_pro_ros"
PROFILE_VARIABLES = ("FASTDDS_DEFAULT_PROFILES_FILE", "FASTRTPS_DEFAULT_PROFILES_FILE")
# Fast DDS 2 reads the second name; Fast DDS 3 (Kilted and later) the first, and warns about the second.
_FAST_DDS_2 = ("humble", "iron", "jazzy")


def profile_path(loopback: bool = False) -> Path:
    """Return the Fast DDS profile: for robots on a network, or, with `loopback`, for this machine alone.

    Looked for in the source tree, the package's ament share directory and sys.prefix, in this order.
    Raises ConfigurationError where none of them has it.
    """
    name = "fastdds_loopback.xml" if loopback else "fastdds.xml"
    folders = [Path(__file__).resolve().parents[2] / "config", *_installed_config()]
    for folder in folders:
        if (folder / name).is_file():
            return folder / name
    raise ConfigurationError(
        f"{name} is in none of {', '.join(map(str, folders))}; install the package again with colcon or pip, or name "
        f"a profile of your own in {PROFILE_VARIABLES[0]}"
    )


def _installed_config() -> list[Path]:
    """Return the folders where an installed package keeps its configuration."""
    prefixes = [Path(sys.prefix)]
    if os.environ.get("AMENT_PREFIX_PATH") and importlib.util.find_spec("ament_index_python"):
        packages = importlib.import_module("ament_index_python").get_packages_with_prefixes()
        prefixes = [Path(packages[PACKAGE]), *prefixes] if PACKAGE in packages else prefixes
    return [prefix / "share" / PACKAGE / "config" for prefix in prefixes]


def tuned_environment(base: Mapping[str, str], loopback: bool = False) -> dict[str, str]:
    """Return a copy of `base` for a child process, with the Fast DDS profile and malloc's thresholds added.

    What `base` sets already stays, for it is the user's choice. `loopback` alone overrides it, since a
    promise that nothing leaves this machine must not depend on it: the profile, the discovery range that
    leaves the profile's transports alone, and no ROS_LOCALHOST_ONLY, which would replace them.
    """
    environment = dict(base)
    if loopback:
        for name in ("ROS_LOCALHOST_ONLY", *PROFILE_VARIABLES):
            environment.pop(name, None)
        environment["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "SYSTEM_DEFAULT"
    if not any(environment.get(name) for name in PROFILE_VARIABLES):
        names = PROFILE_VARIABLES if environment.get("ROS_DISTRO") in _FAST_DDS_2 else PROFILE_VARIABLES[:1]
        environment |= dict.fromkeys(names, str(profile_path(loopback)))
    for name, _, size in THRESHOLDS:
        environment.setdefault(name, str(size))
    return environment
