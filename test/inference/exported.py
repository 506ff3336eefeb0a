"""An ONNX file of known answers, and an onnxruntime with whatever execution providers a test wants."""

import base64
import json

import numpy as np
import onnx
import onnxruntime
import torch
from onnx import TensorProto, helper

from depth_pro_ros.inference.export import SAMPLE_STEP
from depth_pro_ros.inference.precision import fixed_image
from depth_pro_ros.network import PRESETS

SIDE = PRESETS["micro"].image_size
OFFSET, FOV_DEG = 2.0, 60.0


def answer(image):
    """Return what the file answers: the mean of the colours plus OFFSET, and FOV_DEG plus the mean of everything."""
    return image.mean(axis=1, keepdims=True) + OFFSET, FOV_DEG + image.mean(axis=(1, 2, 3))


def write(path, factor=1.0, precision="float32", fingerprint="untrained", told=True):
    """Write the file; `factor` is a defect of its canonical output, `told` False leaves its description out."""
    constants = {"factor": factor, "offset": OFFSET, "fov": FOV_DEG}
    nodes = [
        helper.make_node("ReduceMean", ["image", "colours"], ["grey"], keepdims=1),
        helper.make_node("Add", ["grey", "offset"], ["sum"]),
        helper.make_node("Mul", ["sum", "factor"], ["canonical"]),
        helper.make_node("ReduceMean", ["image", "all"], ["mean"], keepdims=0),
        helper.make_node("Add", ["mean", "fov"], ["fov_deg"]),
    ]
    axes = {"colours": [1], "all": [1, 2, 3]}
    made = [helper.make_tensor(name, TensorProto.FLOAT, [1], [value]) for name, value in constants.items()]
    made += [helper.make_tensor(name, TensorProto.INT64, [len(value)], value) for name, value in axes.items()]
    graph = helper.make_graph(
        nodes,
        "known",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, SIDE, SIDE])],
        [
            helper.make_tensor_value_info("canonical", TensorProto.FLOAT, [1, 1, SIDE, SIDE]),
            helper.make_tensor_value_info("fov_deg", TensorProto.FLOAT, [1]),
        ],
        made,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if told:
        helper.set_model_props(model, description(precision, fingerprint))
    onnx.save(model, str(path))
    return path


def description(precision, fingerprint):
    """Return the metadata that an export carries."""
    canonical, fov_deg = answer(fixed_image(SIDE, torch.device("cpu")).numpy())
    sample = np.append(canonical[0, 0, ::SAMPLE_STEP, ::SAMPLE_STEP].ravel(), fov_deg).astype("<f4")
    return {
        "format": "depth_pro_ros",
        "version": "1",
        "config": json.dumps(PRESETS["micro"].as_dict()),
        "preset": "micro",
        "weights": "the test's",
        "fingerprint": fingerprint,
        "trained": "true",
        "training": "{}",
        "precision": precision,
        "sample": base64.b64encode(sample.tobytes()).decode(),
    }


class Runtime:
    """An onnxruntime that has `providers`, a dict of name to what happens with it.

    "works"; "library": is built in, but cannot be loaded; "nan": gives no numbers; "raises": fails when it runs. All
    run on the CPU in truth. `asked` is the list of providers, with options, of each session.
    """

    SessionOptions = onnxruntime.SessionOptions
    GraphOptimizationLevel = onnxruntime.GraphOptimizationLevel
    __version__ = "9.9"

    def __init__(self, **providers):
        self.providers = {f"{name}ExecutionProvider": state for name, state in providers.items()}
        self.asked = []

    def get_available_providers(self):
        return list(self.providers)

    def InferenceSession(self, path, options, providers, **kwargs):  # noqa: N802 - the real one's name
        self.asked.append(providers)
        real = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        first = providers[0] if isinstance(providers[0], str) else providers[0][0]
        return Session(real, first, self.providers[first])


class Session:
    """A session of such a provider."""

    def __init__(self, real, provider, state):
        self.real, self.provider, self.state = real, provider, state
        self.get_modelmeta = real.get_modelmeta

    def get_providers(self):
        return ["CPUExecutionProvider"] if self.state == "library" else [self.provider, "CPUExecutionProvider"]

    def run(self, names, feed):
        if self.state == "raises":
            raise RuntimeError("the engine could not be\n  built (pretended)")
        canonical, fov_deg = self.real.run(names, feed)
        return [canonical * np.nan if self.state == "nan" else canonical, fov_deg]
