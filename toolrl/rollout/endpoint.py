"""Any OpenAI-compatible endpoint as `Responder`. The only door to the openai package.

    Ask ─ render ─> messages ─ request ─> Pace ─> openai ─┬─> body ─ read_reply ─> Reply
                                           ^              └─> FaultError ─┬─ passes: wait, and again, `attempts` times in all
                                           └──────────────────────────────┘─ else ReplyError: this ask alone

The package's own retries are off: they would go out past the pace, and know nothing of answers that cannot be read. The key is read from
the environment, goes into the header of each request, and nowhere else.
"""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import count
from typing import Any, TypeVar

import httpx2
import openai

from toolrl.config.asking import EndpointConfig
from toolrl.errors import ConfigError, ReplyError, RunError, ToolRLError
from toolrl.rollout.chat import Dialect, Turn, UnreadableError, read_json, read_reply, request
from toolrl.rollout.faults import BACKOFF_S, MAX_BACKOFF_S, Door, FaultError, Kind, fault_of
from toolrl.rollout.pace import Pace
from toolrl.rollout.replies import Ask, Reply
from toolrl.rollout.traffic import Traffic
from toolrl.types import Prompt

CONNECT_S = 15.0
"""Longest wait for a connection."""
GIVEN_UP_IN_A_ROW = 8
"""Asks given up one after the other, with no answer in between, after which nobody is asked any more."""
REFUSED_FROM_START = 64
"""Asks refused before any was answered, after which nobody is asked any more."""
Found = TypeVar("Found")


