"""A rule for `FakeEndpoint`: a teacher that knows the prompts it is asked, and is right as often as it is told to be.

    messages ─ which prompt is it ─> (prompt, seed) ─ a hash ─┬─ right: the reference, after reasoning of some length
                                                              └─ wrong: a call less, no reasoning, plain text, or cut short

Each answer is a function of prompt and seed alone, and `is_right` says what the verifier must say of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b

from toolrl.calls.render import render_calls, render_completion
from toolrl.testing.endpoint import Answer, Messages, digest
from toolrl.types import Prompt

MOST_WORDS = 40
"""Longest reasoning."""


class Teacher:
    """Answers the prompts it knows.

    Args:
        prompts: Each with at least one call as its reference.
        render: Prompt -> messages, as whoever asks renders them.
        right: Share of the answers that are right.
    """

    def __init__(self, prompts: Sequence[Prompt], render: Callable[[Prompt], Messages], *, right: float = 0.5) -> None:
        self._prompts = {digest(render(prompt)): prompt for prompt in prompts}
        self._right = right

    def __call__(self, messages: Messages, seed: int) -> Answer:
        """Return the answer to messages."""
        return self.answer(self._prompts[digest(messages)], seed)

    def is_right(self, prompt: Prompt, seed: int) -> bool:
        """Whether the answer with this seed is right."""
        return _drawn(prompt, seed) % 1000 < 1000 * self._right

    def answer(self, prompt: Prompt, seed: int) -> Answer:
        """Return the answer to a prompt."""
        drawn = _drawn(prompt, seed)
        right = render_completion(prompt.reference, " ".join(["so"] * (1 + drawn // 1000 % MOST_WORDS)))
        if self.is_right(prompt, seed):
            return Answer(right)
        wrong = (
            Answer(render_completion(prompt.reference[1:], "one is enough")),
            Answer(render_calls(prompt.reference)),
            Answer("I would rather not."),
            Answer(right[: len(right) // 2], "length"),
        )
        return wrong[drawn // 1000 % len(wrong)]


def _drawn(prompt: Prompt, seed: int) -> int:
    return int.from_bytes(blake2b(f"{prompt.id} {seed}".encode(), digest_size=8).digest(), "big")
