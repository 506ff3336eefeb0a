"""Procedural worlds, ray-cast in torch to images with exact depth and pose, for demos, tests and training."""

from depth_pro_ros.scenes.batch import SceneBatch, render
from depth_pro_ros.scenes.kinds import KINDS
from depth_pro_ros.scenes.world import View, World

__all__ = ["KINDS", "SceneBatch", "View", "World", "render"]
