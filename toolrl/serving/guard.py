"""Asks for the key on every path of a server but `/health`: vLLM itself asks for it under `/v1` alone, and answers the same elsewhere.

Loaded by the server as a middleware (ASGI). Without a key in the environment everything passes: such a server binds to loopback only.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from hmac import compare_digest
from typing import Any, Final

KEY: Final = "VLLM_API_KEY"
"""Environment variable of the server's process with the key."""
OPEN_PATHS: Final = frozenset({"/health"})

Event = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Event]]
Send = Callable[[Event], Awaitable[None]]
App = Callable[[Event, Receive, Send], Awaitable[None]]


class RequireKey:
    """The server behind its key."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._expected = os.environ.get(KEY, "").encode()

    async def __call__(self, scope: Event, receive: Receive, send: Send) -> None:
        """Let a request pass or answer it with 401."""
        if scope["type"] == "lifespan" or not self._expected or scope["path"] in OPEN_PATHS or self._has_key(scope):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 401, "headers": [(b"content-type", b"application/json")]})
            await send({"type": "http.response.body", "body": b'{"error": {"message": "the API key is missing or wrong", "code": 401}}'})

    def _has_key(self, scope: Event) -> bool:
        given = dict(scope["headers"]).get(b"authorization", b"")
        scheme, _, key = given.partition(b" ")
        return scheme.lower() == b"bearer" and compare_digest(key.strip(), self._expected)