class EndpointResponder:
    """Implements `replies.Responder`. An asynchronous context manager, of one event loop.

    Args:
        url: The endpoint, as in http://host:8000/v1.
        config: Its settings; without a model's name the only one that it lists is asked, which entering finds out.
        render: Prompt -> messages `{"role", "content"}`.
        traffic: Filled with what goes over the line.
        resumed: Whether it has answered such asks before: then what is left may all be what it refuses.

    Raises:
        ConfigError: The key cannot be sent, or on entering: the endpoint lists several models or none, or cannot be reached.
    """

    def __init__(
        self,
        url: str,
        config: EndpointConfig,
        *,
        render: Callable[[Prompt], Sequence[Turn]],
        traffic: Traffic | None = None,
        resumed: bool = False,
    ) -> None:
        key = _key(config.key_variable)
        self._url, self._config, self._render, self._resumed = url, config, render, resumed
        timeout = openai.Timeout(config.timeout_s, connect=min(CONNECT_S, config.timeout_s))
        self._client = openai.AsyncOpenAI(base_url=url, api_key=key or "none", max_retries=0, timeout=timeout)
        self._options: dict[str, Any] = {} if key else {"extra_headers": {"Authorization": openai.Omit()}}
        self._key = key
        self._pace = Pace(most=config.in_flight, per_minute=config.requests_per_minute)
        self._traffic = traffic or Traffic()
        self._traffic.held_for_s = lambda: self._pace.held_for_s
        self._dialect = Dialect()
        self._numbers = count()
        self._reached = self._has_answered = False
        self._given_up = self._refused = 0
        self.model = config.model
        """The name of the model that is asked."""

    async def __aenter__(self) -> EndpointResponder:
        try:
            self.model = self.model or only_model(self._url, await self.models())
        except BaseException:
            await self._client.close()
            raise
        return self

    async def __aexit__(self, *raised: object) -> None:
        await self._client.close()

    async def models(self) -> list[str]:
        """Return the names of the models that the endpoint lists. Raises UserError or RunError."""
        try:
            return await self._persist(next(self._numbers), self._list)
        except FaultError as fault:
            raise ConfigError(f"{self._url} does not list its models ({fault}); name the one to ask in endpoint.model") from fault

    async def reply(self, ask: Ask) -> Reply:
        """Answer one ask.

        Raises:
            ReplyError: It alone was refused, or had no answer after all attempts.
            RunError: The endpoint answers nobody any more.
            UserError: It cannot be reached or refuses the key, and never answered.
        """
        number, messages = next(self._numbers), self._render(ask.prompt)
        dialect = spoken = self._dialect
        while True:
            try:
                reply = await self._persist(number, partial(self._complete, request(self.model, messages, ask, dialect)))
            except FaultError as fault:
                if fault.kind.passes:
                    raise self._give_up(fault) from fault
                if (simpler := dialect.simpler(fault.told, messages)) is None:
                    raise self._refuse(fault) from fault
                dialect = simpler
                continue
            if dialect != spoken:
                self._dialect = dialect
            self._has_answered, self._given_up = True, 0
            return reply

    async def _persist(self, number: int, send: Callable[[], Awaitable[Found]]) -> Found:
        """Send until there is an answer. Raises the last FaultError, or what ends all."""
        for attempt in count():
            try:
                return await self._once(number, send, _backoff_s(attempt))
            except FaultError as fault:
                if not fault.kind.passes or attempt + 1 == self._config.attempts:
                    raise
                if fault.kind is not Kind.LIMITED:  # else the pace holds everybody
                    await asyncio.sleep(_backoff_s(attempt))
        raise AssertionError("attempts end")

    async def _once(self, number: int, send: Callable[[], Awaitable[Found]], wait_s: float) -> Found:
        """Send when it is its turn; a refusal for the limit holds everybody, `wait_s` if it does not say for how long."""
        async with self._pace.turn(number):
            self._traffic.sent += 1
            try:
                found = await self._sent(send)
            except FaultError as fault:
                self._traffic.faults[fault.kind] += 1
                if fault.kind is Kind.LIMITED:
                    self._pace.hold(fault.wait_s or wait_s)
                    self._traffic.held_s = self._pace.held_s
                raise
            self._pace.answered()
            return found

    async def _sent(self, send: Callable[[], Awaitable[Found]]) -> Found:
        """Turn all that can go wrong on the way into a FaultError, or into what ends all."""
        try:
            async with asyncio.timeout(self._config.timeout_s):  # the client's own is for each piece of an answer
                found = await send()
        except UnreadableError as error:
            fault: FaultError | ToolRLError = FaultError(Kind.UNREADABLE, self._safe(error))
        except openai.APIStatusError as error:
            fault = self._status(error)
        except (TimeoutError, openai.APIConnectionError) as error:
            fault = self._silence(error)
        else:
            self._reached = True
            return found
        self._reached = True
        raise fault  # not from the client's error, which holds the request, and so the key

    async def _complete(self, body: dict[str, Any]) -> Reply:
        answer = await self._client.chat.completions.with_raw_response.create(**body, **self._options)
        return self._read(read_reply, answer.http_response.content)

    async def _list(self) -> list[str]:
        answer = await self._client.models.with_raw_response.list(**self._options)
        match self._read(read_json, answer.http_response.content):
            case {"data": [*entries]}:
                return [str(entry["id"]) for entry in entries if isinstance(entry, dict) and "id" in entry]
        raise UnreadableError("no list of models")

    def _read(self, read: Callable[[bytes], Found], body: bytes) -> Found:
        """Return what `read` makes of a body. What is shown of an unreadable one may be cut, and half of a key is not known for one."""
        try:
            return read(body)
        except UnreadableError:
            if self._key:
                read(body.replace(self._key.encode(), "…".encode()))
            raise

    def _status(self, error: openai.APIStatusError) -> FaultError | ToolRLError:
        door = Door(self._url, self._config.key_variable, bool(self._key), self._has_answered)
        return fault_of(error.status_code, error.response.headers, self._safe(error.response.text).encode(), door)

    def _silence(self, error: TimeoutError | openai.APIConnectionError) -> FaultError | ToolRLError:
        cause = error.__cause__ or error
        why = self._safe(cause) or type(cause).__name__
        if not self._reached and isinstance(cause, httpx2.ConnectError | httpx2.ConnectTimeout):
            return ConfigError(f"{self._url} cannot be reached ({why}); check model.path, and that it is up")
        if isinstance(error, TimeoutError | openai.APITimeoutError):
            return FaultError(Kind.LATE, f"{self._config.timeout_s:g} s")
        return FaultError(Kind.LOST, why)

    def _give_up(self, fault: FaultError) -> ToolRLError:
        self._given_up += 1
        told = f"after {self._config.attempts} attempts, the last: {fault}"
        if self._given_up < GIVEN_UP_IN_A_ROW:
            return ReplyError(f"given up {told}")
        return RunError(
            f"{self._url} has answered none of {GIVEN_UP_IN_A_ROW} asks in a row, each given up {told}; what was answered is kept, "
            "and the same command goes on"
        )

    def _refuse(self, fault: FaultError) -> ToolRLError:
        self._refused += 1
        if self._has_answered or self._resumed or self._refused < REFUSED_FROM_START:
            return ReplyError(f"refused: {fault.told}")
        return ConfigError(f"{self._url} refused each of the first {REFUSED_FROM_START} asks ({fault.told}); change what it names")

    def _safe(self, text: object) -> str:
        """Return a text without the key: servers repeat what they refuse."""
        return str(text).replace(self._key, "…") if self._key else str(text)


def only_model(url: str, listed: Sequence[str]) -> str:
    """Return the one model of an endpoint. Raises ConfigError where it is not alone."""
    if len(listed) == 1:
        return listed[0]
    told = f"lists {len(listed)} models: {', '.join(listed)}" if listed else "lists no model"
    raise ConfigError(f"endpoint.model: got nothing, and {url} {told}; name the one to ask")


def _key(variable: str) -> str:
    """Return the key, or "" where there is none. Raises ConfigError, without it."""
    key = os.environ.get(variable, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{variable}: holds characters that no key can have; set it again, without line breaks or spaces")
    return key


def _backoff_s(attempt: int) -> float:
    return float(min(BACKOFF_S * 2.0 ** min(attempt, 10), MAX_BACKOFF_S) * random.uniform(0.5, 1))
