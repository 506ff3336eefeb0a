"""The guard before the page, without a server: what is refused, and what every answer carries."""

import asyncio

import pytest

from depth_pro_ros.web.guard import Guard


def ask(path):
    """Return (status, headers, whether the application was asked) of one request."""
    asked, sent = [], []

    async def application(scope, receive, send):
        asked.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"fine"})

    async def send(message):
        sent.append(message)

    asyncio.run(Guard(application)({"type": "http", "path": path}, None, send))
    return sent[0]["status"], dict(sent[0]["headers"]), bool(asked)


@pytest.mark.parametrize("path", ["/", "/gradio_api/file=/tmp/x/photo.png", "/gradio_api/upload", "/assets/proxy.js"])
def test_the_page_passes_with_a_policy(path):
    status, headers, asked = ask(path)
    assert status == 200 and asked and headers[b"x-own"] == b"1"
    assert b"default-src 'self' data: blob:" in headers[b"content-security-policy"]
    assert b"http" not in headers[b"content-security-policy"]
    assert headers[b"x-content-type-options"] == b"nosniff"


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=http://192.168.0.1/",
        "/gradio_api/file=HTTPS://example.org/a.png",
        "/gradio_api/file= http://example.org",
        "/gradio_api/file=ftp://example.org",
        "/gradio_api/proxy=https://example.org/a",
        "/proxy=x",
    ],
)
def test_nothing_is_fetched_for_a_client(path):
    status, headers, asked = ask(path)
    assert status == 403 and not asked and b"content-security-policy" in headers


def test_other_protocols_pass_untouched():
    seen = []

    async def application(scope, receive, send):
        seen.append(scope["type"])

    asyncio.run(Guard(application)({"type": "lifespan"}, None, None))
    assert seen == ["lifespan"]
