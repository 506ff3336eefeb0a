"""From an RGB image to metric depth."""

from depth_pro_ros.inference.focal import FocalFilter
from depth_pro_ros.inference.loading import IncrementalOptions
from depth_pro_ros.inference.predictor import Predictor

__all__ = ["FocalFilter", "IncrementalOptions", "Predictor"]
