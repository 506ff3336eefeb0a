"""Which image topics of a bag are cameras, and which camera_info, cue and output topics belong to each."""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from depth_pro_ros.cli.bag_input import COMPRESSED, DISPARITY, IMAGE, INFO, Bag, Stamped, deserialize, stamped
from depth_pro_ros.errors import CalibrationError, ConfigurationError, ImageError, SourceError
from depth_pro_ros.messages.camera_info import info_topic
from depth_pro_ros.messages.images import DEPTH_ENCODINGS

DEPTH, DEPTH_INFO, POINTS, SIGMA = "depth/image_rect", "depth/camera_info", "points", "depth/sigma"
"""Names of what is written for a camera, below its namespace; those of depth_node."""


@dataclass(frozen=True)
class Camera:
    """An image topic, its camera_info's topic (None: there is none), and the namespace of what is written for it.

    `rectified` says that the images come undistorted, so that camera_info's P belongs to them.
    """

    topic: str
    msgtype: str
    info_topic: str | None
    rectified: bool
    namespace: str

    def output(self, name: str) -> str:
        """Return the full topic of one of the names above."""
        return f"{self.namespace}/{name}"


def choose(bag: Bag, wanted: Sequence[str], cues: Sequence[str]) -> list[str]:
    """Return the image topics to work on: `wanted`, or every one that shows a picture.

    Without `wanted`, depth images, the cues and the compressed twin of a raw topic are left out. Raises SourceError
    for a topic without images, and when there is none at all.
    """
    images = sorted(topic for topic, msgtype in bag.types().items() if msgtype in (IMAGE, COMPRESSED))
    for topic in wanted:
        if topic not in images:
            raise SourceError(f"{bag.path} has no images on '{topic}'; image topics: {', '.join(images) or 'none'}")
    chosen = list(dict.fromkeys(wanted)) or [
        topic
        for topic in images
        if topic not in cues and _base(topic, twins=images) == topic and _is_picture(bag, topic)
    ]
    if not chosen:
        raise SourceError(f"{bag.path} has no colour images; image topics: {', '.join(images) or 'none'}")
    return chosen


def _base(topic: str, twins: Iterable[str] = ()) -> str:
    """Return the raw topic that a compressed one repeats, if it is among `twins`, else the topic itself."""
    raw = topic.removesuffix("/compressed")
    return raw if raw in twins else topic


def _is_picture(bag: Bag, topic: str) -> bool:
    """Return whether the first message shows a picture and not depth; a damaged one counts, to be told of later."""
    connection, _, raw = next(bag.messages([topic]))
    try:
        message = deserialize(raw, connection.msgtype)
    except ImageError:
        return True
    if connection.msgtype == COMPRESSED:
        return "compressedDepth" not in message.format
    return message.encoding not in DEPTH_ENCODINGS


def describe(
    bag: Bag, topics: Sequence[str], infos: Sequence[str] = (), images: str = "auto", under: str = ""
) -> list[Camera]:
    """Return the cameras of the image `topics`.

    `infos` holds a camera_info topic for all, or IMAGE=INFO for some; the others take the sibling of their topic.
    `images` is "raw", "rectified", or "auto", which tells by "rect" in the topic's last name. Raises SourceError for
    a camera_info that is not there, ConfigurationError when an output's topic is taken already.
    """
    given = _given_infos(bag, topics, infos)
    types, spaces = bag.types(), _namespaces(topics, under.strip("/"))
    cameras = []
    for topic in topics:
        last = topic.removesuffix("/compressed").rpartition("/")[2]
        rectified = images == "rectified" or (images == "auto" and "rect" in last)
        sibling = info_topic(topic)
        info = given.get(topic) or (sibling if types.get(sibling) == INFO else None)
        cameras.append(Camera(topic, types[topic], info, rectified, spaces[topic]))
    for camera in cameras:
        for name in (DEPTH, DEPTH_INFO, POINTS, SIGMA):
            if camera.output(name) in {c.topic for c in bag.connections}:
                raise ConfigurationError(
                    f"{bag.path} has a topic {camera.output(name)} already: give --under NAME, which comes before the "
                    "names of what is written"
                )
    return cameras


def _given_infos(bag: Bag, topics: Sequence[str], infos: Sequence[str]) -> dict[str, str]:
    """Return image topic → camera_info topic as the command line says."""
    found = sorted(topic for topic, msgtype in bag.types().items() if msgtype == INFO)
    pairs: dict[str, str] = {}
    for entry in infos:
        image, equals, info = entry.rpartition("=")
        if info not in found:
            raise SourceError(f"{bag.path} has no camera_info on '{info}'; there is {', '.join(found) or 'none'}")
        if equals and image not in topics:
            raise SourceError(f"--camera-info {entry}: '{image}' is none of the images: {', '.join(topics)}")
        pairs |= {image: info} if equals else dict.fromkeys(topics, info)
    return pairs


