"""Metric depth for any robot with one camera: Depth Pro as a ROS 2 package and as a library."""

__version__ = "0.1.0"
