"""Serves the page: on the loopback device by default, for requests to this host only, from a folder that goes with it.

Needs Gradio. Uvicorn runs the app here instead of Gradio's own launch(), which would call itself over HTTP (through
a proxy, where the environment names one) and can open tunnels.
"""

from __future__ import annotations

import ipaddress
import os
import signal
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depth_pro_ros.errors import ConfigurationError

if TYPE_CHECKING:
    from depth_pro_ros.web.studio import Studio

CLOSING_S = 2  # open pages keep a connection; closing does not wait for people


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a folder for uploads and results that goes when the block ends, and make Gradio use it, and no network.

    From here on SIGTERM, too, is raised as KeyboardInterrupt: a signal that ends the process at once leaves the folder.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="depth_pro_ros_web_") as name:
        folder = Path(name).resolve()
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        os.environ["GRADIO_EXAMPLES_CACHE"] = str(folder / "examples")  # else Gradio serves ./.gradio
        os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
        os.environ["HF_HUB_OFFLINE"] = "1"
        yield folder


def application(studio: Studio, host: str) -> Any:
    """Return the ASGI application of the page for requests to `host`.

    On a loopback address only requests that name the machine so are answered, so that no site can rebind its own
    name to this page.
    """
    import fastapi
    import gradio as gr
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    from depth_pro_ros.web import page
    from depth_pro_ros.web.guard import Guard

    no_documents = {"docs_url": None, "redoc_url": None, "openapi_url": None}
    app = fastapi.FastAPI(**no_documents)
    gr.mount_gradio_app(
        app,
        page.build(studio),
        path="/",
        app_kwargs=no_documents,
        max_file_size=studio.limits.max_bytes,
        show_error=False,
        ssr_mode=False,
        mcp_server=False,
        pwa=False,
        enable_monitoring=False,
        run_history=False,
        footer_links=[],
        theme=page.theme(),
        css=page.css(),
        head=page.head(),
    )
    app.add_middleware(Guard)
    if is_loopback(host):
        app.add_middleware(TrustedHostMiddleware, allowed_hosts=["127.0.0.1", "localhost", "[::1]", host])
    return app


def is_loopback(host: str) -> bool:
    """Return whether only this machine reaches `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens at `host` and `port` (0: a free one); raises ConfigurationError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        reason = str(getattr(error, "strerror", None) or error).partition(" (while")[0]
        raise ConfigurationError(
            f"the page cannot listen at {host}:{port} ({reason}): give another --port (0 finds a free one) or --host"
        ) from error


def address(listening: socket.socket) -> str:
    """Return the URL of the page."""
    host, port = listening.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def serve(studio: Studio, listening: socket.socket, host: str, ready: Callable[[str], None]) -> None:
    """Serve the page until SIGINT or SIGTERM, which end it as KeyboardInterrupt; `ready` is told the address."""
    import uvicorn

    config = uvicorn.Config(application(studio, host), log_level="warning", timeout_graceful_shutdown=CLOSING_S)
    ready(address(listening))
    uvicorn.Server(config).run(sockets=[listening])
