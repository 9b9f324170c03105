"""A small site for the user of this machine: one page, and answers in JSON that its script asks for; on loopback only.

browser ─> 127.0.0.1:port ─ host named as loopback? ─ the path begins with the secret? ─┬─> page
                                                                                        └─> NAME?query ─> answer

The secret is new for each start and stands in the address that is printed, so that neither another user of the machine nor a page that
the browser has open elsewhere can read anything. Nothing can be changed: requests only read.
"""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from toolrl.errors import ToolRLError, UserError

LOOPBACK: Final = "127.0.0.1"
NAMES: Final = (LOOPBACK, "localhost")
"""What a browser may call this host; another name would be somebody else's that leads here."""
SECRET_BYTES: Final = 16
MAX_PORT: Final = 65535
BACKLOG: Final = 64
HEADERS: Final[Mapping[str, str]] = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
Answer = Callable[[Mapping[str, str]], str]
"""A query -> JSON. Raises UserError where the query is wrong, or another ToolRLError."""


@dataclass(frozen=True)
class Site:
    """What is served."""

    page: Callable[[], str]
    """Makes the page."""
    policy: str
    """Its Content-Security-Policy."""
    answers: Mapping[str, Answer]
    """By the name under which the page asks."""


def serve_site(site: Site, *, port: int, ready: Callable[[str], None]) -> None:
    """Serve until a signal ends it; `ready` is told the address, with its secret, once it can be opened.

    Args:
        site: What is served.
        port: Where; 0: a port that is free.
        ready: Told the address.

    Raises:
        UserError: The port cannot be had.
    """
    secret = secrets.token_urlsafe(SECRET_BYTES)
    with _listening(port) as listener:
        config = uvicorn.Config(
            application(site, secret), log_level="warning", access_log=False, lifespan="off", server_header=False, ws="none"
        )
        ready(f"http://{LOOPBACK}:{listener.getsockname()[1]}/{secret}/")
        uvicorn.Server(config).run(sockets=[listener])


def application(site: Site, secret: str) -> Starlette:
    """Return the site as an ASGI application, everything of it behind `/secret/`."""

    def page(_: Request) -> Response:
        policy = f"{site.policy}; frame-ancestors 'none'"
        return _told(lambda: HTMLResponse(site.page(), headers={**HEADERS, "Content-Security-Policy": policy}))

    def asked(answer: Answer) -> Callable[[Request], Response]:
        def respond(request: Request) -> Response:
            query = dict(request.query_params)
            return _told(lambda: Response(answer(query), media_type="application/json", headers=dict(HEADERS)))

        return respond

    routes = [Route(f"/{secret}/", page), *(Route(f"/{secret}/{name}", asked(answer)) for name, answer in site.answers.items())]
    return Starlette(routes=routes, middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=[*NAMES], www_redirect=False)])


def _told(respond: Callable[[], Response]) -> Response:
    """Return a response, or the message of what went wrong."""
    try:
        return respond()
    except ToolRLError as error:
        return JSONResponse({"error": str(error)}, status_code=404 if isinstance(error, UserError) else 500, headers=dict(HEADERS))


def _listening(port: int) -> socket.socket:
    """Return a socket that listens on loopback. Raises UserError."""
    if not 0 <= port <= MAX_PORT:
        raise UserError(f"--port: got {port}; give a number up to {MAX_PORT}, 0 for any that is free")
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port that a server has just left is free
        listener.bind((LOOPBACK, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UserError(f"{LOOPBACK}:{port}: cannot be listened on ({error.strerror}); give another --port, 0 for any") from error
    return listener
