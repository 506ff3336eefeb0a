"""The last keyframe's depth carried to newer views by their poses: a warp, then holes filled along image edges."""

from depth_pro_ros.propagation.carrier import Carried, Carrier, CarrySettings

__all__ = ["Carried", "Carrier", "CarrySettings"]
