"""Prompts -> text, from whoever answers: our own engines, or somebody's endpoint. What distillation and evaluation ask.

    Asks ─ those not in the journal ─> Responder.reply, `in_flight` at a time ─> journal ─> Replies by Ask

Each reply is in the journal as soon as it is there, so a killed process asks only for what is missing, and nothing twice.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from toolrl.errors import ReplyError
from toolrl.types import Prompt, Sampling

Key = tuple[str, int]
"""The id of a prompt, and the number of the sample."""


@dataclass(frozen=True, slots=True)
class Ask:
    """One completion that is wanted."""

    prompt: Prompt
    sample: int
    """0, 1, …: which of the completions of its prompt."""
    sampling: Sampling
    """Its `n` is 1."""
    seed: int

    @property
    def key(self) -> Key:
        """What names it among the others."""
        return self.prompt.id, self.sample


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. Text only: nobody trains on its tokens without encoding it anew."""

    text: str
    finish_reason: str
    """`stop`; `length` where the limit cut it short; or what an endpoint says."""
    prompt_tokens: int
    completion_tokens: int


class Responder(Protocol):
    """Answers asks."""

    async def reply(self, ask: Ask) -> Reply:
        """Answer one ask. Raises ReplyError where it alone has no answer, and any other RunError where no other will have one."""
        ...


Each = Callable[[Ask, Reply], Iterable[Ask] | None]
"""Told of a reply; may return asks that it makes necessary, which come after those that wait already."""


class Replies(Protocol):
    """Keeps replies; `journal.Journal` does on disk."""

    def __contains__(self, key: Key) -> bool:
        """Whether the ask of this key is answered."""
        ...

    def __len__(self) -> int:
        """Return how many asks are answered."""
        ...

    def add(self, key: Key, reply: Reply) -> None:
        """Keep a reply, on disk when this returns."""
        ...


async def answer_all(
    asks: Iterable[Ask], responder: Responder, replies: Replies, *, in_flight: int, each: Each | None = None
) -> dict[Key, ReplyError]:
    """Answer every ask that `replies` does not hold yet; returns those that have no answer, with the reason.

    Args:
        asks: What is wanted, no key twice.
        responder: Who answers.
        replies: Where each reply goes as soon as it is there.
        in_flight: Most asks that wait for an answer at once.
        each: Told of each reply once it is kept.

    Raises:
        RunError: Nobody answers any more. What was answered is kept.
    """
    waiting: asyncio.Queue[Ask] = asyncio.Queue()
    failed: dict[Key, ReplyError] = {}

    def add(more: Iterable[Ask]) -> None:
        for ask in more:
            if ask.key not in replies:
                waiting.put_nowait(ask)

    async def work() -> None:
        while True:
            ask = await waiting.get()
            try:
                reply = await responder.reply(ask)
            except ReplyError as error:
                failed[ask.key] = error
            else:
                replies.add(ask.key, reply)
                add((each and each(ask, reply)) or ())
            waiting.task_done()

    add(asks)
    workers = [asyncio.create_task(work(), name=f"asking {number}") for number in range(in_flight)]
    ended = asyncio.create_task(waiting.join(), name="asking: the end")
    try:
        await asyncio.wait([ended, *workers], return_when=asyncio.FIRST_COMPLETED)
        for worker in filter(asyncio.Task.done, workers):
            await worker  # one that ended did so by an error, which ends all
    finally:
        for task in (ended, *workers):
            task.cancel()
        await asyncio.gather(ended, *workers, return_exceptions=True)
    return failed
