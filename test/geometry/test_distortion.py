"""Rectification against the lens models written out by hand from their published equations."""

import math

import numpy as np
import pytest

from depth_pro_ros.errors import CalibrationError, ImageError
from depth_pro_ros.geometry.distortion import Distortion, Rectifier

WIDTH, HEIGHT = 320, 240
K = np.array([[210.0, 0, 163.0], [0, 205.0, 117.0], [0, 0, 1]])
P = np.array([[190.0, 0, 158.0], [0, 195.0, 122.0], [0, 0, 1]])
LENSES = {
    "plumb_bob": [-0.25, 0.07, 0.0012, -0.0021, -0.01],
    "rational_polynomial": [0.45, 0.08, 0.0007, -0.0009, 0.003, 0.75, 0.2, 0.02],
    "equidistant": [-0.03, 0.012, -0.005, 0.001],
}


def rotation(degrees: float) -> np.ndarray:
    """Turn about the camera's y axis."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])


def bend(model: str, d: list[float], x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Distort normalised coordinates x = X/Z, y = Y/Z."""
    if model == "equidistant":  # Kannala & Brandt 2006, eq. 6 with odd powers of the angle
        r = np.maximum(np.hypot(x, y), 1e-12)
        t = np.arctan(r)
        bent = t + d[0] * t**3 + d[1] * t**5 + d[2] * t**7 + d[3] * t**9
        return x * bent / r, y * bent / r
    q = x * x + y * y
    k3 = d[4]
    k4, k5, k6 = d[5:8] if model == "rational_polynomial" else (0.0, 0.0, 0.0)
    radial = (1 + d[0] * q + d[1] * q**2 + k3 * q**3) / (1 + k4 * q + k5 * q**2 + k6 * q**3)
    p1, p2 = d[2], d[3]
    return x * radial + 2 * p1 * x * y + p2 * (q + 2 * x * x), y * radial + p1 * (q + 2 * y * y) + 2 * p2 * x * y


