"""Several cameras in one node: their names, which are namespaces, and the parameters that each may have of its own."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from rclpy.node import Node

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.ros import parameters
from depth_pro_ros.ros.parameters import Parameter, Value

# What differs from camera to camera; `CAMERA.NAME` goes over the node's `NAME`.
OWN = ("image_transport", "rectify", "focal.source", "focal.fixed_px", "mounting.xyz", "mounting.rotation")

_NAME = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*")


def camera_names(given: Sequence[str]) -> list[str]:
    """Return the cameras' names: those that are not empty, or one that is empty, the only camera's.

    Raises ConfigurationError for what cannot be a namespace and for a name that comes twice.
    """
    names = [name for name in given if name]
    for name in names:
        if not _NAME.fullmatch(name):
            raise ConfigurationError(
                f"parameter 'cameras' names {name!r}; a camera's name is one level of a namespace, of letters, digits "
                "and single underscores: give such a name and remap its topics"
            )
    if len(set(names)) < len(names):
        raise ConfigurationError(f"parameter 'cameras' is {names}: give each camera a name of its own")
    return names or [""]


def own_values(
    node: Node, table: Sequence[Parameter], values: Mapping[str, Value], name: str, locked: Callable[[], bool]
) -> dict[str, Value]:
    """Return the parameters of camera `name`: the node's `values`, and over them what the camera has of its own.

    Declares `NAME.PARAMETER` for each of `OWN` in the node's `table`, without a value, when it is not yet.
    Raises ConfigurationError for a bad value.
    """
    if not name:
        return dict(values)
    own = [replace(parameter, name=f"{name}.{parameter.name}") for parameter in table if parameter.name in OWN]
    if not node.has_parameter(own[0].name):
        parameters.declare(node, own, locked, unset=True)
    given = [parameter for parameter in own if node.get_parameter(parameter.name).value is not None]
    mine = parameters.read(node, given)
    return {**values, **{key.removeprefix(f"{name}."): value for key, value in mine.items()}}
