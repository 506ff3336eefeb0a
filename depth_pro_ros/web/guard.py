"""What stands between the network and the page: nothing of the page comes from, or goes to, another machine.

Gradio can fetch a URL for a client (`/gradio_api/file=http...`, `/proxy=...`); this page has no use for that, and
a robot's network is no place for it. The policy of the answers forbids the browser the same.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

# Gradio's own scripts are inline, and it compiles the `js` of events; the 3-D view runs workers from blobs.
POLICY = "; ".join(
    (
        "default-src 'self' data: blob:",
        "script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:",
        "style-src 'self' 'unsafe-inline'",
        "worker-src 'self' blob:",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'self'",
    )
)
HEADERS = (
    (b"content-security-policy", POLICY.encode("ascii")),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
)
_FETCHES = re.compile(r"/(file=\s*[a-z][a-z0-9+.-]*:|proxy=)", re.IGNORECASE)


class Guard:
    """ASGI middleware: refuses requests that would make the server fetch, adds the policy to every answer."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, as ASGI has it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def answer(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *HEADERS]
            await send(message)

        if _FETCHES.search(scope["path"]):
            await answer({"type": "http.response.start", "status": 403, "headers": [(b"content-type", b"text/plain")]})
            await answer({"type": "http.response.body", "body": b"this page fetches nothing from elsewhere\n"})
        else:
            await self.app(scope, receive, answer)
