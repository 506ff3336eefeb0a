"""Bad bags, bad messages, bad disks: one sentence, a status that is not 0, and nothing under the new bag's name."""

import os
import shutil

import numpy as np
import pytest
from cli.bag_maker import IMAGE, START, STEP, STORE, camera, image, messages, picture, read, run, stamps, write
from cli.full_disk import run_with_room
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from depth_pro_ros.cli import main as command_line
from depth_pro_ros.cli.bag_output import UNKNOWN_HASH
from depth_pro_ros.errors import ConfigurationError, OutputError, SourceError

DEPTH = "/camera/depth/image_rect"


def refused(capsys, *argv):
    """Run the real command line; return its one line on stderr."""
    assert command_line.main(["bag", *map(str, argv)]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("depth_pro_ros: ")]
    assert len(lines) == 1
    return lines[0]


def test_what_is_no_bag(tmp_path, capsys):
    out = tmp_path / "out"
    (tmp_path / "empty").mkdir()
    (tmp_path / "zero.mcap").write_bytes(b"")
    (tmp_path / "text.mcap").write_text("no bag at all, but a text that is long enough to hold a footer")
    (tmp_path / "text.db3").write_text("no database")
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0\n")
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8")
    assert "none does not exist" not in refused(capsys, tmp_path / "none", out)
    for name, told in {
        "none": "it does not exist",
        "empty": "metadata",
        "zero.mcap": "seems to be empty",
        "text.mcap": "magic is invalid",
        "text.db3": "Cannot open database",
        "old.bag": "a bag of ROS 1: convert it with 'rosbags-convert",
        "photo.jpg": "Unrecognized storage format",
    }.items():
        line = refused(capsys, tmp_path / name, out)
        assert str(tmp_path / name) in line and told in line
    assert not out.exists() and not (tmp_path / "out.partial").exists()


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_bags_that_were_cut_or_changed(tmp_path, capsys, storage):
    whole = write(tmp_path / "whole", camera(6), storage)
    suffix = {"mcap": "mcap", "sqlite3": "db3"}[storage]
    data = (whole / f"whole.{suffix}").read_bytes()
    harm = {
        "cut": data[: len(data) // 2],
        "zeroed": data[:9000] + bytes(4000) + data[13000:],
        "tail": data[:-600] + bytes(600),
        "head": bytes(200) + data[200:],
    }
    refusals = 0
    for name, harmed in harm.items():
        bag = tmp_path / name
        shutil.copytree(whole, bag)
        (bag / f"whole.{suffix}").write_bytes(harmed)
        try:
            run(bag, tmp_path / f"{name}_out")
        except SourceError as error:
            refusals += 1
            assert str(bag) in str(error) and "\n" not in str(error)
            assert not (tmp_path / f"{name}_out").exists()
    assert refusals >= 2  # the others were harmed where only pixels stand, or nothing at all
    capsys.readouterr()


def test_damage_that_shows_while_messages_are_read(tmp_path, monkeypatch):
    """The reader fails at the third message, as zstd or SQLite do for a damaged block."""
    old = write(tmp_path / "in", camera(6))
    plain = Reader.messages

    def failing(self, *args, **kwargs):
        for number, message in enumerate(plain(self, *args, **kwargs)):
            if number == 3:
                raise RuntimeError("a block\nis damaged")
            yield message

    monkeypatch.setattr(Reader, "messages", failing)
    with pytest.raises(SourceError, match=r"cannot read the bag .*in \(a block is damaged\)"):
        run(old, tmp_path / "out")
    assert os.listdir(tmp_path) == ["in"]


def test_a_bag_without_images_or_without_the_topic(tmp_path, capsys):
    old = write(tmp_path / "in", [m for m in camera() if "info" in m[0]])
    assert "has no colour images; image topics: none" in refused(capsys, old, tmp_path / "out")
    old = write(tmp_path / "more", camera())
    line = refused(capsys, old, tmp_path / "out", "--topics", "/nowhere")
    assert "no images on '/nowhere'; image topics: /camera/image_raw" in line
    assert sorted(os.listdir(tmp_path)) == ["in", "more"]


def damaged():
    """Return pictures of which four are damaged, each in another way."""
    made = camera(6)
    images = [i for i, (topic, _, _) in enumerate(made) if topic == "/camera/image_raw"]
    cut = bytes(STORE.serialize_cdr(made[images[1]][1], IMAGE))[:500]
    made[images[1]] = (made[images[1]][0], (IMAGE, cut), made[images[1]][2])
    made[images[2]][1].encoding = "rgb9"
    made[images[3]][1].step = 7
    made[images[4]] = (made[images[4]][0], (IMAGE, b"\0\1\0\0\0\0"), made[images[4]][2])
    return made


def test_damaged_images_are_told_and_the_others_done(tmp_path, capsys):
    old = write(tmp_path / "in", damaged())
    assert run(old, tmp_path / "out") == 1
    err = capsys.readouterr().err
    for told in (
        "image 1 of /camera/image_raw: a sensor_msgs/msg/Image message of 500 bytes is damaged",
        "image 2 of /camera/image_raw: encoding 'rgb9' is not supported here",
        "image 3 of /camera/image_raw: step 7",
        "image 4 of /camera/image_raw: the message is too short to hold a header",
    ):
        assert told in err
    assert stamps(tmp_path / "out", DEPTH) == [START, START + 5 * STEP]
    assert read(tmp_path / "out")["/camera/image_raw"] == read(old)["/camera/image_raw"]


def test_when_no_image_can_be_done_there_is_no_bag(tmp_path, capsys):
    made = camera(3)
    for _, message, _ in made:
        if message.__msgtype__ == IMAGE:
            message.encoding = "rgb9"
    with pytest.raises(SourceError, match="not one of the 3 images of .* can be used: the reasons are above"):
        run(write(tmp_path / "in", made), tmp_path / "out")
    err = capsys.readouterr().err
    assert err.count("encoding 'rgb9'") == 1 and "2 more images cannot be done" in err
    assert os.listdir(tmp_path) == ["in"]


def test_images_of_16_bits_alpha_and_bayer_are_done(tmp_path):
    rgb = picture(1)
    alpha = np.dstack([rgb[..., ::-1], np.full(rgb.shape[:2], 9, np.uint8)])
    kinds = [(alpha, "bgra8"), (rgb[..., 0].astype(np.uint16) * 257, "mono16"), (rgb[..., 1], "bayer_rggb8")]
    made = [("/x/image", image(p, e, START + n * STEP), START + n * STEP) for n, (p, e) in enumerate(kinds)]
    assert run(write(tmp_path / "in", made), tmp_path / "out", "--topics", "/x/image") == 0
    assert len(messages(tmp_path / "out", "/x/depth/image_rect")) == 3


def test_where_nothing_can_be_written(tmp_path, capsys):
    old = write(tmp_path / "in", camera(1))
    (tmp_path / "file").write_text("a file")
    assert "cannot be made" in refused(capsys, old, tmp_path / "file" / "out")
    assert "cannot be made" in refused(capsys, old, "/proc/nowhere/out")
    assert "out.mcap is the name of a file" in refused(capsys, old, tmp_path / "out.mcap")
    with pytest.raises(ConfigurationError, match="--compress works chunk by chunk"):
        run(old, tmp_path / "out", "--compress", "--storage", "sqlite3")
    assert sorted(os.listdir(tmp_path)) == ["file", "in"]


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
@pytest.mark.parametrize(("bytes_", "done"), [(4000, 0), (30_000, 6)], ids=["predictions", "bag"])
def test_a_full_disk_is_one_sentence_and_the_run_goes_on_later(tmp_path, storage, bytes_, done):
    old = write(tmp_path / "in", camera(6), storage)
    child = run_with_room(bytes_, "cli.bag_maker", old, tmp_path / "out")
    assert child.returncode == 2, child.stderr
    assert "cannot be written" in child.stdout and child.stdout.count("\n") == 1
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial" / "out").exists()
    assert len(list((tmp_path / "out.partial").glob("*/*.npz"))) == done if done else True
    assert not list((tmp_path).glob("out.partial/*/.*"))
    assert run(old, tmp_path / "out") == 0


def test_a_prediction_that_was_damaged_since_is_named(tmp_path, monkeypatch):
    old = write(tmp_path / "in", camera(2))
    with monkeypatch.context() as patched:
        patched.setattr("depth_pro_ros.cli.bag.write_bag", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            run(old, tmp_path / "out")
    harmed = tmp_path / "out.partial" / "camera+image_raw" / "000001.npz"
    harmed.write_bytes(harmed.read_bytes()[:-50])
    with pytest.raises(OutputError, match=r"000001\.npz is damaged .*: remove it and run the command again"):
        run(old, tmp_path / "out")
    harmed.unlink()
    assert run(old, tmp_path / "out") == 0
    assert len(messages(tmp_path / "out", DEPTH)) == 2


def test_types_that_nobody_knows_are_copied(tmp_path):
    """A type of the user's own is copied with its definition; one without a definition is copied as well."""
    text = "int32 wheel_ticks\n"
    old = tmp_path / "in"
    with Writer(old, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        own = writer.add_connection("/ticks", "robot/msg/Ticks", msgdef=text, rihs01="RIHS01_" + "7" * 64)
        bare = writer.add_connection("/bare", "robot/msg/Bare", msgdef="", rihs01=UNKNOWN_HASH)
        pictures = writer.add_connection("/camera/image_raw", IMAGE, typestore=STORE)
        writer.write(own, 1, b"\0\1\0\0\5\0\0\0")
        writer.write(bare, 2, b"\0\1\0\0\6")
        writer.write(pictures, 3, STORE.serialize_cdr(image(picture(0), "rgb8", START), IMAGE))
    for storage in ("mcap", "sqlite3"):
        out = tmp_path / storage
        assert run(old, out, "--storage", storage) == 0
        assert read(out)["/ticks"] == [(1, b"\0\1\0\0\5\0\0\0")] and read(out)["/bare"] == [(2, b"\0\1\0\0\6")]
        with Reader(out) as reader:
            found = {c.topic: c for c in reader.connections}
        assert found["/ticks"].msgdef.data == text and found["/ticks"].digest == "RIHS01_" + "7" * 64
        assert found["/bare"].msgdef.data == "" and found["/bare"].msgtype == "robot/msg/Bare"
