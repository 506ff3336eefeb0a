"""Procedural worlds, ray-cast in NumPy to images with exact depth and pose, for demos, tests and training."""

from depth_pro_ros.scenes.room import Room

__all__ = ["Room"]
