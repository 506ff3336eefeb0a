"""The page as people have it: the command as a process, and a real headless browser before it."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
WAIT_MS = 120_000
OPTIONS = [
    "--no-sandbox",  # tests may run as root
    "--use-angle=swiftshader",  # WebGL without a graphics card
    "--enable-unsafe-swiftshader",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare what the README's picture of the page is made with."""
    parser.addoption("--screenshot", metavar="PNG", help="write the README's picture of the page there (with -m slow)")
    parser.addoption("--photo", metavar="FILE", help="the photo that --screenshot shows; default: a real office")
    parser.addoption("--weights", metavar="NAME|PATH", default="tiny", help="the page's weights; default: %(default)s")


@dataclass
class Served:
    """A running `depth_pro_ros web`: its process, its address, and the folder in which it makes its own."""

    process: subprocess.Popen
    url: str
    temporary: Path

    def end(self) -> int:
        """Send SIGTERM and return the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


def serve(weights: str, *options: str) -> Served:
    """Start the command at a free port and return once it says where."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("Gradio is not installed: pip install -r requirements/web.txt")
    temporary = Path(tempfile.mkdtemp(prefix="test_web_"))
    environment = {**os.environ, "TMPDIR": str(temporary), "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "depth_pro_ros", "web", "--port", "0", "--weights", weights, *options]
    process = subprocess.Popen(
        command, cwd=PROJECT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    said = ""
    for line in process.stdout:
        said += line
        if found := re.search(r"http://\S+", line):
            return Served(process, found.group(), temporary)
    pytest.fail(f"the page did not start:\n{said}")


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """Return the page of this module's tests."""
    running = serve(request.config.getoption("--weights", default="tiny"))
    yield running
    if running.process.poll() is None:
        running.end()
    shutil.rmtree(running.temporary, ignore_errors=True)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Return a headless Chromium, or skip."""
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: pip install playwright")
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip(f"no browser is installed (one of {', '.join(BROWSERS)}): apt install chromium")
    with api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=program, args=OPTIONS)
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser, served) -> Iterator[object]:
    """Return the page, open and ready for a photo; fails afterwards if it has asked another machine for anything."""
    context = browser.new_context(viewport={"width": 1500, "height": 1100}, accept_downloads=True)
    context.grant_permissions(["clipboard-read", "clipboard-write", "camera"], origin=served.url.rstrip("/"))
    opened = context.new_page()
    opened.set_default_timeout(WAIT_MS)
    outside, broken = [], []
    own = (served.url, f"blob:{served.url}", "data:")
    opened.on("request", lambda request: None if request.url.startswith(own) else outside.append(request.url))
    # Errors of the page's own script; those of Gradio's bundles (its 3-D view, when replaced while loading) are not.
    opened.on("pageerror", lambda error: None if "/assets/" in (error.stack or "") else broken.append(str(error)))
    opened.on("console", lambda said: broken.append(said.text) if "Content Security Policy" in said.text else None)
    opened.goto(served.url)
    opened.wait_for_selector("#photo input[type=file]", state="attached")
    yield opened
    context.close()
    assert outside == [] and broken == []
