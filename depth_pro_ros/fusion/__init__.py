"""Metric cues and a predicted depth, fused: one factor, a smooth field, and a blend where the cue is dense."""

from depth_pro_ros.fusion.alignment import Alignment, AlignmentSettings, align
from depth_pro_ros.fusion.fuser import Fused, Fuser, FusionSettings
from depth_pro_ros.fusion.pairs import Pairs, pair
from depth_pro_ros.fusion.samples import samples_from_depth, samples_from_disparity, samples_from_points
from depth_pro_ros.fusion.scale_filter import ScaleEstimate, ScaleFilter, ScaleFilterSettings

__all__ = [
    "Alignment",
    "AlignmentSettings",
    "Fused",
    "Fuser",
    "FusionSettings",
    "Pairs",
    "ScaleEstimate",
    "ScaleFilter",
    "ScaleFilterSettings",
    "align",
    "pair",
    "samples_from_depth",
    "samples_from_disparity",
    "samples_from_points",
]
