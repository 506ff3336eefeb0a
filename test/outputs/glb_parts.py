"""A GLB taken apart by hand, as a viewer reads it (glTF 2.0, section 4.4): shared by tests of whatever writes one."""

import json
import struct

import numpy as np


def take_apart(path):
    """Return (document, binary part) of a GLB, its frame checked."""
    data = path.read_bytes()
    magic, version, length = struct.unpack_from("<4sII", data)
    assert (magic, version, length) == (b"glTF", 2, len(data))
    size, kind = struct.unpack_from("<I4s", data, 12)
    assert kind == b"JSON" and size % 4 == 0
    document, rest = json.loads(data[20 : 20 + size]), data[20 + size :]
    if not rest:
        return document, b""
    size, kind = struct.unpack_from("<I4s", rest)
    assert kind == b"BIN\0" and size % 4 == 0 and len(rest) == 8 + size
    return document, rest[8:]


def attribute(document, binary, name, dtype):
    """Return the values (count, components) of a vertex attribute and its accessor."""
    accessor = document["accessors"][document["meshes"][0]["primitives"][0]["attributes"][name]]
    view = document["bufferViews"][accessor["bufferView"]]
    assert view["byteOffset"] % 4 == 0
    values = np.frombuffer(binary[view["byteOffset"] :][: view["byteLength"]], dtype)
    return values.reshape(accessor["count"], int(accessor["type"][-1])), accessor
