"""A stereo camera for tests: messages of a pair, and a node under test that answers them."""

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.qos import ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

OUTPUTS = {"disparity": DisparityImage, "depth/image_rect": Image, "depth/camera_info": CameraInfo}


def image(pixels, header=None):
    """Return a mono8 or rgb8 message written out by hand."""
    height, width = pixels.shape[:2]
    encoding = "mono8" if pixels.ndim == 2 else "rgb8"
    raw = np.ascontiguousarray(pixels).tobytes()
    return Image(
        header=header or Header(), width=width, height=height, encoding=encoding, step=len(raw) // height, data=raw
    )


def rectified_info(width, height, focal, cx, cy, tx):
    """Return the camera_info of a rectified camera whose P[0, 3] is `tx`."""
    k = [focal, 0.0, cx, 0.0, focal, cy, 0.0, 0.0, 1.0]
    r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    p = [focal, 0.0, cx, tx, 0.0, focal, cy, 0.0, 0.0, 0.0, 1.0, 0.0]
    return CameraInfo(width=width, height=height, distortion_model="plumb_bob", d=[0.0] * 5, k=k, r=r, p=p)


def raw_info(width, height, camera):
    """Return the camera_info of one side of the chessboard pair's calib.json."""
    flat = {name: np.ravel(camera[key]).tolist() for name, key in (("k", "K"), ("d", "D"), ("r", "R_rect"), ("p", "P"))}
    return CameraInfo(width=width, height=height, distortion_model="plumb_bob", **flat)


class StereoCamera:
    """Sends pairs under stamps of its own and collects what stereo_node gives."""

    def __init__(self, peer, outputs=OUTPUTS):
        self.peer, self._outputs, self._count = peer, outputs, 0
        self._images = [peer.publisher(Image, f"{side}/image") for side in ("left", "right")]
        self._infos = [peer.publisher(CameraInfo, f"{side}/camera_info") for side in ("left", "right")]
        for name, kind in outputs.items():
            peer.collect(kind, name)
        peer.collect(DiagnosticArray, "/diagnostics", ReliabilityPolicy.RELIABLE)

    def wait_for_node(self):
        """Return once the node listens and its outputs are matched."""
        publishers = [*self._images, *self._infos]
        self.peer.wait(lambda: all(p.get_subscription_count() for p in publishers), 40.0, "stereo_node to subscribe")
        expected = " ".join(sorted(self._outputs)) or "nothing"
        self.peer.wait(lambda: self.status().get("subscribed") == expected, 40.0, "its outputs to be matched")

    def status(self):
        return self.peer.status("stereo_node")

    def send(self, images, infos, apart_ns=0):
        """Publish a pair, camera_infos first, the right one `apart_ns` later; return the left header."""
        self._count += 1
        now_ns = self.peer.node.get_clock().now().nanoseconds
        headers = []
        for offset in (0, apart_ns):
            header = Header(frame_id=f"left_{self._count}")
            header.stamp.sec, header.stamp.nanosec = divmod(now_ns + offset, 10**9)
            headers.append(header)
        for publisher, info, header in zip(self._infos, infos, headers, strict=True):
            if info is not None:
                info.header = header
                publisher.publish(info)
                self.peer.wait(publisher.wait_for_all_acked, 2.0, "a camera_info to leave")
        for publisher, pixels, header in zip(self._images, images, headers, strict=True):
            publisher.publish(image(pixels, header))
        return headers[0]

    def answer(self, header, timeout_s=20.0):
        """Return topic → message of the pair that was sent under `header`, once all have come."""

        def found():
            sent = [(t, m) for t in self._outputs for m in self.peer.received[t] if m.header == header]
            return dict(sent) if len(sent) == len(self._outputs) else None

        return self.peer.wait(found, timeout_s, f"the outputs of {header.frame_id}")
