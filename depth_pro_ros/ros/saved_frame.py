"""The newest frame written to files, on request."""

from __future__ import annotations

from pathlib import Path

from depth_pro_ros.errors import OutputError
from depth_pro_ros.geometry import pinhole
from depth_pro_ros.outputs.files import make_folder, write_npz, write_picture, write_ply, write_png_mm
from depth_pro_ros.ros.depth_pipeline import DepthFrame


def save_frame(frame: DepthFrame | None, folder: str, stamp_ns: int) -> str:
    """Write photo, depth (NPZ and 16-bit mm) and cloud into `folder`; return the sentence that says where.

    Raises OutputError when there is no frame yet or it cannot be written.
    """
    if frame is None:
        raise OutputError("no depth has been published yet: subscribe to depth/image_rect and wait for a first frame")
    stem = make_folder(Path(folder).expanduser()) / f"frame_{stamp_ns}"
    depth = frame.depth
    write_picture(f"{stem}_rgb.png", frame.rgb)
    write_png_mm(f"{stem}_depth_mm.png", depth.depth_m)
    if frame.rgb.shape[:2] == depth.depth_m.shape:
        write_ply(f"{stem}.ply", pinhole.unproject(depth.depth_m, depth.intrinsics), frame.rgb)
    write_npz(f"{stem}.npz", depth)
    return f"saved {stem}.npz, _rgb.png, _depth_mm.png and .ply"
