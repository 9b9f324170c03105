"""A fake OpenAI-compatible endpoint on this machine, as bad as real ones are, and always in the same way.

    request ─┬─ over the limit ──────────> 429 with Retry-After, which is enforced
             ├─ a fault of the script ───> dropped, garbage, 500, too late, …
             └─ rule(messages, seed) ────> answer

What a request meets is a function of the script's seed, the messages, the sampling seed and how often that was asked before; the answer is
one of messages and sampling seed alone. So whoever asks until there is an answer gets the same ones, however often it is killed. `served`
tells what came of every request.
"""

from __future__ import annotations

import json
import math
import socket
import sys
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Messages = Sequence[Mapping[str, str]]

ANSWERED, LIMITED, IMPATIENT, REFUSED = "answered", "limited", "impatient", "refused"
"""What may come of a request, beside the faults."""
_DROPS = 16
"""Bytes of an answer that comes in drops: each in time, all together too late."""
GRACE_S = 0.8
"""Requests on their way when somebody is told to wait are not impatient yet."""
_GARBAGE: Mapping[str, bytes] = {
    "html": b"<html><body>502 Bad Gateway</body></html>",
    "torn_json": b'{"choices": [{"message": {"role": "assistant", "conte',
    "no_choices": b'{"choices": [], "usage": null}',
    "wrong_types": b'{"choices": [{"message": {"content": 5}, "finish_reason": []}]}',
    "empty": b'{"choices": [{"message": {"content": ""}, "finish_reason": "stop"}]}',
    "error_inside": b'{"error": {"message": "overloaded", "code": 529}}',
    "not_utf8": b'{"choices": [{"message": {"content": "\xff\xfe"}}]}',
}
_ERRORS = {"error_500": 500, "error_503": 503}
LATE = ("too_late", "in_drops")
FAULTS = ("dropped", "dropped_in_body", *_ERRORS, *_GARBAGE)
"""What the script has in store. What is late depends on the client's patience, and is met only where it is asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the model says."""

    text: str
    finish_reason: str = "stop"
    reasoning: str | None = None
    """In a field of its own, as servers with a reasoning parser give it."""


@dataclass(frozen=True, slots=True)
class Served:
    """A request and what came of it."""

    at_s: float
    """When it came, on the clock of `time.monotonic`."""
    messages: str
    """Digest of its messages."""
    seed: int | None
    outcome: str


def digest(messages: Messages) -> str:
    """Return what names messages in the log."""
    return _hash(json.dumps([dict(turn) for turn in messages], sort_keys=True))


