"""Writing the new bag: every message of the old one, and behind each image what was made of it."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from rosbags.interfaces import (
    Connection,
    MessageDefinitionFormat,
    Qos,
    QosDurability,
    QosHistory,
    QosLiveliness,
    QosReliability,
    QosTime,
)
from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer, WriterError
from rosbags.typesys import Stores, TypesysError, get_types_from_msg, get_typestore

from depth_pro_ros.cli.bag_cameras import DEPTH, DEPTH_INFO, POINTS, SIGMA, Camera, Index
from depth_pro_ros.cli.bag_fusion import CameraFusion, CueSettings, at_focal, common_focals
from depth_pro_ros.cli.bag_images import Focal, Pictures
from depth_pro_ros.cli.bag_input import IMAGE, INFO, Bag, Stamped, typestore
from depth_pro_ros.cli.bag_messages import CLOUD, cloud_cdr, depth_cdr, info_cdr
from depth_pro_ros.cli.bag_spool import Spool
from depth_pro_ros.errors import OutputError
from depth_pro_ros.records import DepthMap

STORAGES = {"mcap": StoragePlugin.MCAP, "sqlite3": StoragePlugin.SQLITE3}
VERSION = 8  # of the metadata: with quality of service as Humble reads it, and newer ones as well
CUSTOM_KEY = "depth_pro_ros"

_FOREVER = QosTime(9223372036, 854775807)  # how rosbag2 records a deadline or lifespan that was not set
RELIABLE = Qos(
    QosHistory.KEEP_LAST,
    5,
    QosReliability.RELIABLE,
    QosDurability.VOLATILE,
    _FOREVER,
    _FOREVER,
    QosLiveliness.AUTOMATIC,
    _FOREVER,
    False,
)
"""The quality of service of what is written, which is depth_node's."""


@dataclass(frozen=True)
class OutputSettings:
    """What is written of each image, and how; `cloud_stride` 0 is no cloud."""

    storage: str
    compress: bool = False
    encoding: str = "32FC1"
    max_range_m: float = 1000.0
    cloud_stride: int = 0
    cloud_max_range_m: float = 100.0
    sigma: bool = False
    focal: Focal = "auto"


@dataclass
class Summary:
    """What was written for one camera."""

    images: int = 0
    focal_px: float = math.nan
    states: Mapping[str, int] = field(default_factory=dict)


class CameraWriter:
    """Makes the messages of one camera, image after image."""

    def __init__(
        self, camera: Camera, spool: Spool, index: Index, fusion: CameraFusion, settings: OutputSettings
    ) -> None:
        self.camera = camera
        self.summary = Summary(states=fusion.states)
        self.fusion = fusion
        self._spool = spool
        self._index = index
        self._settings = settings
        self._pictures = Pictures(settings.focal)
        self._done = [n for n in range(len(index.images[camera.topic])) if spool.has(camera.topic, n)]
        self._shares = common_focals(spool, camera.topic, self._done)
        self._next = 0

    def outputs(self) -> dict[str, str]:
        """Return topic → type of what is written."""
        chosen = {DEPTH_INFO: INFO, DEPTH: IMAGE}
        if self._settings.cloud_stride:
            chosen[POINTS] = CLOUD
        if self._settings.sigma:
            chosen[SIGMA] = IMAGE
        return {self.camera.output(name): msgtype for name, msgtype in chosen.items()}

    def messages(self, raw: bytes) -> Iterator[tuple[str, memoryview]]:
        """Yield (topic, CDR) for the next image of the topic, nothing for one that could not be done."""
        number, self._next = self._next, self._next + 1
        image = self._index.images[self.camera.topic][number]
        if image is None or not self._spool.has(self.camera.topic, number):
            return
        depth = at_focal(self._spool.read(self.camera.topic, number), self._shares)
        depth, sigma = self.fusion.finish(depth, image)
        self.summary.images += 1
        self.summary.focal_px = depth.focal_px
        yield self.camera.output(DEPTH_INFO), info_cdr(depth.intrinsics, image)
        yield self.camera.output(DEPTH), depth_cdr(depth.depth_m, self._settings.encoding, image)
        if self._settings.cloud_stride:
            yield self.camera.output(POINTS), self._cloud(raw, depth, image)
        if self._settings.sigma and sigma is not None:
            yield self.camera.output(SIGMA), depth_cdr(sigma, "32FC1", image)

    def _cloud(self, raw: bytes, depth: DepthMap, image: Stamped) -> memoryview:
        """Return the cloud, in the colours of the image as the network saw it."""
        info = self._index.info(self.camera, image)
        picture = self._pictures.read(self.camera.msgtype, raw, info, self.camera.rectified)
        stride, reach = self._settings.cloud_stride, self._settings.cloud_max_range_m
        return cloud_cdr(depth.depth_m, picture.rgb, depth.intrinsics, image, stride, reach)


