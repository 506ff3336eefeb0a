"""The page in a real headless browser: drop, paste and take a photo; read, hover, turn and keep what comes of it."""

from __future__ import annotations

import base64
import io
import re
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from web.doubles import write_photo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

WIDTH, HEIGHT = 320, 240
SCREENSHOT_BYTES = 300_000
DROP = """([name, type, base64]) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    const data = new DataTransfer();
    data.items.add(new File([bytes], name, { type }));
    for (const kind of ["dragenter", "dragover", "drop"])
        document.querySelector("#photo .upload-container")
            .dispatchEvent(new DragEvent(kind, { bubbles: true, cancelable: true, dataTransfer: data }));
}"""
COPY = """async (base64) => {
    const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
    await navigator.clipboard.write([new ClipboardItem({ "image/png": new Blob([bytes], { type: "image/png" }) })]);
}"""


def drop(page, path: Path, kind: str = "image/jpeg") -> None:
    """Drop a file from outside on the page."""
    page.evaluate(DROP, [path.name, kind, base64.b64encode(path.read_bytes()).decode()])


def finished(page) -> None:
    """Wait until everything is there: the files come last."""
    page.wait_for_selector("#downloads a")


def keep(page, ending: str, folder: Path) -> Path:
    """Download the file of that ending as a person would."""
    with page.expect_download() as download:
        page.locator(f"#downloads a[href$='{ending}']").first.click()
    path = folder / f"kept{ending}"
    download.value.save_as(path)
    return path


def point_at(page, u: int, v: int) -> str:
    """Move the cursor over the middle of pixel (u, v) of the picture, which the slider fits in; return what is read."""
    box = page.locator("#depth_view img").first.bounding_box()
    scale = min(box["width"] / WIDTH, box["height"] / HEIGHT)
    x = box["x"] + box["width"] / 2 + (u + 0.5 - WIDTH / 2) * scale
    y = box["y"] + box["height"] / 2 + (v + 0.5 - HEIGHT / 2) * scale
    page.mouse.move(x, y)
    if u < WIDTH / 2 - 10:  # the photo's own half, whose colours say which pixel this is
        clip = {"x": x, "y": y, "width": 1, "height": 1}
        red, green, _ = Image.open(io.BytesIO(page.screenshot(clip=clip))).convert("RGB").getpixel((0, 0))
        assert abs(red - u * 255 / (WIDTH - 1)) < 2 and abs(green - v * 255 / (HEIGHT - 1)) < 2
    return page.inner_text("#depth_readout")


def test_a_dropped_photo_gives_depth_focal_length_and_files_that_agree(page, tmp_path):
    drop(page, write_photo(tmp_path / "me.png", (WIDTH, HEIGHT), f35_mm=28), "image/png")
    finished(page)
    # 28 mm on the diagonal of 400 pixels over 43.267 mm are 259 px.
    figures = re.sub(r"\s+", " ", page.inner_text("#figures"))
    assert "used (from EXIF FocalLengthIn35mmFilm) 259 px 28.0 mm" in figures and "EXIF 259 px 28.0 mm" in figures
    assert re.search(r"estimated by the network \d+ px \d+\.\d mm", figures)
    assert "field of view 63.4° across" in figures  # 2 atan(160 / 258.86)
    with np.load(keep(page, ".npz", tmp_path)) as kept:
        depth = kept["depth_m"]
        assert kept["focal_px"] == pytest.approx(258.86, abs=0.01)
    millimetres = cv2.imread(str(keep(page, "_depth_mm.png", tmp_path)), cv2.IMREAD_UNCHANGED)
    held = depth * 1000 < 65535
    np.testing.assert_array_equal(millimetres[held], np.rint(depth[held].astype(np.float64) * 1000))
    known = int(np.isfinite(depth).sum())
    assert f"element vertex {known}\n".encode() in keep(page, ".ply", tmp_path).read_bytes()
    assert f'"count":{known},"type":"VEC3"'.encode() in keep(page, "me.glb", tmp_path).read_bytes()
    for u, v in ((10, 40), (60, 120), (140, 239), (319, 10)):
        said = point_at(page, u, v)
        metres = float(depth[v, u])
        assert said in (f"{metres:.3f} m", f"{metres:.2f} m") or (said == "beyond the range" and np.isposinf(metres))
    page.mouse.move(5, 5)
    assert "move the cursor" in page.inner_text("#depth_readout")


def test_the_slider_uncovers_and_the_cloud_turns(page, tmp_path):
    drop(page, write_photo(tmp_path / "me.jpg", (WIDTH, HEIGHT)))
    finished(page)
    canvas = page.locator("#view canvas")
    before = settled(page, canvas)
    drag(page, canvas, -0.15)
    assert np.mean(settled(page, canvas) != before) > 0.01
    assert uncovered(page) == 50
    drag(page, page.locator("#depth_view img").first, -0.25)
    assert uncovered(page) < 35
    natural = page.locator("#cut_out img").evaluate("image => [image.naturalWidth, image.naturalHeight]")
    assert natural == [WIDTH, HEIGHT]


def drag(page, thing, share: float) -> None:
    """Drag from the middle of a thing by a share of its width."""
    thing.scroll_into_view_if_needed()
    box = thing.bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + share * box["width"], y, steps=5)
    page.mouse.up()


def uncovered(page) -> float:
    """Return where the slider stands, in percent of the picture's width: the left part is the photo."""
    clip = page.locator("#depth_view img").nth(1).evaluate("image => getComputedStyle(image).clipPath")
    return float(re.search(r"([\d.]+)%\)$", clip).group(1))


