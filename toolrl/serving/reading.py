"""A completion as a server gives it: reasoning, content and calls, read while the text grows.

    text ─ Thought ─┬─> reasoning, piece by piece, up to its first `</think>`
                    └─> the rest ─ Answer ─┬─> content, piece by piece, up to the first `<tool_call>`
                                           └─> held to the end: then the calls of the only block and what is around it, or all as content

What comes out is the same however the text is cut into pieces. The calls are those that evaluation reads (`reward.modes`); a block that
breaks the form comes back as content. That is why calls come with the end of the text and not before: one that was given cannot be taken
back, and the first call of a list that breaks later on would be half of an answer. A model that does as it learned ends with its block.
"""

from __future__ import annotations

from toolrl.calls.parse import CALL, END_THINK, THINK
from toolrl.reward.modes import find_block
from toolrl.types import ToolCall


class Thought:
    """Parts the reasoning at the beginning of a text from the rest. White space before it is dropped."""

    def __init__(self) -> None:
        self.ended = False
        """Whether all that comes now is the rest."""
        self._inside = False
        self._held = ""

    def feed(self, piece: str) -> tuple[str, str]:
        """Return how the reasoning goes on, and how the rest."""
        if self.ended:
            return "", piece
        text = self._held + piece
        if not self._inside:
            text = text.lstrip()
            if len(text) < len(THINK) and THINK.startswith(text):
                self._held = text
                return "", ""
            if not text.startswith(THINK):
                self.ended = True
                return "", text
            self._inside, text = True, text.removeprefix(THINK)
        reasoning, self._held = _cut_before(text, END_THINK)
        self.ended = self._held.startswith(END_THINK)
        return reasoning, self._held.removeprefix(END_THINK) if self.ended else ""

    def finish(self) -> tuple[str, str]:
        """Return what was held for a tag that has not come, at the end of the text."""
        if self.ended:
            return "", ""
        return (self._held, "") if self._inside else ("", self._held)


class Answer:
    """Reads content and calls of what follows the reasoning. White space before the content is dropped."""

    def __init__(self) -> None:
        self._given: list[str] = []
        self._held: list[str] = []
        self._holds_block = False

    def feed(self, piece: str) -> str:
        """Return how the content goes on."""
        if self._holds_block:
            self._held.append(piece)
            return ""
        text = "".join([*self._held, piece])
        content, held = _cut_before(text if self._given else text.lstrip(), CALL)
        self._holds_block = held.startswith(CALL)
        self._held = [held]
        self._given += [content] if content else []
        return content

    def finish(self) -> tuple[str, tuple[ToolCall, ...]]:
        """Return how the content ends, and the calls, at the end of the text."""
        given, held = "".join(self._given), "".join(self._held)
        found = find_block(given + held)
        if found is None:
            return held, ()
        around = held[: found.start - len(given)] + held[found.end - len(given) :]
        return (around if given else around.lstrip()) if around.strip() else "", found.calls


def read_thought(text: str) -> tuple[str, str]:
    """Return the reasoning of a whole text, and the rest."""
    thought = Thought()
    parts = zip(thought.feed(text), thought.finish(), strict=True)
    reasoning, rest = ("".join(part) for part in parts)
    return reasoning, rest


def read_answer(text: str) -> tuple[str, tuple[ToolCall, ...]]:
    """Return content and calls of a whole text without its reasoning."""
    answer = Answer()
    content = answer.feed(text)
    end, calls = answer.finish()
    return content + end, calls


def _cut_before(text: str, tag: str) -> tuple[str, str]:
    """Return what stands before `tag`, or before what may become it at the end of the text; and the rest."""
    at = text.find(tag)
    if at < 0:
        longest = min(len(tag) - 1, len(text))
        at = next((len(text) - size for size in range(longest, 0, -1) if tag.startswith(text[-size:])), len(text))
    return text[:at], text[at:]
