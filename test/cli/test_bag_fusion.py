"""`depth_pro_ros bag --cue`: depth at the scale of the bag's own disparity or depth."""

import numpy as np
import pytest
from cli.bag_maker import (
    DELAY,
    FOCAL,
    RAMP,
    START,
    STEP,
    KnownPredictor,
    camera,
    disparity,
    image,
    like_the_sensor,
    messages,
    pixels,
    read,
    run,
    stamps,
    write,
)

from depth_pro_ros.cli.bag_cameras import Camera, Index, describe
from depth_pro_ros.cli.bag_fusion import CameraFusion, CueSettings
from depth_pro_ros.cli.bag_input import Stamped, open_bag
from depth_pro_ros.errors import AlignmentError, CalibrationError, ConfigurationError, SourceError

DEPTH, SIGMA = "/camera/depth/image_rect", "/camera/depth/sigma"
CUE = "/cue"


def depth_cue(stamp, scale=1.0, frame="camera"):
    return image(np.rint(RAMP * 1000 * scale).astype(np.uint16), "16UC1", stamp, frame)


def cues(make, count=4, late=5_000_000, **options):
    """Return `count` cues, each `late` ns behind its image."""
    return [(CUE, make(START + n * STEP + late, **options), START + n * STEP + DELAY + late) for n in range(count)]


def in_order(*parts):
    return sorted((m for part in parts for m in part), key=lambda m: m[2])


def wrong_by(factor):
    return KnownPredictor(ramp=RAMP * np.float32(factor))


@pytest.mark.parametrize(
    "make",
    [depth_cue, lambda stamp: disparity(RAMP, stamp, 90.0, 0.12)],
    ids=["depth", "disparity"],
)
def test_the_cue_sets_the_scale(tmp_path, make, capsys):
    """The predictor sees everything 2.5 times too far; the depth that is written is the cue's to within a percent."""
    old = write(tmp_path / "in", in_order(camera(), cues(make)))
    assert run(old, tmp_path / "out", "--cue", CUE, "--sigma", predictor=wrong_by(2.5)) == 0
    for message in messages(tmp_path / "out", DEPTH):
        found = pixels(message)
        np.testing.assert_allclose(found[1:], RAMP[1:], rtol=0.01)
        assert np.isnan(found[0, 0]) and np.isinf(found[0, 1])
    sigma = pixels(messages(tmp_path / "out", SIGMA)[0])
    assert 0 < sigma[5, 5] < 0.05 and np.isnan(sigma[0, :2]).all()
    assert stamps(tmp_path / "out", SIGMA) == stamps(old, "/camera/image_raw")
    assert ", 4 tracking" in capsys.readouterr().out
    assert CUE in read(tmp_path / "out")


def test_a_real_depth_camera_sets_the_scale(data_dir, tmp_path):
    """Predicted is the sensor's first frame with noise, 3 times too far; written is each frame to within 3 percent."""
    old = data_dir / "rosbag2" / "tum_fr1_desk_rgbd"
    cue = "/camera/aligned_depth_to_color/image_raw"
    ramp = like_the_sensor(old, cue)
    assert run(old, tmp_path / "out", "--cue", cue, predictor=KnownPredictor(ramp=ramp)) == 0
    ratios = []
    for made, sensed in zip(
        messages(tmp_path / "out", "/camera/color/depth/image_rect"), messages(old, cue), strict=True
    ):
        truth = pixels(sensed, np.uint16) / 1000
        known = (truth > 0) & np.isfinite(pixels(made))
        ratios.append(float(np.median(pixels(made)[known] / truth[known])))
    print(f"written depth over the sensor's, median of each frame: {np.round(ratios, 4)}")
    assert np.abs(np.array(ratios) - 1).max() < 0.03


def test_frames_without_a_cue_coast_on_the_last_scale(tmp_path, capsys):
    old = write(tmp_path / "in", in_order(camera(5), cues(depth_cue, 3)))
    assert run(old, tmp_path / "out", "--cue", CUE, predictor=wrong_by(2)) == 0
    assert ", 3 tracking, 2 coasting" in capsys.readouterr().out
    np.testing.assert_allclose(pixels(messages(tmp_path / "out", DEPTH)[4])[1:], RAMP[1:], rtol=0.03)


