"""One file over HTTP: taken up again where it stopped, checked, and never seen under its final name before that."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import http.client
import math
import os
import shutil
import socket
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from depth_pro_ros.errors import CheckpointError

CHUNK = 1 << 20
TIMEOUT_S = 30.0
ATTEMPTS = 5  # without a further byte before giving up
RESERVE = 64 << 20  # bytes left free on the disk
BUSY = (429, 500, 502, 503, 504)
RESTART = 416  # what lies here is not the beginning of what the server has

Report = Callable[[int, "int | None"], None]  # bytes that are here, bytes in all


@dataclass(frozen=True)
class RemoteFile:
    """A file to be fetched, and what is known of it beforehand.

    `digest` is a SHA-256 (64 hexadecimal digits), or the SHA-1 that git gives a file (40), as model hubs tell it
    of small ones. `headers` go to the address itself and to no server that it redirects to.
    """

    url: str
    name: str
    size: int | None = None
    digest: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        """Return the server's name."""
        return urllib.request.Request(self.url).host


class Unreachable(CheckpointError):
    """The server cannot be reached at all: this machine is offline, or behind a proxy."""


def request(file: RemoteFile, method: str = "GET", headers: Mapping[str, str] | None = None) -> urllib.request.Request:
    """Return the request for `file`; raises CheckpointError for an address that is not of the web."""
    if not file.url.lower().startswith(("http://", "https://")):
        raise CheckpointError(f"'{file.url}' is no address to download from: it must begin with http:// or https://")
    made = urllib.request.Request(file.url, method=method, headers={"Accept-Encoding": "identity", **(headers or {})})
    for name, value in file.headers.items():
        made.add_unredirected_header(name, value)
    return made


def fetch(file: RemoteFile, folder: Path, report: Report = lambda here, whole: None, pause_s: float = 1.0) -> Path:
    """Bring `file` into `folder` under its name, checked, and return its path.

    What an earlier call left in NAME.part is continued, if the server still has the same file. A connection that
    breaks is taken up again, after `pause_s` and ever longer pauses. Raises CheckpointError; after a broken
    connection and on a full disk the part is kept, after a wrong checksum it is removed.
    """
    part = folder / f"{file.name}.part"
    with _locked(part) as out:
        _receive_all(file, out, report, pause_s)
    problem = mismatch(part, file)
    if problem:
        _discard(part)
        raise CheckpointError(
            f"what {file.host} sent as '{file.name}' {problem}. It was removed: try again; if this stays, the file "
            "there is another one than expected"
        )
    part.replace(folder / file.name)
    _discard(part)
    return folder / file.name


def mismatch(path: Path, file: RemoteFile) -> str:
    """Return what is wrong with the file at `path`, empty when size and digest are as they should be."""
    size = path.stat().st_size
    if file.size is not None and size != file.size:
        return f"has {size} bytes, not {file.size}"
    found = digest(path, git=len(file.digest) == 40) if file.digest else None
    return f"has the checksum {found}, not {file.digest}" if found != file.digest else ""


def digest(path: Path, git: bool = False) -> str:
    """Return the SHA-256 of a file in hexadecimal digits, or the SHA-1 under which git would keep it."""
    state = hashlib.sha1(b"blob %d\0" % path.stat().st_size) if git else hashlib.sha256()
    with open(path, "rb") as file:
        while chunk := file.read(CHUNK):
            state.update(chunk)
    return state.hexdigest()


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag(part).unlink(missing_ok=True)


def _tag(part: Path) -> Path:
    """Return the file that says which version of the remote file the part is of (its ETag)."""
    return part.with_name(f"{part.name}.etag")


