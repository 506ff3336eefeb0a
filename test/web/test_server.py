"""Where the page listens, and the folder that goes with it."""

import os
import signal
import tempfile
from pathlib import Path

import pytest

from depth_pro_ros.errors import ConfigurationError
from depth_pro_ros.web import server


@pytest.fixture(autouse=True)
def restored(monkeypatch):
    """Put the environment and the signal's handler back."""
    for name in ("GRADIO_TEMP_DIR", "GRADIO_EXAMPLES_CACHE", "GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "")
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True)]
    + [("0.0.0.0", False), ("192.168.1.7", False), ("::", False), ("robot.local", False)],
)
def test_loopback_is_told_from_the_rest(host, expected):
    assert server.is_loopback(host) is expected


def test_a_free_port_is_found_and_named():
    with server.listen("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        assert port > 0 and server.address(listening) == f"http://127.0.0.1:{port}/"


@pytest.mark.parametrize("port", [-1, 70000])
def test_an_impossible_port_is_refused(port):
    with pytest.raises(ConfigurationError, match=f"cannot listen at 127.0.0.1:{port} .*--port"):
        server.listen("127.0.0.1", port)


def test_a_taken_port_is_refused():
    with server.listen("127.0.0.1", 0) as listening:
        with pytest.raises(ConfigurationError, match=r"Address already in use\): give another --port"):
            server.listen("127.0.0.1", listening.getsockname()[1])


def test_the_folder_is_private_and_goes_with_what_is_in_it():
    with server.private_folder() as folder:
        (folder / "photo.png").write_bytes(b"1")
        assert folder.stat().st_mode & 0o777 == 0o700
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
        assert Path(os.environ["GRADIO_EXAMPLES_CACHE"]).is_relative_to(folder)
        assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    assert not folder.exists() and folder.parent == Path(tempfile.gettempdir()).resolve()


def test_the_folder_goes_at_sigterm_too():
    with pytest.raises(KeyboardInterrupt), server.private_folder() as folder:
        os.kill(os.getpid(), signal.SIGTERM)
    assert not folder.exists()