def settled(page, canvas) -> np.ndarray:
    """Return the canvas (H, W, 3) once it shows a cloud and two pictures of it in a row are alike.

    The label on an empty canvas has some 200 colours; a photo's points have thousands.
    """
    last = np.zeros((1, 1, 3), np.uint8)
    for _ in range(60):
        shown = np.asarray(Image.open(io.BytesIO(canvas.screenshot())).convert("RGB"))
        if np.array_equal(shown, last) and len(np.unique(shown.reshape(-1, 3), axis=0)) > 1000:
            return shown
        last = shown
        page.wait_for_timeout(500)
    raise AssertionError("the cloud is not shown, or never comes to rest")


def test_a_pasted_photo_and_a_known_focal_length(page, tmp_path):
    page.evaluate(COPY, base64.b64encode(write_photo(tmp_path / "me.png", (WIDTH, HEIGHT)).read_bytes()).decode())
    page.click("#photo [aria-label='Paste from clipboard']")
    finished(page)
    assert re.search(r"used \(from the network\)\s", page.inner_text("#figures"))
    page.fill("#known_px input", "400")
    page.press("#known_px input", "Enter")
    page.wait_for_function("document.querySelector('#figures').innerText.includes('used (from you)')")
    figures = re.sub(r"\s+", " ", page.inner_text("#figures"))
    assert "used (from you) 400 px 43.3 mm" in figures and "EXIF none" in figures


def test_a_photo_of_the_camera(page):
    page.click("#photo [aria-label='Capture from camera']")
    page.click("#photo [title='grant webcam access'] button")
    page.click("#photo button[aria-label='capture photo']")
    finished(page)
    assert re.search(r"\d+ x \d+ pixels", page.inner_text("#figures"))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("text.jpg", "text.jpg is not an image that can be read here"),
        ("empty.png", "empty.png is empty (0 bytes)"),
        ("cut.jpg", "cut.jpg cannot be read as a photo"),
        ("hundred.png", "100.0 megapixels, and this page takes 48 megapixels"),
    ],
)
def test_a_bad_photo_is_said_and_the_next_good_one_works(page, tmp_path, name, words):
    bad = tmp_path / name
    if name == "hundred.png":
        Image.fromarray(np.zeros((10_000, 10_000), bool)).save(bad)
    else:
        whole = write_photo(tmp_path / "whole.jpg", (WIDTH, HEIGHT)).read_bytes()
        bad.write_bytes({"text.jpg": b"no image", "empty.png": b"", "cut.jpg": whole[:900]}[name])
    drop(page, bad, "image/png" if name.endswith("png") else "image/jpeg")
    notice = page.wait_for_selector("#notice .bad").inner_text()
    assert words in notice and "/" not in notice.replace("48 megapixels: ", "")
    assert page.locator("#depth_view img").count() == 0 and page.locator("#downloads a").count() == 0
    page.click("#photo [aria-label='Remove Image']")
    drop(page, write_photo(tmp_path / "good.jpg", (WIDTH, HEIGHT)))
    finished(page)
    assert words not in page.inner_text("#notice")


@pytest.mark.parametrize(("name", "words"), [("notes.txt", "Only image/*"), ("large.jpg", "exceed the maximum")])
def test_what_the_page_does_not_even_take_is_said(page, tmp_path, name, words):
    (tmp_path / name).write_bytes(bytes(33 * 2**20) if name == "large.jpg" else b"notes")
    page.set_input_files("#photo input[type=file]", tmp_path / name)
    page.wait_for_selector(".toast-body")
    assert words in page.inner_text(".toast-body") and name in page.inner_text(".toast-body")


def test_the_readme_picture(page, request):
    """Not a test but its product: what --screenshot asks for. Prints the time from drop to picture."""
    target = request.config.getoption("--screenshot", default=None)
    if target is None:
        pytest.skip("no --screenshot was asked for")
    named = request.config.getoption("--photo")
    photo = Path(named) if named else request.getfixturevalue("data_dir") / "rgbd_hololens" / "rgb" / "00043.png"
    begin = time.perf_counter()
    drop(page, photo, "image/png" if photo.suffix == ".png" else "image/jpeg")
    page.wait_for_selector("#depth_view img")
    print(f"\nfrom drop to picture: {time.perf_counter() - begin:.2f} s; everything: ", end="")
    finished(page)
    print(f"{time.perf_counter() - begin:.2f} s")
    settled(page, page.locator("#view canvas"))
    box = page.locator("#depth_view img").first.bounding_box()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"])
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    Path(target).write_bytes(small_png(page.screenshot(full_page=True)))
    print(f"{target}: {Path(target).stat().st_size / 1000:.0f} kB")


def small_png(data: bytes) -> bytes:
    """Return a picture as a PNG of 256 colours, made narrower until it has at most SCREENSHOT_BYTES."""
    whole = Image.open(io.BytesIO(data)).convert("RGB")
    for share in np.arange(1.0, 0.4, -0.05):
        size = (round(whole.width * share), round(whole.height * share))
        written = io.BytesIO()
        whole.resize(size, Image.Resampling.LANCZOS).quantize(256).save(written, "PNG", optimize=True)
        if written.tell() <= SCREENSHOT_BYTES:
            return written.getvalue()
    raise AssertionError(f"the picture stays above {SCREENSHOT_BYTES} bytes: choose a smaller window")
