"""A web server on the loopback device that plays a model hub and its storage, with the faults that networks have."""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

NEVER = 1 << 60


@dataclass
class Served:
    """One path: its content, and what goes wrong with it."""

    body: bytes
    etag: str | None = '"v1"'
    cuts: list[int] = field(default_factory=list)  # bytes after which each connection breaks, in turn
    ranges: bool = True
    status: int = 200
    location: str | None = None  # where it redirects to
    headers: dict[str, str] = field(default_factory=dict)


class Handler(BaseHTTPRequestHandler):
    """Answers HEAD and GET from the server's table."""

    def do_HEAD(self):
        self._answer(body=False)

    def do_GET(self):
        self._answer(body=True)

    def _answer(self, body):
        self.server.requests.append((self.command, self.path, dict(self.headers)))
        served = self.server.paths.get(self.path)
        if served is None or served.status >= 400:
            self.send_error(served.status if served else 404)
            return
        start = self._start(served)
        if start is not None and start >= len(served.body):
            self.send_error(416)
            return
        self.send_response(302 if served.location else 206 if start is not None else served.status)
        for name, value in served.headers.items():
            self.send_header(name, value)
        if served.location:
            self.send_header("Location", served.location)
        if served.etag:
            self.send_header("ETag", served.etag)
        content = b"" if served.location else served.body[start or 0 :]
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content[: served.cuts.pop(0) if served.cuts else NEVER])
        self.close_connection = True

    def _start(self, served):
        asked = self.headers.get("Range")
        same = self.headers.get("If-Range") in (None, served.etag)
        return int(asked.removeprefix("bytes=").rstrip("-")) if asked and served.ranges and same else None

    def log_message(self, *args):
        """Keep quiet."""


class HubServer(ThreadingHTTPServer):
    """The server; `paths` may change while it runs, `requests` is what was asked: (method, path, headers)."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.paths: dict[str, Served] = {}
        self.requests: list[tuple[str, str, dict[str, str]]] = []
        self.address = f"http://127.0.0.1:{self.server_port}"
        self.storage = f"http://localhost:{self.server_port}"  # another host, as far as redirects and tokens go
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        self._thread.start()

    def __exit__(self, *args):
        self.shutdown()
        self._thread.join()
        super().__exit__(*args)

    def asked(self, path):
        """Return the Range of every GET of `path`, empty for the whole."""
        return [headers.get("Range", "") for method, at, headers in self.requests if (method, at) == ("GET", path)]

    def add_small(self, repository, name, body):
        """Serve a small file of a repository, as hubs do: with git's checksum for its ETag."""
        tag = hashlib.sha1(b"blob %d\0" % len(body) + body).hexdigest()
        self.paths[f"/{repository}/resolve/main/{name}"] = Served(body, f'"{tag}"')

    def add_large(self, repository, name, body):
        """Serve a large file of a repository: by a redirect to the storage that tells size and SHA-256; return both."""
        digest = hashlib.sha256(body).hexdigest()
        linked = {"X-Linked-Size": str(len(body)), "X-Linked-Etag": f'"{digest}"'}
        hub = self.paths[f"/{repository}/resolve/main/{name}"] = Served(
            b"", None, location=f"{self.storage}/store/{name}", headers=linked
        )
        self.paths[f"/store/{name}"] = Served(body)
        return hub, self.paths[f"/store/{name}"]
