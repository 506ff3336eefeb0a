"""How good a depth map, its boundaries and a focal length are; and what guessing without looking would reach."""

from depth_pro_ros.evaluation.baselines import best_constant, best_rows
from depth_pro_ros.evaluation.boundary import boundary_f1, boundary_recall
from depth_pro_ros.evaluation.depth import DepthMetrics, aligned_depth, depth_metrics, known, mean_metrics
from depth_pro_ros.evaluation.focal import FocalMetrics, focal_metrics

__all__ = [
    "DepthMetrics",
    "FocalMetrics",
    "aligned_depth",
    "best_constant",
    "best_rows",
    "boundary_f1",
    "boundary_recall",
    "depth_metrics",
    "focal_metrics",
    "known",
    "mean_metrics",
]