def raw_pixel(model: str, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Project points (..., 3) of the raw camera's frame through the lens."""
    x, y = bend(model, LENSES[model], points[..., 0] / points[..., 2], points[..., 1] / points[..., 2])
    return K[0, 0] * x + K[0, 2], K[1, 1] * y + K[1, 2]


def lens(model: str, R: np.ndarray | None = None, P: np.ndarray | None = P) -> Distortion:
    return Distortion(model, np.array(LENSES[model]), K, np.eye(3) if R is None else R, P)


def ramps() -> np.ndarray:
    """Return an image whose pixel at (u, v) holds (u, v): rectified, it tells where each pixel came from."""
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
    return np.dstack([u, v])


@pytest.mark.parametrize("R", [np.eye(3), rotation(4.0)], ids=["mono", "stereo"])
@pytest.mark.parametrize("model", LENSES)
def test_every_rectified_pixel_comes_from_where_the_lens_put_it(model, R):
    rectifier = Rectifier(lens(model, R), WIDTH, HEIGHT)
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    ideal = np.dstack([(u - P[0, 2]) / P[0, 0], (v - P[1, 2]) / P[1, 1], np.ones_like(u)])
    raw_u, raw_v = raw_pixel(model, ideal @ R)  # R takes raw to rectified, so its transpose goes back
    came_from = rectifier.rectify(ramps())
    inner = (raw_u > 0) & (raw_u < WIDTH - 1) & (raw_v > 0) & (raw_v < HEIGHT - 1)
    assert inner.mean() > 0.7
    np.testing.assert_allclose(came_from[inner], np.dstack([raw_u, raw_v])[inner], atol=0.04)
    distance = np.hypot(raw_u - u, raw_v - v)[inner]
    assert distance.max() > 5, "the lens must bend enough for this test to mean something"


@pytest.mark.parametrize("model", LENSES)
def test_a_known_point_lands_on_its_pinhole_pixel(model):
    point = np.array([0.4, -0.25, 1.3])
    u, v = raw_pixel(model, point)
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    blob = 255 * np.exp(-((columns - u) ** 2 + (rows - v) ** 2) / (2 * 3.0**2))
    rgb = np.repeat(np.rint(blob).astype(np.uint8)[..., None], 3, axis=2)
    rectifier = Rectifier(lens(model), WIDTH, HEIGHT)
    seen = rectifier.rectify(rgb)[..., 1].astype(float)
    centroid = (seen * columns).sum() / seen.sum(), (seen * rows).sum() / seen.sum()
    i = rectifier.intrinsics
    expected = i.fx * 0.4 / 1.3 + i.cx, i.fy * -0.25 / 1.3 + i.cy
    np.testing.assert_allclose(centroid, expected, atol=0.35)
    assert math.dist((u, v), expected) > 1.5


def test_the_intrinsics_are_those_of_p():
    i = Rectifier(lens("plumb_bob"), WIDTH, HEIGHT).intrinsics
    assert (i.width, i.height, i.fx, i.fy, i.cx, i.cy) == (WIDTH, HEIGHT, 190.0, 195.0, 158.0, 122.0)


@pytest.mark.parametrize("model", LENSES)
def test_without_p_the_view_has_no_blanks_and_keeps_the_aspect(model):
    rectifier = Rectifier(lens(model, P=None), WIDTH, HEIGHT)
    i = rectifier.intrinsics
    assert rectifier.valid_mask.all()
    assert i.fx / i.fy == pytest.approx(K[0, 0] / K[1, 1])
    came_from = rectifier.rectify(ramps())
    edges = came_from[:, 0, 0].min(), WIDTH - 1 - came_from[:, -1, 0].max()
    edges += came_from[0, :, 1].min(), HEIGHT - 1 - came_from[-1, :, 1].max()
    assert min(edges) < 3, "the widest view touches the raw image's border somewhere"


@pytest.mark.parametrize("model", LENSES)
def test_the_mask_says_which_pixels_the_raw_image_holds(model):
    wide = np.array([[90.0, 0, 160.0], [0, 90.0, 120.0], [0, 0, 1]])
    rectifier = Rectifier(lens(model, P=wide), WIDTH, HEIGHT)
    v, u = np.mgrid[0:HEIGHT, 0:WIDTH].astype(float)
    raw_u, raw_v = raw_pixel(model, np.dstack([(u - 160) / 90, (v - 120) / 90, np.ones_like(u)]))
    held = (raw_u >= -0.5) & (raw_u <= WIDTH - 0.5) & (raw_v >= -0.5) & (raw_v <= HEIGHT - 0.5)
    assert (rectifier.valid_mask != held).sum() <= 8, "only rounding at the border may differ"
    assert 0.1 < held.mean() < 0.95


def test_pixels_outside_repeat_the_edge():
    wide = np.array([[60.0, 0, 160.0], [0, 60.0, 120.0], [0, 0, 1]])
    rectifier = Rectifier(lens("equidistant", P=wide), WIDTH, HEIGHT)
    rgb = np.full((HEIGHT, WIDTH, 3), 77, np.uint8)
    assert (~rectifier.valid_mask).any() and (rectifier.rectify(rgb) == 77).all()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "fisheye62"}, "fisheye62.*plumb_bob, rational_polynomial, equidistant"),
        ({"coefficients": np.zeros(8)}, "4 or 5"),
        ({"coefficients": np.array([0.1, np.inf, 0, 0, 0])}, "finite"),
        ({"R": np.diag([1.0, 1.0, -1.0])}, "rotation"),
        ({"R": np.full((3, 3), np.nan)}, "rotation"),
    ],
)
def test_impossible_lenses(change, words):
    fields = {"model": "plumb_bob", "coefficients": np.array(LENSES["plumb_bob"]), "K": K, "R": np.eye(3), "P": P}
    with pytest.raises(CalibrationError, match=words):
        Distortion(**{**fields, **change})


def test_impossible_matrices_and_sizes():
    with pytest.raises(CalibrationError, match="focal"):
        Rectifier(lens("plumb_bob", P=np.diag([-1.0, 1.0, 1.0])), WIDTH, HEIGHT)
    with pytest.raises(CalibrationError, match="0x240"):
        Rectifier(lens("plumb_bob"), 0, HEIGHT)
    with pytest.raises(ImageError, match="240x320.*320x240"):
        Rectifier(lens("plumb_bob"), WIDTH, HEIGHT).rectify(np.zeros((WIDTH, HEIGHT, 3), np.uint8))
