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


class Replies(Protocol):
    """Keeps replies; `journal.Journal` does on disk."""

    def __contains__(self, key: Key) -> bool:
        """Whether the ask of this key is answered."""
        ...

    def add(self, key: Key, reply: Reply) -> None:
        """Keep a reply, on disk when this returns."""
        ...


async def answer_all(
    asks: Iterable[Ask], responder: Responder, replies: Replies, *, in_flight: int, each: Callable[[Ask, Reply], None] | None = None
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
    waiting = iter([ask for ask in asks if ask.key not in replies])
    failed: dict[Key, ReplyError] = {}

    async def work() -> None:
        for ask in waiting:
            try:
                reply = await responder.reply(ask)
            except ReplyError as error:
                failed[ask.key] = error
                continue
            replies.add(ask.key, reply)
            if each is not None:
                each(ask, reply)

    workers = [asyncio.create_task(work(), name=f"asking {number}") for number in range(in_flight)]
    try:
        await asyncio.gather(*workers)  # the first other error ends all
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)
    return failed