@contextlib.contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """Open `part` for appending, for this process alone; what was written is on the disk when the block ends."""
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        out = open(part, "ab")
    except OSError as error:
        raise CheckpointError(
            f"'{part}' cannot be written ({error.strerror}): make its folder writable, or set XDG_CACHE_HOME to another"
        ) from error
    with out:
        try:
            fcntl.flock(out, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CheckpointError(f"'{part}' is being downloaded by another process: let it finish") from error
        try:
            yield out
        except CheckpointError:
            if not out.tell():
                _discard(part)
            raise
        out.flush()
        os.fsync(out.fileno())


def _receive_all(file: RemoteFile, out: BinaryIO, report: Report, pause_s: float) -> None:
    """Receive until the file is whole; ATTEMPTS times in a row without progress are too many."""
    idle, furthest = 0, out.tell()
    while True:
        try:
            if _receive(file, out, report):
                return
            reason = "the connection was closed early"
        except (ConnectionError, TimeoutError, http.client.HTTPException, urllib.error.URLError) as error:
            reason = _judge(error, file)
        out.flush()
        idle = 0 if out.tell() > furthest else idle + 1
        furthest = max(furthest, out.tell())
        if idle >= ATTEMPTS:
            raise CheckpointError(
                f"the download of '{file.name}' from {file.host} stopped at {out.tell()} bytes ({reason}): what has "
                "come is kept, run the same command again to continue"
            )
        time.sleep(pause_s * 2**idle)


def _judge(error: Exception, file: RemoteFile) -> str:
    """Return why an attempt failed, or raise CheckpointError where another attempt is of no use."""
    if isinstance(error, urllib.error.HTTPError):
        error.close()
        if error.code in (*BUSY, RESTART):
            return f"the server answered {error.code} {error.reason}"
        raise CheckpointError(
            f"{file.host} answered {error.code} {error.reason} for '{file.url}': check the address, or your access"
        ) from error
    reason = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(reason, (socket.gaierror, ConnectionRefusedError)):
        raise Unreachable(f"{file.host} cannot be reached ({reason})") from error
    return str(reason) or type(reason).__name__


def _receive(file: RemoteFile, out: BinaryIO, report: Report) -> bool:
    """Receive what is missing in one connection; return whether the file is whole."""
    tag = _tag(Path(out.name))
    version = tag.read_text() if tag.exists() else ""
    if not (version or file.digest):  # nothing would tell whether the pieces belong together
        _restart(out, tag)
    here = out.tell()
    if here and here == file.size:
        return True
    headers = {"Range": f"bytes={here}-"} if here else {}
    if here and version:
        headers["If-Range"] = version
    try:
        response = urllib.request.urlopen(request(file, headers=headers), timeout=TIMEOUT_S)
    except urllib.error.HTTPError as error:
        if error.code == RESTART:
            _restart(out, tag)
        raise
    with response:
        if here and response.status != http.HTTPStatus.PARTIAL_CONTENT:
            _restart(out, tag)  # another version, or a server that cannot continue
        if not out.tell():
            etag = response.headers.get("ETag", "")
            tag.write_text("" if etag.startswith("W/") else etag)
        return _store(response, out, _whole(response, file, out.tell()), report)


def _restart(out: BinaryIO, tag: Path) -> None:
    out.seek(0)
    out.truncate()
    tag.unlink(missing_ok=True)


def _whole(response: http.client.HTTPResponse, file: RemoteFile, here: int) -> int | None:
    """Return the size of the whole file; raises CheckpointError where it is not the expected one or does not fit."""
    length = response.headers.get("Content-Length")
    whole = here + int(length) if length else file.size
    if file.size is not None and whole != file.size:
        raise CheckpointError(
            f"{file.host} has {whole} bytes for '{file.name}', but {file.size} are expected: it is another file"
        )
    return whole


def _store(response: http.client.HTTPResponse, out: BinaryIO, whole: int | None, report: Report) -> bool:
    path = Path(out.name)
    if whole is not None:
        check_space(path.parent, whole - out.tell())
    report(out.tell(), whole)
    while chunk := response.read(CHUNK):
        try:
            out.write(chunk)
            out.flush()
        except OSError as error:
            raise CheckpointError(
                f"'{path}' cannot be written ({error.strerror}): make room, then run the same command to continue"
            ) from error
        report(out.tell(), whole)
    return whole is None or out.tell() == whole


def check_space(folder: Path, needed: int) -> None:
    """Raise CheckpointError when `needed` bytes more do not fit on the disk of `folder`."""
    free = shutil.disk_usage(folder).free
    if needed + RESERVE > free:
        raise CheckpointError(
            f"'{folder}' has {_mb(free)} free and {_mb(needed + RESERVE)} are needed: make room, or set "
            "XDG_CACHE_HOME to a folder on a larger disk"
        )


def _mb(size: int) -> str:
    return f"{math.ceil(size / 1e6)} MB"
