"""Depth Pro in PyTorch: the graph, its presets and its checkpoints."""

from depth_pro_ros.network.checkpoint import describe, load, save
from depth_pro_ros.network.config import PRESETS, NetworkConfig
from depth_pro_ros.network.depth_pro import DepthPro, build

__all__ = ["PRESETS", "DepthPro", "NetworkConfig", "build", "describe", "load", "save"]
