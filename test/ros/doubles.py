"""depth_node as a process with a network of known answers: `python test/ros/doubles.py KIND [ROS arguments]`.

plane: the canonical inverse depth of a tilted plane, and a field of view that tells how red the image was.
slow: the plane after one second.  full: out of memory on every second frame.  faulty: a bug on every second frame.
picky: a bug when one of the images is more blue than red.
"""

import sys
import time

import torch

from depth_pro_ros.inference.precision import FLOAT32
from depth_pro_ros.inference.predictor import Predictor
from depth_pro_ros.inference.weights import Loaded
from depth_pro_ros.network import PRESETS
from depth_pro_ros.ros.depth_node import main

# 1 / Z = A + B * u / w + C * v / h over the image's pixel coordinates, for FOCAL_OVER_WIDTH = f / w.
A, B, C = 0.25, 0.10, 0.15
FOCAL_OVER_WIDTH = 0.8


class PlaneNetwork(torch.nn.Module):
    """Answers with the plane, whatever it sees; the field of view is 40 + 40 * (mean red - mean blue) / 2 degrees."""

    def __init__(self, kind):
        super().__init__()
        self.config = PRESETS["micro"]
        self.kind = kind
        self.calls = 0

    def forward(self, image, fov=True):
        self.calls += 1
        red_minus_blue = (image[:, 0] - image[:, 2]).mean((1, 2)) / 2
        if self.kind == "picky" and bool((red_minus_blue < 0).any()):
            raise ValueError("a blue image (pretended)")
        if self.kind == "slow" and self.calls > 1:
            time.sleep(1.0)
        if self.calls > 1 and self.calls % 2:
            if self.kind == "full":
                raise torch.OutOfMemoryError("CUDA out of memory (pretended)")
            if self.kind == "faulty":
                raise ValueError("a bug (pretended)")
        side = self.config.image_size
        t = (torch.arange(side) + 0.5) / side
        canonical = (A + B * t[None, :] + C * t[:, None]) * FOCAL_OVER_WIDTH
        return canonical.expand(len(image), 1, side, side), (40 + 40 * red_minus_blue) if fov else None


def load(weights, max_range_m, **_):
    """Return a predictor around the stand-in, in place of Predictor.load."""
    loaded = Loaded(PlaneNetwork(sys.argv[1]), "stand-in", "micro", True, {})
    return Predictor(loaded, torch.device("cpu"), FLOAT32, max_range_m)


if __name__ == "__main__":
    sys.exit(main(sys.argv[2:], load))