def test_cues_too_far_in_time_are_not_taken(tmp_path):
    old = write(tmp_path / "in", in_order(camera(), cues(depth_cue, late=30_000_000)))
    with pytest.raises(AlignmentError, match=r"no image of /camera/image_raw could be tied to /cue.*no cue gives"):
        run(old, tmp_path / "out", "--cue", CUE)
    assert not (tmp_path / "out").exists() and not (tmp_path / "out.partial" / "out").exists()
    assert run(old, tmp_path / "out", "--cue", CUE, "--cue-tolerance", "0.04", predictor=wrong_by(2)) == 0


def test_a_cue_that_does_not_follow_the_prediction_is_refused_and_the_predictions_are_kept(tmp_path):
    old = write(tmp_path / "in", in_order(camera(), cues(depth_cue)))
    noise = np.random.default_rng(1).uniform(1, 3, RAMP.shape).astype(np.float32)
    with pytest.raises(AlignmentError, match="the cue contradicts the prediction"):
        run(old, tmp_path / "out", "--cue", CUE, predictor=KnownPredictor(ramp=noise))
    last = KnownPredictor()
    assert run(old, tmp_path / "out", predictor=last) == 0 and last.calls == []


def test_a_cue_of_another_frame_is_refused(tmp_path):
    old = write(tmp_path / "in", in_order(camera(), cues(depth_cue, frame="lidar")))
    with pytest.raises(CalibrationError, match="cue /cue is in the frame 'lidar', but /camera/image_raw in 'camera'"):
        run(old, tmp_path / "out", "--cue", CUE)
    assert not (tmp_path / "out.partial").exists()


def test_a_cue_goes_to_the_camera_of_its_frame(tmp_path, capsys):
    other = [(f"/other{topic}", image(np.zeros((32, 48, 3), np.uint8), "rgb8", START, "other"), at) for topic, _, at in
             camera(1, with_info=False)]  # fmt: skip
    old = write(tmp_path / "in", in_order(camera(), other, cues(depth_cue)))
    assert run(old, tmp_path / "out", "--cue", CUE, predictor=wrong_by(2)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "4 tracking" in lines[0] and "tracking" not in lines[1] and "/other/camera" in lines[1]


def test_a_cue_must_be_there_and_be_one(tmp_path):
    old = write(tmp_path / "in", camera())
    with pytest.raises(SourceError, match="no cue on '/nowhere'; disparity and images: /camera/image_raw"):
        run(old, tmp_path / "out", "--cue", "/nowhere")
    with pytest.raises(SourceError, match="no cue on '/camera/camera_info'"):
        run(old, tmp_path / "out", "--cue", "/camera/camera_info")
    with pytest.raises(ConfigurationError, match="--sigma is of fused depth"):
        run(old, tmp_path / "out", "--sigma")


def test_a_damaged_cue_is_passed_over_and_the_others_serve(tmp_path, capsys):
    made = cues(depth_cue)
    made[1][1].step = 3
    assert run(write(tmp_path / "in", in_order(camera(), made)), tmp_path / "out", "--cue", CUE) == 0
    assert ", 3 tracking, 1 coasting" in capsys.readouterr().out


def test_of_cues_received_at_one_time_the_right_one_is_read(tmp_path):
    """Two cues were received in the same nanosecond; the one of the image's stamp is 2 m away, the other 5 m."""
    made = [(CUE, depth_cue(START + 90_000_000, 5), START), (CUE, depth_cue(START, 2), START)]
    old = write(tmp_path / "in", camera(1) + made)
    with open_bag(old) as bag:
        (image_camera,) = describe(bag, ["/camera/image_raw"])
        heads = [Stamped(START, START + 90_000_000, "camera"), Stamped(START, START, "camera")]
        fusion = CameraFusion(bag, Index(cues={CUE: sorted(heads, key=lambda c: c.time_ns)}), CueSettings((CUE,)))
        predicted = KnownPredictor().predict(np.zeros((32, 48, 3), np.uint8), focal_px=FOCAL)
        fused, _ = fusion.finish(predicted, Stamped(START + DELAY, START, "camera"))
    assert isinstance(image_camera, Camera)
    np.testing.assert_allclose(fused.depth_m[1:], 2 * RAMP[1:], rtol=0.01)
