"""The stamp of a header as one number."""

from __future__ import annotations

from rclpy.time import Time
from std_msgs.msg import Header


def nanoseconds(header: Header) -> int:
    """Return a header's stamp in nanoseconds."""
    return Time.from_msg(header.stamp).nanoseconds