def write_bag(
    bag: Bag,
    cues: Bag,
    index: Index,
    cameras: Mapping[Camera, CueSettings],
    spool: Spool,
    settings: OutputSettings,
    step: Callable[[], object],
) -> dict[Camera, Summary]:
    """Write the bag under its final name, and return what was written for each camera.

    `cues` is the same bag, opened once more. `step` is called after each message. Raises OutputError when it cannot be
    written, AlignmentError when the cues of a camera fix no scale, SourceError for a damaged bag.
    """
    writers = {
        camera.topic: CameraWriter(
            camera, spool, index, CameraFusion(cues, index, found, settings.max_range_m), settings
        )
        for camera, found in cameras.items()
    }
    with _whole_or_none(spool):
        with _open(spool, settings, bag.custom_data) as writer:
            copies = {connection.id: _copied(writer, connection) for connection in bag.connections}
            outputs = {topic: msgtype for each in writers.values() for topic, msgtype in each.outputs().items()}
            made = {topic: _added(writer, topic, msgtype) for topic, msgtype in outputs.items()}
            for connection, received_ns, raw in bag.messages():
                writer.write(copies[connection.id], received_ns, raw)
                if each := writers.get(connection.topic):
                    for topic, cdr in each.messages(raw):
                        writer.write(made[topic], received_ns, cdr)
                step()
            for each in writers.values():
                each.fusion.check(each.camera.topic)
        spool.finish()
    return {each.camera: each.summary for each in writers.values()}


def _open(spool: Spool, settings: OutputSettings, custom_data: Mapping[str, str]) -> Writer:
    """Return the writer, to be entered, of a bag that says what made it."""
    writer = Writer(spool.bag_folder(), version=VERSION, storage_plugin=STORAGES[settings.storage])
    if settings.compress:
        writer.set_compression(CompressionMode.STORAGE, CompressionFormat.ZSTD)
    for key, value in {**custom_data, CUSTOM_KEY: json.dumps(spool.model)}.items():
        writer.set_custom_data(key, value)
    return writer


@contextmanager
def _whole_or_none(spool: Spool) -> Iterator[None]:
    """Leave no half-written bag, and name the bag in what goes wrong with the disk."""
    try:
        yield
    except (OSError, sqlite3.Error, WriterError) as error:
        found = getattr(error, "strerror", None) or error
        raise OutputError(
            f"{spool.out} cannot be written ({found}): free space or take another folder, and run the command again; "
            f"the predictions in {spool.folder} are kept"
        ) from error
    finally:
        spool.bag_folder()


def _added(writer: Writer, topic: str, msgtype: str) -> Connection:
    """Return a new connection of a type that rosbags knows."""
    return writer.add_connection(topic, msgtype, typestore=typestore(), offered_qos_profiles=[RELIABLE])


def _copied(writer: Writer, connection: Connection) -> Connection:
    """Return the new bag's connection for one of the old bag, with its type, definition and quality of service."""
    definition, digest = _definition(connection)
    for there in writer.connections:  # an mcap file may hold one topic in several channels that do not differ
        if (there.topic, there.msgtype, there.ext) == (connection.topic, connection.msgtype, connection.ext):
            return there
    return writer.add_connection(
        connection.topic,
        connection.msgtype,
        msgdef=definition,
        rihs01=digest,
        serialization_format=connection.ext.serialization_format,
        offered_qos_profiles=connection.ext.offered_qos_profiles,
    )


UNKNOWN_HASH = f"RIHS01_{'0' * 64}"
"""REP 2011's form with the zeros of a hash that was never set, for a type that neither bag nor rosbags defines."""


def _definition(connection: Connection) -> tuple[str, str]:
    """Return (definition, REP 2011 hash) of a connection's type: the bag's own, else ROS 2's, else empty."""
    text, msgtype = connection.msgdef.data, connection.msgtype
    if text and connection.digest:
        return text, connection.digest
    store = typestore()
    if connection.msgdef.format == MessageDefinitionFormat.MSG:
        store = get_typestore(Stores.EMPTY)
        try:
            store.register(get_types_from_msg(text, msgtype))
        except TypesysError:
            return text, UNKNOWN_HASH
    if msgtype not in store.fielddefs:
        return text, UNKNOWN_HASH
    return text or store.generate_msgdef(msgtype, ros_version=2)[0], store.hash_rihs01(msgtype)
