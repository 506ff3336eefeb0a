"""Build of depth_pro_ros for colcon (ament_python) and for pip."""

import re
from glob import glob
from pathlib import Path

from setuptools import find_packages, setup

NAME = "depth_pro_ros"
VERSION = re.search(r'__version__ = "(.+)"', Path(NAME, "__init__.py").read_text(encoding="utf-8")).group(1)


def loosely(requirements: str) -> list:
    """Return the packages that a requirements file names, without versions: a Jetson brings NVIDIA's torch."""
    lines = Path(requirements).read_text(encoding="utf-8").splitlines()
    return sorted({re.match(r"[\w.-]+(\[[\w,-]+\])?", line).group() for line in lines if line[:1].isalnum()})


setup(
    name=NAME,
    version=VERSION,
    description="Metric depth for any robot with one camera: Depth Pro as a ROS 2 package and as a library",
    license="Apache-2.0",
    maintainer="depth_pro_ros maintainers",
    maintainer_email="maintainers@depth-pro-ros.example.org",
    python_requires=">=3.10",
    packages=find_packages(include=[NAME, f"{NAME}.*"]),
    package_data={NAME: ["weights/*", "web/*.css", "web/*.js"]},
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", sorted(glob("launch/*.launch.py"))),
        (f"share/{NAME}/config", sorted(path for path in glob("config/*") if Path(path).is_file())),
    ],
    zip_safe=False,
    # Only setuptools: Debian's OpenCV and NVIDIA's PyTorch have no pip metadata by these names, and entry
    # points that verify requirements would refuse to start on a robot. package.xml tells rosdep what is needed.
    install_requires=["setuptools"],
    # "test" makes `colcon test` run pytest.
    extras_require={Path(path).stem: loosely(path) for path in sorted(glob("requirements/*.txt"))}
    | {"test": ["pytest", "pytest-timeout"]},
    entry_points={
        "console_scripts": [
            "depth_node = depth_pro_ros.ros.depth_node:main",
            "stereo_node = depth_pro_ros.ros.stereo_node:main",
            "landmark_node = depth_pro_ros.ros.landmark_node:main",
            "odometry_node = depth_pro_ros.ros.odometry_node:main",
            "obstacle_node = depth_pro_ros.ros.obstacle_node:main",
            "map_node = depth_pro_ros.ros.map_node:main",
            "camera_node = depth_pro_ros.ros.camera_node:main",
            "depth_pro_ros = depth_pro_ros.cli.main:main",
        ]
    },
)
