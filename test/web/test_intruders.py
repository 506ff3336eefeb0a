"""What a program that is no browser may ask of the page, and is refused: other files, other machines, other weights."""

from __future__ import annotations

import http.server
import json
import shutil
import threading
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest
from web.conftest import serve
from web.doubles import write_photo

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OPEN = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
META = {"_type": "gradio.FileData"}


def status(url: str, **options) -> int:
    """Return the HTTP status of a request."""
    try:
        with OPEN(urllib.request.Request(url, **options), timeout=60) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def upload(url: str, path) -> str:
    """Upload a file as the page does and return where the server keeps it."""
    body = b'--x\r\nContent-Disposition: form-data; name="files"; filename="%s"\r\n\r\n%s\r\n--x--\r\n' % (
        path.name.encode(),
        path.read_bytes(),
    )
    request = urllib.request.Request(
        f"{url}gradio_api/upload", body, {"Content-Type": "multipart/form-data; boundary=x"}
    )
    with OPEN(request, timeout=60) as answer:
        return json.load(answer)[0]


def ask(url: str, *inputs: object) -> list[dict]:
    """Run the page's one event with these inputs and return the messages that it answers with."""
    with OPEN(f"{url}config", timeout=60) as answer:
        events = json.load(answer)["dependencies"]
    event = next(event["id"] for event in events if len(event["inputs"]) == 4)
    session = f"intruder{threading.get_ident()}{id(inputs)}"
    body = json.dumps({"data": inputs, "fn_index": event, "session_hash": session}).encode()
    request = urllib.request.Request(f"{url}gradio_api/queue/join", body, {"Content-Type": "application/json"})
    with OPEN(request, timeout=60):
        pass
    messages = []
    with OPEN(f"{url}gradio_api/queue/data?session_hash={session}", timeout=120) as stream:
        for line in stream:
            if line.startswith(b"data:"):
                messages.append(json.loads(line[5:]))
                if messages[-1]["msg"] in ("process_completed", "close_stream"):
                    break
    return messages


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[str]]]:
    """Return the address of another server of this machine, and the requests that it got."""
    got: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):  # noqa: N802
            got.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/photo.png", got
    server.shutdown()
    server.server_close()


def test_only_files_of_the_page_are_served(served, tmp_path, project):
    secret = tmp_path / "secret.txt"
    secret.write_text("secret")
    paths = [str(secret), "/etc/hostname", str(project / "README.md"), f"{served.temporary}/../secret.txt", "README.md"]
    for path in [*paths, "%2e%2e/%2e%2e/etc/hostname", ".gradio/cached_examples/a"]:
        assert status(f"{served.url}gradio_api/file={urllib.parse.quote(path, safe='/%')}") == 403, path
    for path in ("static/..%2f..%2f..%2f..%2f..%2fetc/hostname", "assets/../../../../../../../../../etc/hostname"):
        assert status(served.url + path) in (400, 403, 404), path
    kept = upload(served.url, write_photo(tmp_path / "mine.png"))
    assert status(f"{served.url}gradio_api/file={kept}") == 200


def test_a_name_with_a_path_stays_in_the_folder(served, tmp_path):
    (tmp_path / "a").mkdir()
    photo = write_photo(tmp_path / "a" / "mine.png")
    body = photo.read_bytes()
    kept = upload(served.url, type("Named", (), {"name": "../../../evil.png", "read_bytes": lambda self: body})())
    assert str(served.temporary) in kept and ".." not in kept


def test_other_machines_are_not_asked(served, elsewhere, tmp_path):
    address, got = elsewhere
    assert status(f"{served.url}gradio_api/file={address}") == 403
    assert status(f"{served.url}gradio_api/proxy={address}") == 403
    for at in range(2):  # in the photo's place, and where no file belongs
        inputs = [None, "tiny", "estimated", 0]
        inputs[at] = {"path": address, "url": address, "meta": META}
        assert ask(served.url, *inputs)[-1]["success"] is False
    assert got == []


def test_the_photo_of_a_request_is_one_that_was_dropped(served):
    photo = {"path": "/etc/hostname", "meta": META}
    assert ask(served.url, photo, "tiny", "estimated", 0)[-1]["success"] is False


def test_weights_are_those_offered(served, tmp_path):
    kept = {"path": upload(served.url, write_photo(tmp_path / "mine.png")), "meta": META}
    for weights in (kept["path"], "/etc/hostname", "../tiny"):
        assert ask(served.url, kept, weights, "estimated", 0)[-1]["success"] is False, weights
    assert ask(served.url, kept, "tiny", "estimated", 0)[-1]["success"] is True


def test_a_file_above_the_limit_is_cut_off(served, tmp_path):
    (tmp_path / "large.png").write_bytes(bytes(33 * 2**20))
    with pytest.raises((urllib.error.HTTPError, ConnectionError, urllib.error.URLError)) as caught:
        upload(served.url, tmp_path / "large.png")
    assert getattr(caught.value, "code", 413) == 413


def test_a_site_that_rebinds_its_name_to_this_machine_is_refused(served):
    assert status(served.url) == 200
    assert status(served.url, headers={"Host": "attacker.example"}) == 400


def test_closing_leaves_nothing_behind(tmp_path):
    running = serve("tiny")
    upload(running.url, write_photo(tmp_path / "mine.png"))
    assert list(running.temporary.glob("depth_pro_ros_web_*/*/mine.png"))
    assert running.end() == 0
    assert list(running.temporary.glob("depth_pro_ros_web_*")) == []
    shutil.rmtree(running.temporary)
