"""Which topics of a bag are worked on, what belongs to them, and what headers say."""

import numpy as np
import pytest
from cli.bag_maker import START, STORE, camera, depth_pixels, header, image, info, jpeg, picture, run, write

from depth_pro_ros.cli.bag_cameras import Index, choose, describe, read_index
from depth_pro_ros.cli.bag_input import Stamped, open_bag, stamped
from depth_pro_ros.errors import ConfigurationError, ImageError, SourceError


@pytest.fixture
def many(tmp_path):
    """A bag with cameras, their compressed twins, depth of three kinds, and camera_infos."""
    rgb = picture(0)
    depth = np.ones((4, 4), np.uint16)
    squeezed = jpeg(rgb, START)
    squeezed.format = "16UC1; compressedDepth png"
    made = {
        "/a/image_raw": image(rgb, "rgb8", START),
        "/a/image_raw/compressed": jpeg(rgb, START),
        "/a/camera_info": info(START),
        "/b/image_raw/compressed": jpeg(rgb, START),
        "/b/camera_info": info(START),
        "/c/image_rect_color": image(rgb, "bgr8", START),
        "/c/image_mono": image(rgb[..., 0], "mono8", START),
        "/d/image_raw": image(depth, "16UC1", START),
        "/e/image": image(depth.astype(np.float32), "32FC1", START),
        "/e/image/compressedDepth": squeezed,
        "/image": image(rgb, "rgb8", START),
    }
    path = write(tmp_path / "many", [(topic, message, START) for topic, message in made.items()])
    with open_bag(path) as bag:
        yield bag


def test_pictures_are_chosen_and_neither_depth_nor_twins(many):
    topics = ["/a/image_raw", "/b/image_raw/compressed", "/c/image_mono", "/c/image_rect_color", "/image"]
    assert choose(many, [], []) == topics
    assert choose(many, [], ["/image"]) == topics[:-1]
    assert choose(many, ["/a/image_raw/compressed", "/d/image_raw"], []) == ["/a/image_raw/compressed", "/d/image_raw"]


def test_a_topic_without_images_is_refused_with_those_there_are(many, tmp_path):
    with pytest.raises(SourceError, match=r"no images on '/a/camera_info'; image topics: /a/image_raw, /a/image_raw/c"):
        choose(many, ["/a/camera_info"], [])
    only_depth = write(tmp_path / "depth", [("/d", image(np.ones((4, 4), np.uint16), "16UC1", START), START)])
    with pytest.raises(SourceError, match="no colour images; image topics: /d"):
        run(only_depth, tmp_path / "out")
    assert not (tmp_path / "out.partial").exists()


def test_camera_infos_names_and_rectification_follow_the_topics(many):
    found = {c.topic: c for c in describe(many, choose(many, [], []))}
    assert {topic: c.info_topic for topic, c in found.items()} == {
        "/a/image_raw": "/a/camera_info",
        "/b/image_raw/compressed": "/b/camera_info",
        "/c/image_mono": None,
        "/c/image_rect_color": None,
        "/image": None,
    }
    assert {topic for topic, c in found.items() if c.rectified} == {"/c/image_rect_color"}
    assert {topic: c.output("depth/image_rect") for topic, c in found.items()} == {
        "/a/image_raw": "/a/depth/image_rect",
        "/b/image_raw/compressed": "/b/depth/image_rect",
        "/c/image_mono": "/c/image_mono/depth/image_rect",
        "/c/image_rect_color": "/c/image_rect_color/depth/image_rect",
        "/image": "/depth/image_rect",
    }
    twins = describe(many, ["/a/image_raw", "/a/image_raw/compressed"], under="pro")
    assert [c.namespace for c in twins] == ["/a/image_raw/pro", "/a/image_raw/compressed/pro"]


def test_camera_infos_can_be_named(many):
    topics = ["/a/image_raw", "/image"]
    assert [c.info_topic for c in describe(many, topics, ["/b/camera_info"])] == ["/b/camera_info"] * 2
    named = describe(many, topics, ["/image=/b/camera_info"], images="rectified")
    assert [(c.info_topic, c.rectified) for c in named] == [("/a/camera_info", True), ("/b/camera_info", True)]
    with pytest.raises(SourceError, match=r"no camera_info on '/x'; there is /a/camera_info, /b/camera_info"):
        describe(many, topics, ["/x"])
    with pytest.raises(SourceError, match=r"'/x' is none of the images: /a/image_raw, /image"):
        describe(many, topics, ["/x=/a/camera_info"])


def test_outputs_that_the_bag_has_already_are_refused(tmp_path):
    taken = camera(1) + [("/camera/depth/image_rect", depth_pixels(START), START + 10**9)]
    old = write(tmp_path / "in", taken)
    with pytest.raises(ConfigurationError, match="a topic /camera/depth/image_rect already: give --under NAME"):
        run(old, tmp_path / "out")
    assert run(old, tmp_path / "out", "--under", "pro") == 0


@pytest.mark.parametrize("little", [True, False])
@pytest.mark.parametrize("frame", ["camera_optical", "", "Kamera-ü"])
def test_headers_are_read_in_either_byte_order(little, frame):
    raw = bytes(STORE.serialize_cdr(header(-5 * 10**9 + 7, frame), "std_msgs/msg/Header", little_endian=little))
    assert stamped(raw, 12) == Stamped(12, -5 * 10**9 + 7, frame)
    assert stamped(raw, 12, keep=True).raw == raw


def test_a_header_cut_short_is_an_image_error():
    with pytest.raises(ImageError, match="a message of 9 bytes has no readable header"):
        stamped(b"\0\1\0\0" + bytes(5), 0)


def test_stamps_of_zero_say_nothing():
    assert Stamped(7, 0, "").time_ns == 7 and Stamped(7, 5, "").time_ns == 5


def test_an_image_takes_the_info_of_its_stamp_else_the_last_else_the_first(many):
    (found,) = describe(many, ["/a/image_raw"])
    infos = [Stamped(10, 1, "", b"first"), Stamped(20, 2, "", b"second"), Stamped(30, 3, "", b"third")]
    index = Index(infos={"/a/camera_info": infos})
    picked = [index.info(found, Stamped(*times, "")) for times in ((0, 0), (15, 9), (20, 9), (99, 9), (0, 3))]
    assert picked == [b"first", b"first", b"second", b"third", b"third"]
    assert Index(infos={"/a/camera_info": []}).info(found, Stamped(0, 0, "")) is None


def test_the_nearest_cue_within_the_tolerance():
    cues = [Stamped(0, stamp, "") for stamp in (100, 200, 300)]
    index = Index(cues={"/cue": cues})
    for stamp, nearest in ((149, 100), (151, 200), (320, 300), (80, 100), (321, None), (79, None)):
        found = index.nearest_cue("/cue", Stamped(0, stamp, ""), 49 if 100 < stamp < 300 else 20)
        assert (found and found.stamp_ns) == nearest
    assert Index(cues={"/cue": []}).nearest_cue("/cue", Stamped(0, 1, ""), 10) is None


def test_an_image_message_without_a_header_keeps_its_place(tmp_path):
    made = camera(3, with_info=False)
    made[1] = (made[1][0], ("sensor_msgs/msg/Image", b"\0\1\0\0"), made[1][2])
    with open_bag(write(tmp_path / "in", made)) as bag:
        index = read_index(bag, describe(bag, ["/camera/image_raw"]), [], lambda: None)
    assert [image is None for image in index.images["/camera/image_raw"]] == [False, True, False]
