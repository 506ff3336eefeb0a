"""Node parameters as data: one table declares, validates, documents and writes the YAML of a node's parameters."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Union

from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter as RclParameter

from depth_pro_ros.errors import ConfigurationError

Value = Union[bool, int, float, str, list[str]]


@dataclass(frozen=True)
class Parameter:
    """One parameter: its type is its default's; `live` says that it may change while the node is configured."""

    name: str
    default: Value
    description: str
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[str, ...] = ()
    live: bool = False

    @property
    def type_name(self) -> str:
        """Return the ROS name of the type: bool, integer, double, string or string array."""
        names = {bool: "bool", int: "integer", float: "double", str: "string", list: "string array"}
        return names[type(self.default)]

    @property
    def allowed(self) -> str:
        """Return the allowed values in words, empty when anything of the type goes."""
        if self.choices:
            return " | ".join(self.choices)
        if self.minimum is not None and self.maximum is not None:
            return f"{self.minimum:g} to {self.maximum:g}"
        if self.minimum is not None:
            return f"at least {self.minimum:g}"
        return f"at most {self.maximum:g}" if self.maximum is not None else ""

    def convert(self, value: Any) -> Value:
        """Return `value` in the parameter's own type, or raise ConfigurationError saying what is allowed.

        An integer is taken for a double (`-p rate:=10`) and nothing for an empty array, which is how rcl reads one;
        nothing else is converted.
        """
        if isinstance(self.default, float) and type(value) is int:
            value = float(value)
        if isinstance(self.default, list) and value is None:
            value = []
        if type(value) is not type(self.default) or (isinstance(value, list) and set(map(type, value)) - {str}):
            raise ConfigurationError(
                f"parameter '{self.name}' is {value!r} ({type(value).__name__}); it takes type {self.type_name}"
            )
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigurationError(f"parameter '{self.name}' is {value}; it must be finite")
        below = self.minimum is not None and not isinstance(value, str) and value < self.minimum
        above = self.maximum is not None and not isinstance(value, str) and value > self.maximum
        if below or above or (self.choices and value not in self.choices):
            raise ConfigurationError(f"parameter '{self.name}' is {value!r}; allowed: {self.allowed}")
        return value

    def descriptor(self) -> ParameterDescriptor:
        """Return the description that `ros2 param describe` shows.

        To rcl the type stays dynamic and the range open, so that an integer may be given for a double and
        a bad value at start does not throw; `convert` keeps both, and says more than rcl would.
        """
        description = self.description + (f" [{self.unit}]" if self.unit else "")
        return ParameterDescriptor(
            name=self.name, description=description, additional_constraints=self.allowed, dynamic_typing=True
        )


def declare(
    node: Node, table: Sequence[Parameter], locked: Callable[[], bool] = lambda: False, unset: bool = False
) -> None:
    """Declare `table` on `node` and refuse, with a reason, every later change that the table does not allow.

    While `locked()` is true (the node is configured) only `live` parameters may change. Values given at
    start are not judged here but by `read`, so that a bad one fails the configure transition and can be
    corrected on the running node. With `unset` a parameter that is not given has no value rather than its default.
    """
    by_name = {parameter.name: parameter for parameter in table}
    for parameter in table:
        node.declare_parameter(parameter.name, None if unset else parameter.default, parameter.descriptor())

    def judge(changes: list[RclParameter]) -> SetParametersResult:
        try:
            for change in changes:
                if change.name in by_name:
                    _check_change(by_name[change.name], change.value, locked())
        except ConfigurationError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    node.add_on_set_parameters_callback(judge)


def _check_change(parameter: Parameter, value: Any, locked: bool) -> None:
    if locked and not parameter.live:
        raise ConfigurationError(
            f"parameter '{parameter.name}' takes effect when the node is configured: "
            "deactivate and clean up the node, set it, then configure again"
        )
    parameter.convert(value)


def read(node: Node, table: Iterable[Parameter]) -> dict[str, Value]:
    """Return name → value of `table`; raises ConfigurationError that names every bad value."""
    values: dict[str, Value] = {}
    problems: list[str] = []
    for parameter in table:
        try:
            values[parameter.name] = parameter.convert(node.get_parameter(parameter.name).value)
        except ConfigurationError as error:
            problems.append(str(error))
    if problems:
        raise ConfigurationError("; ".join(problems))
    return values


def markdown_table(table: Iterable[Parameter]) -> str:
    """Return the README's table of `table`."""
    rows = ["| parameter | type | default | allowed | live | meaning |", "|---|---|---|---|---|---|"]
    for p in table:
        meaning = p.description + (f" [{p.unit}]" if p.unit else "")
        allowed, live = p.allowed.replace("|", "\\|"), "yes" if p.live else ""
        rows.append(f"| `{p.name}` | {p.type_name} | `{_literal(p.default)}` | {allowed} | {live} | {meaning} |")
    return "\n".join(rows) + "\n"


def yaml_file(node_name: str, table: Iterable[Parameter]) -> str:
    """Return a commented parameter file that gives every parameter of `table` its default.

    Its first key is `/**/NODE`, so that it holds in whatever namespace the node is launched.
    """
    lines = [f"/**/{node_name}:", "  ros__parameters:"]
    for p in table:
        facts = "; ".join(x for x in (p.allowed, p.unit, "may change while running" if p.live else "") if x)
        lines.append(f"    # {p.description}" + (f" ({facts})" if facts else ""))
        lines.append(f"    {p.name}: {_literal(p.default)}")
    return "\n".join(lines) + "\n"


def _literal(value: Value) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return f'"{value}"' if isinstance(value, str) else str(value)
