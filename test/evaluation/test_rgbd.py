"""Labelled images from files: layouts, units, and what is refused."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from evaluation.made_folders import SIZE, camera, depth_png, pairs, pfm, photo

from depth_pro_ros.errors import SourceError
from depth_pro_ros.evaluation import rgbd, rgbd_files
from depth_pro_ros.evaluation.rgbd_layouts import open_folder

SHAPE = SIZE[::-1]


def first_depth(folder, units=None):
    """Return layout, names and the depth of the top left pixel of each image."""
    found = open_folder(folder, units)
    samples = [rgbd.read(item) for item in found.items]
    return found.layout, [sample.name for sample in samples], [float(s.depth_m[0, 0]) for s in samples]


def test_pairs_of_one_name(tmp_path):
    assert first_depth(pairs(tmp_path)) == ("pairs", ["0", "1"], [2.0, 4.0])
    assert first_depth(tmp_path, units=500.0)[2] == [4.0, 8.0]
    camera(tmp_path, depth_scale=5000)
    assert first_depth(tmp_path)[2] == pytest.approx([0.4, 0.8])


def test_pairs_by_associations(tmp_path):
    photo(tmp_path / "rgb" / "10.5.png")
    depth_png(tmp_path / "depth" / "10.51.png", 1500)
    (tmp_path / "associations.txt").write_text("# TUM\n10.5 rgb/10.5.png 10.51 depth/10.51.png\n")
    assert first_depth(tmp_path) == ("pairs", ["10.5"], [1.5])


def test_masks_alone(tmp_path):
    photo(tmp_path / "rgb" / "a.png")
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, 4:] = 255
    mask[0, 0] = 51
    (tmp_path / "mask").mkdir()
    cv2.imwrite(str(tmp_path / "mask" / "a.png"), mask)
    sample = rgbd.read(open_folder(tmp_path).items[0])
    assert sample.depth_m is None and sample.intrinsics is None
    assert sample.opacity[0].tolist() == pytest.approx([0.2, 0, 0, 0, 1, 1, 1, 1])


def test_tum(tmp_path):
    for stamp in ("1.00", "2.00", "3.00"):
        photo(tmp_path / "rgb" / f"{stamp}.png")
    depth_png(tmp_path / "depth" / "0.99.png", 5000)
    depth_png(tmp_path / "depth" / "1.015.png", 10000)
    depth_png(tmp_path / "depth" / "3.019.png", 15000)
    (tmp_path / "rgb.txt").write_text("# colour images\n" + "".join(f"{n}.00 rgb/{n}.00.png\n" for n in (1, 2, 3)))
    (tmp_path / "depth.txt").write_text("".join(f"{n} depth/{n}.png\n" for n in ("0.99", "1.015", "3.019")))
    assert first_depth(tmp_path) == ("tum", ["1.00", "3.00"], [1.0, 3.0])  # 2.00 has none within 20 ms


def test_kitti(tmp_path):
    name = "2011_09_26_drive_0002_sync_{}_0000000005_image_02"
    photo(tmp_path / "image" / f"{name.format('image')}.png")
    depth_png(tmp_path / "groundtruth_depth" / f"{name.format('groundtruth_depth')}.png", 2560)
    (tmp_path / "intrinsics").mkdir()
    (tmp_path / "intrinsics" / f"{name.format('image')}.txt").write_text("700 0 4 0 700 3 0 0 1")
    assert first_depth(tmp_path) == ("kitti", [name.format("image")], [10.0])
    assert rgbd.read(open_folder(tmp_path).items[0]).intrinsics.fx == 700


def test_middlebury(tmp_path):
    scene = tmp_path / "Motorcycle"
    photo(scene / "im0.png")
    disparity = np.full(SHAPE, 18.0, np.float32)
    disparity[0, 1] = np.inf
    pfm(scene / "disp0.pfm", disparity)
    (scene / "calib.txt").write_text("cam0=[400 0 3.5; 0 400 2.5; 0 0 1]\ndoffs=2\nbaseline=200\nwidth=8\nheight=6\n")
    assert first_depth(tmp_path) == ("middlebury", ["Motorcycle"], [4.0])  # 400 * 0.2 / (18 + 2)
    assert first_depth(scene)[2] == [4.0]
    assert rgbd.read(open_folder(tmp_path).items[0]).depth_m[0, 1] == 0


def test_flat(tmp_path):
    photo(tmp_path / "bathroom" / "rgb_00045.jpg")
    depth_png(tmp_path / "bathroom" / "sync_depth_00045.png", 1500)
    photo(tmp_path / "kitchen" / "rgb.png")
    depth_png(tmp_path / "kitchen" / "depth_mm.png", 2500)
    photo(tmp_path / "rgb_0.png")
    depth_png(tmp_path / "depth_0_x256.png", 512)
    camera(tmp_path, depth_scale=500)
    names = ["bathroom/rgb_00045", "kitchen/rgb", "rgb_0"]
    assert first_depth(tmp_path) == ("flat", names, [3.0, 2.5, 2.0])


def test_floating_point_depth(tmp_path):
    depth = np.full(SHAPE, 2.5, np.float32)
    depth[0, :4] = [np.nan, -1, 0, np.inf]
    np.save(tmp_path / "d.npy", depth)
    np.savez(tmp_path / "d.npz", depth_m=depth, other=1)
    pfm(tmp_path / "d.pfm", depth)
    pfm(tmp_path / "big.pfm", depth, ">")
    for name in ("d.npy", "d.npz", "d.pfm", "big.pfm"):
        read = rgbd_files.read_depth(tmp_path / name, 1.0)
        assert read.dtype == np.float32 and read[0].tolist() == [0, 0, 0, np.inf, 2.5, 2.5, 2.5, 2.5], name


def test_pfm_rows_run_upwards(tmp_path):
    values = np.arange(48, dtype=np.float32).reshape(SHAPE)
    np.testing.assert_array_equal(rgbd_files.read_pfm(pfm(tmp_path / "a.pfm", values)), values)
    assert (tmp_path / "a.pfm").read_bytes()[-4:] == np.float32(7).tobytes()  # the first row's end comes last


def missing_photo(folder):
    (folder / "rgb" / "0.png").unlink()


def damaged_photo(folder):
    (folder / "rgb" / "0.png").write_bytes(b"no image")


def damaged_depth(folder):
    path = folder / "depth" / "0.png"
    path.write_bytes(path.read_bytes()[:20])


def eight_bits(folder):
    photo(folder / "depth" / "0.png")


def other_size(folder):
    depth_png(folder / "depth" / "0.png", 2000, (4, 6))


def all_zero(folder):
    depth_png(folder / "depth" / "0.png", 0)


def other_camera(folder):
    camera(folder, width=16)


@pytest.mark.parametrize(
    "spoil, says",
    [
        (missing_photo, "1 files of rgb/ and depth/ have no partner"),
        (damaged_photo, "cannot be read as a photo"),
        (damaged_depth, "no readable image"),
        (eight_bits, "uint8 of shape"),
        (other_size, "4x6, its photo 8x6"),
        (all_zero, "no depth at all"),
        (other_camera, "its camera's file says 16x6"),
    ],
)
def test_bad_files_are_named(tmp_path, spoil, says):
    spoil(pairs(tmp_path))
    with pytest.raises(SourceError, match=says) as error:
        rgbd.check_units(open_folder(tmp_path).items, 10)
    assert "0.png" in str(error.value)


@pytest.mark.parametrize("content", [b"", b"x", b"PK\x03\x04", b"Pf\n8 6\n-1.0\nshort"])
@pytest.mark.parametrize("ending", ["npy", "npz", "pfm"])
def test_damaged_floating_point_files(tmp_path, ending, content):
    path = tmp_path / f"a.{ending}"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=f"a.{ending}"):
        rgbd_files.read_depth(path, 1.0)


def test_wrong_units_are_told_by_the_range(tmp_path):
    items = open_folder(pairs(tmp_path), units_per_m=1.0).items
    with pytest.raises(SourceError, match="median depth is 3000 m when values are taken as 1 units a metre"):
        rgbd.check_units(items, 10)
    rgbd.check_units(open_folder(tmp_path).items, 10)


def test_folders_without_a_layout(tmp_path):
    with pytest.raises(SourceError, match="there is no folder"):
        open_folder(tmp_path / "nowhere")
    with pytest.raises(SourceError, match="none of the layouts tum, kitti, middlebury, pairs, flat"):
        open_folder(tmp_path)
    (tmp_path / "rgb.txt").write_text("1.0 rgb/1.png\n")
    (tmp_path / "depth.txt").write_text("1.0\n")
    with pytest.raises(SourceError, match=r"rgb.txt' lists 1 files, of which 1 are missing"):
        open_folder(tmp_path)


def test_real_sets(data_dir):
    expected = {"rgbd_hololens": 28, "rgbd_tum_fr1_desk": 9, "rgbd_livingroom_synth": 36, "tartanair_pair": 2}
    for name, count in expected.items():
        items = open_folder(data_dir / name).items
        assert len(items) == count
        rgbd.check_units(items, 1)