class FakeEndpoint:
    """Use it as a context manager; `url` is what a client is given.

    Args:
        rule: (messages, seed) -> what the model answers.
        faults: Share of the requests that meet a fault instead, from 0 to below 1.
        kinds: The faults.
        script: Seed of the script.
        limit: Requests that are served within any `window_s`; 0: no limit.
        window_s: See there; what is over it waits for whole seconds, as Retry-After has them.
        late_s: How long an answer that is too late takes, all at its end or in drops.
        key: The key that it wants; empty: none.
        models: What it lists, and answers to.
        refuse: Body of a request -> why it is refused with 400; empty: it is not.
    """

    def __init__(
        self,
        rule: Callable[[Messages, int], Answer | str],
        *,
        faults: float = 0.0,
        kinds: Sequence[str] = FAULTS,
        script: int = 0,
        limit: int = 0,
        window_s: float = 1.0,
        late_s: float = 1.0,
        key: str = "",
        models: Sequence[str] = ("fake-1",),
        refuse: Callable[[Mapping[str, Any]], str] = lambda body: "",
    ) -> None:
        self._rule, self._faults, self._kinds, self._script = rule, faults, tuple(kinds), script
        self.late_s, self.refuse = late_s, refuse
        self._limit, self._window_s, self._key, self._models = limit, window_s, key, tuple(models)
        self._lock = threading.Lock()
        self._served: list[Served] = []
        self._times: Counter[tuple[str, int | None]] = Counter()
        self._within: deque[float] = deque()
        self._told_at, self._closed_until = -math.inf, -math.inf
        self._server = _Server(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    @property
    def url(self) -> str:
        """What a client is given as the base URL."""
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def served(self) -> list[Served]:
        """Every request so far, in the order in which they came."""
        with self._lock:
            return list(self._served)

    def outcomes(self) -> Counter[str]:
        """Return the number of requests by what came of them."""
        return Counter(each.outcome for each in self.served)

    def __enter__(self) -> FakeEndpoint:
        self._thread.start()
        return self

    def __exit__(self, *raised: object) -> None:
        """Be gone: nobody is answered any more, whoever is connected included."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self._server.hang_up()

    def authorised(self, header: str) -> bool:
        """Whether a request with this header may come in."""
        return not self._key or header == f"Bearer {self._key}"

    def listing(self) -> dict[str, Any]:
        """Return the models, as the interface lists them."""
        return {"object": "list", "data": [{"id": name, "object": "model"} for name in self._models]}

    def meet(self, body: Mapping[str, Any]) -> tuple[str, float]:
        """Decide what comes of a request, and log it; returns the outcome, and the seconds to wait where it is over the limit."""
        now, messages, seed = time.monotonic(), digest(body["messages"]), body.get("seed")
        with self._lock:
            known = body.get("model") in self._models and not self.refuse(body)
            outcome, wait_s = self._decide(now, messages, seed) if known else (REFUSED, 0.0)
            self._served.append(Served(now, messages, seed, outcome))
        return outcome, wait_s

    def answer(self, body: Mapping[str, Any]) -> bytes:
        """Return the answer of the rule as a body."""
        found = self._rule(body["messages"], body.get("seed", 0))
        answer = Answer(found) if isinstance(found, str) else found
        message = {"role": "assistant", "content": answer.text}
        if answer.reasoning is not None:
            message["reasoning_content"] = answer.reasoning
        tokens = {
            "prompt_tokens": sum(len(turn["content"]) for turn in body["messages"]) // 4,
            "completion_tokens": len(answer.text + (answer.reasoning or "")) // 4 + 1,
        }
        choice = {"index": 0, "message": message, "finish_reason": answer.finish_reason}
        return json.dumps({"object": "chat.completion", "choices": [choice], "usage": tokens}).encode()

    def _decide(self, now: float, messages: str, seed: int | None) -> tuple[str, float]:
        if now < self._closed_until:
            return (IMPATIENT if now > self._told_at + GRACE_S else LIMITED), self._closed_until - now
        while self._within and self._within[0] <= now - self._window_s:
            self._within.popleft()
        if self._limit and len(self._within) >= self._limit:
            self._told_at, self._closed_until = now, now + math.ceil(self._within[0] + self._window_s - now)
            return LIMITED, self._closed_until - now
        self._within.append(now)
        self._times[messages, seed] += 1
        drawn = int(_hash(f"{self._script} {messages} {seed} {self._times[messages, seed]}"), 16)
        if drawn % 1000 >= 1000 * self._faults:
            return ANSWERED, 0.0
        return self._kinds[drawn // 1000 % len(self._kinds)], 0.0


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128  # what does not fit waits a second before it knocks again

    def __init__(self, *arguments: Any) -> None:
        self._open: set[socket.socket] = set()
        super().__init__(*arguments)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exc_info()[1], OSError):  # whoever asked has gone
            super().handle_error(request, client_address)

    def hang_up(self) -> None:
        for connection in list(self._open):
            with suppress(OSError):  # gone already
                connection.shutdown(socket.SHUT_RDWR)


def _handler(endpoint: FakeEndpoint) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_GET(self) -> None:
            if self._let_in():
                found = self.path == "/v1/models"
                self._send(200 if found else 404, json.dumps(endpoint.listing() if found else _error("no such path")).encode())

        def do_POST(self) -> None:
            sent = self.rfile.read(length := int(self.headers["Content-Length"]))
            if len(sent) < length or not self._let_in():  # whoever asked has gone, or may not ask
                return
            body = json.loads(sent)
            if self.path != "/v1/chat/completions":
                self._send(404, json.dumps(_error("no such path")).encode())
                return
            outcome, wait_s = endpoint.meet(body)
            if outcome in (LIMITED, IMPATIENT):
                told = json.dumps(_error("rate limit reached")).encode()
                self._send(429, told, {"Retry-After": str(math.ceil(wait_s))})
            elif outcome == REFUSED:
                why = endpoint.refuse(body)
                self._send(400 if why else 404, json.dumps(_error(why or f"the model {body.get('model')!r} does not exist")).encode())
            else:
                self._serve(outcome, body)

        def _serve(self, outcome: str, body: Mapping[str, Any]) -> None:
            if outcome in _ERRORS:
                self._send(_ERRORS[outcome], b"upstream went away")
            elif outcome in _GARBAGE:
                self._send(200, _GARBAGE[outcome], {"Content-Type": "text/html"} if outcome == "html" else {})
            elif outcome == "dropped":
                self._drop()
            elif outcome == "dropped_in_body":
                answer = endpoint.answer(body)
                self._send(200, answer[: len(answer) // 2], {"Content-Length": str(len(answer))})
                self._drop()
            elif outcome == "in_drops":
                self._send_in_drops(endpoint.answer(body))
            else:
                if outcome == "too_late":
                    time.sleep(endpoint.late_s)
                self._send(200, endpoint.answer(body))

        def _let_in(self) -> bool:
            header = self.headers.get("Authorization", "")
            if endpoint.authorised(header):
                return True
            self._send(401, json.dumps(_error(f"the key in {header!r} is not right")).encode())  # servers do repeat it
            return False

        def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
            self.send_response(status)
            for name, value in ({"Content-Type": "application/json", "Content-Length": str(len(body))} | dict(headers or {})).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def _send_in_drops(self, answer: bytes) -> None:
            self._send(200, answer[:_DROPS], {"Content-Length": str(len(answer))})
            for start in range(_DROPS, len(answer), _DROPS):
                time.sleep(endpoint.late_s * _DROPS / len(answer))
                self.wfile.write(answer[start : start + _DROPS])

        def _drop(self) -> None:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing: `served` tells it all."""

    return Handler


def _error(message: str) -> dict[str, Any]:
    return {"error": {"message": message}}


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=8).hexdigest()
