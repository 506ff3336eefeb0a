"""Downloads over a network that breaks: continued, checked, and never half there under the final name."""

import errno
import fcntl
import hashlib
import io

import numpy as np
import pytest
from inference.hub_server import HubServer, Served

from depth_pro_ros.errors import CheckpointError
from depth_pro_ros.inference import transfer
from depth_pro_ros.inference.transfer import RemoteFile, Unreachable, digest, fetch

BODY = np.random.default_rng(0).bytes(300_000)
SHA256 = hashlib.sha256(BODY).hexdigest()


@pytest.fixture
def server():
    with HubServer() as server:
        server.paths["/a.pt"] = Served(BODY)
        yield server


def get(server, folder, path="/a.pt", **known):
    return fetch(RemoteFile(server.address + path, "a.pt", **known), folder, pause_s=0.0)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_whole_file_comes_with_progress_and_leaves_nothing_else(server, tmp_path):
    seen = []
    file = RemoteFile(f"{server.address}/a.pt", "a.pt", len(BODY), SHA256)
    path = fetch(file, tmp_path / "new", lambda here, whole: seen.append((here, whole)))
    assert path.read_bytes() == BODY and names(tmp_path / "new") == ["a.pt"]
    assert seen[0] == (0, len(BODY)) and seen[-1] == (len(BODY), len(BODY))


def test_a_broken_connection_is_taken_up_where_it_broke(server, tmp_path):
    server.paths["/a.pt"].cuts = [100_000, 50_000]
    assert get(server, tmp_path, digest=SHA256).read_bytes() == BODY
    assert server.asked("/a.pt") == ["", "bytes=100000-", "bytes=150000-"]


def test_what_came_is_kept_for_the_next_run(server, tmp_path):
    server.paths["/a.pt"].cuts = [100_000] + [0] * transfer.ATTEMPTS
    with pytest.raises(CheckpointError, match="stopped at 100000 bytes.*run the same command again to continue"):
        get(server, tmp_path, digest=SHA256)
    assert "a.pt" not in names(tmp_path) and (tmp_path / "a.pt.part").read_bytes() == BODY[:100_000]
    server.requests.clear()
    assert get(server, tmp_path, digest=SHA256).read_bytes() == BODY
    assert server.asked("/a.pt") == ["bytes=100000-"] and names(tmp_path) == ["a.pt"]


def test_the_part_of_another_version_is_not_continued(server, tmp_path):
    server.paths["/a.pt"].cuts = [100_000] + [0] * transfer.ATTEMPTS
    with pytest.raises(CheckpointError, match="continue"):
        get(server, tmp_path)
    newer = BODY[::-1]
    server.paths["/a.pt"] = Served(newer, etag='"v2"')
    assert get(server, tmp_path).read_bytes() == newer


def test_without_a_version_and_a_checksum_it_begins_anew(server, tmp_path):
    server.paths["/a.pt"].etag = None
    server.paths["/a.pt"].cuts = [100_000]
    assert get(server, tmp_path).read_bytes() == BODY
    assert server.asked("/a.pt") == ["", ""]


def test_a_server_that_cannot_continue_begins_anew(server, tmp_path):
    server.paths["/a.pt"].ranges = False
    server.paths["/a.pt"].cuts = [100_000]
    assert get(server, tmp_path, digest=SHA256).read_bytes() == BODY


def test_a_part_that_is_too_long_begins_anew(server, tmp_path):
    (tmp_path / "a.pt.part").write_bytes(BODY + b"more")
    assert get(server, tmp_path, digest=SHA256).read_bytes() == BODY


def test_corruption_is_refused_and_removed(server, tmp_path):
    server.paths["/a.pt"].body = BODY[:-1] + b"?"
    with pytest.raises(CheckpointError, match=f"not {SHA256}.*removed"):
        get(server, tmp_path, digest=SHA256)
    assert names(tmp_path) == []


def test_another_size_is_refused_before_the_download(server, tmp_path):
    with pytest.raises(CheckpointError, match="has 300000 bytes for 'a.pt', but 7 are expected"):
        get(server, tmp_path, size=7)
    assert names(tmp_path) == []


def test_answers_that_another_attempt_would_not_change(server, tmp_path):
    for status in (401, 403, 404):
        server.paths["/a.pt"].status = status
        with pytest.raises(CheckpointError, match=f"answered {status}"):
            get(server, tmp_path)
    assert len(server.requests) == 3 and names(tmp_path) == []


def test_a_busy_server_is_asked_again(server, tmp_path):
    server.paths["/a.pt"].status = 503
    with pytest.raises(CheckpointError, match="503"):
        get(server, tmp_path)
    assert len(server.requests) == transfer.ATTEMPTS


def test_offline_is_told_apart(tmp_path):
    with HubServer() as server:
        address = server.address
    with pytest.raises(Unreachable, match="127.0.0.1:.* cannot be reached"):
        fetch(RemoteFile(f"{address}/a.pt", "a.pt"), tmp_path)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://host/a.pt", "a.pt"])
def test_only_the_web_is_fetched_from(url, tmp_path):
    with pytest.raises(CheckpointError, match="http:// or https://"):
        fetch(RemoteFile(url, "a.pt"), tmp_path)


def test_a_token_stays_with_the_server_it_is_for(server, tmp_path):
    hub, _ = server.add_large("o/r", "a.pt", BODY)
    headers = {"Authorization": "Bearer secret"}
    fetch(RemoteFile(f"{server.address}/o/r/resolve/main/a.pt", "a.pt", headers=headers), tmp_path)
    sent = {path: headers.get("Authorization") for _, path, headers in server.requests}
    assert sent == {"/o/r/resolve/main/a.pt": "Bearer secret", "/store/a.pt": None}


def test_a_disk_too_small_is_told_before_and_after(server, tmp_path, monkeypatch):
    free = type("Usage", (), {"free": len(BODY)})
    monkeypatch.setattr(transfer.shutil, "disk_usage", lambda folder: free)
    with pytest.raises(CheckpointError, match="1 MB free and 68 MB are needed.*XDG_CACHE_HOME"):
        get(server, tmp_path)

    class Full(io.BytesIO):
        name = str(tmp_path / "a.pt.part")

        def write(self, chunk):
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(CheckpointError, match="No space left on device.*make room"):
        transfer._store(io.BytesIO(BODY), Full(), None, lambda here, whole: None)


def test_two_processes_do_not_write_one_part(server, tmp_path):
    with open(tmp_path / "a.pt.part", "ab") as part:
        fcntl.flock(part, fcntl.LOCK_EX)
        with pytest.raises(CheckpointError, match="another process"):
            get(server, tmp_path)


def test_a_folder_that_cannot_be_made(server, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match="cannot be written"):
        get(server, tmp_path / "file" / "folder")


def test_digests_are_those_of_sha256sum_and_git(tmp_path):
    (tmp_path / "hello").write_bytes(b"hello\n")
    assert digest(tmp_path / "hello") == "5891b5b522d5df086d0ff0b110fbd9d21bb4fc7163af34d08286a2e846f6be03"
    assert digest(tmp_path / "hello", git=True) == "ce013625030ba8dba906f756967f9e9ca394464a"  # git hash-object