def _namespaces(topics: Sequence[str], under: str) -> dict[str, str]:
    """Return topic → namespace: that of the image, or the image's own name where two images share theirs."""
    bases = {topic: topic.removesuffix("/compressed") for topic in topics}
    parents = Counter(base.rpartition("/")[0] for base in bases.values())
    own = Counter(bases.values())
    spaces = {}
    for topic, base in bases.items():
        parent = base.rpartition("/")[0]
        space = parent if parents[parent] == 1 else base if own[base] == 1 else topic
        spaces[topic] = f"{space}/{under}" if under else space
    return spaces


@dataclass
class Index:
    """The headers of a bag, in the order of their messages: of images, camera_infos (whole), and cues, by topic."""

    images: dict[str, list[Stamped | None]] = field(default_factory=dict)
    infos: dict[str, list[Stamped]] = field(default_factory=dict)
    cues: dict[str, list[Stamped]] = field(default_factory=dict)
    _exact: dict[str, dict[int, bytes]] = field(default_factory=dict)

    def info(self, camera: Camera, image: Stamped) -> bytes | None:
        """Return the camera_info (CDR) of an image: that of its stamp, else the last before it, else the first."""
        infos = self.infos.get(camera.info_topic or "")
        if not infos:
            return None
        exact = self._exact.setdefault(camera.info_topic, {info.stamp_ns: info.raw for info in infos})
        if image.stamp_ns in exact:
            return exact[image.stamp_ns]
        before = bisect.bisect_right(infos, image.received_ns, key=lambda info: info.received_ns)
        return infos[max(before - 1, 0)].raw

    def frame_id(self, topic: str) -> str:
        """Return the frame of a topic's first readable image."""
        return next((image.frame_id for image in self.images[topic] if image is not None), "")

    def nearest_cue(self, topic: str, image: Stamped, tolerance_ns: int) -> Stamped | None:
        """Return the header of the cue nearest to an image in time, None when none is within the tolerance."""
        cues = self.cues[topic]
        after = bisect.bisect_left(cues, image.time_ns, key=lambda cue: cue.time_ns)
        near = min(cues[max(after - 1, 0) : after + 1], key=lambda cue: abs(cue.time_ns - image.time_ns), default=None)
        return near if near is not None and abs(near.time_ns - image.time_ns) <= tolerance_ns else None


def topics_of(cameras: Sequence[Camera], cues: Sequence[str]) -> set[str]:
    """Return all topics that are read for the cameras."""
    infos = {camera.info_topic for camera in cameras if camera.info_topic}
    return {camera.topic for camera in cameras} | infos | set(cues)


def read_index(bag: Bag, cameras: Sequence[Camera], cues: Sequence[str], step: Callable[[], object]) -> Index:
    """Return the headers of what belongs to the cameras; `step` is called after each message.

    An image without a readable header is None, a camera_info or cue without one is left out. Raises SourceError for a
    damaged bag, and for a cue topic that holds neither disparity nor images.
    """
    _check_cues(bag.types(), cues, bag)
    infos = {camera.info_topic for camera in cameras if camera.info_topic}
    images = {camera.topic for camera in cameras}
    index = Index({topic: [] for topic in images}, {topic: [] for topic in infos}, {topic: [] for topic in cues})
    for connection, received_ns, raw in bag.messages(topics_of(cameras, cues)):
        topic = connection.topic
        try:
            header = stamped(raw, received_ns, keep=topic in infos)
        except ImageError:
            header = None
        if topic in images:
            index.images[topic].append(header)
        elif header is not None:
            (index.infos if topic in infos else index.cues)[topic].append(header)
        step()
    for headers in index.cues.values():
        headers.sort(key=lambda cue: cue.time_ns)
    return index


def _check_cues(types: Mapping[str, str], cues: Sequence[str], bag: Bag) -> None:
    """Raise SourceError for a cue that is no topic of disparity or of images."""
    usable = sorted(topic for topic, msgtype in types.items() if msgtype in (DISPARITY, IMAGE))
    for topic in cues:
        if topic not in usable:
            raise SourceError(
                f"{bag.path} has no cue on '{topic}'; disparity and images: {', '.join(usable) or 'none'}"
            )


def assign_cues(index: Index, cameras: Sequence[Camera], cues: Sequence[str]) -> dict[str, list[str]]:
    """Return image topic → the cue topics of its frame; an empty frame fits every camera.

    Raises CalibrationError for a cue whose frame no camera has.
    """
    assigned: dict[str, list[str]] = {camera.topic: [] for camera in cameras}
    for cue in cues:
        frame = next((header.frame_id for header in index.cues[cue]), "")
        frames = {camera.topic: index.frame_id(camera.topic) for camera in cameras}
        fitting = [topic for topic, ours in frames.items() if not frame or not ours or ours == frame]
        if not fitting:
            told = ", ".join(f"{topic} in '{ours}'" for topic, ours in frames.items())
            raise CalibrationError(
                f"the cue {cue} is in the frame '{frame}', but {told}: give a cue in a camera's optical frame"
            )
        for topic in fitting:
            assigned[topic].append(cue)
    return assigned
