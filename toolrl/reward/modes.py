"""The modes: how a completion is read, and when its calls equal the reference.

    strict   one exact form; equality as data, or to one of the accepted values where a prompt lists them
    bfcl     the same form; equality by the rules of BFCL's AST checker
    paper    form and equality of Tool-N1, surprising verdicts included

The block of a completion of the wrong form is read where it is alone: under strict and bfcl the only block outside the
reasoning, under paper the last one. It matches where it makes the right calls; a plain answer matches only in the right form.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from toolrl.calls.accept import explain_strict
from toolrl.calls.bfcl import accepted_of, bfcl_accepts, explain_bfcl
from toolrl.calls.fault import Fault, shown
from toolrl.calls.jsontext import MAX_CHARS, JsonError, scan, skip_space
from toolrl.calls.lenient import content_right, find_calls, quotes_matter
from toolrl.calls.paper import LooseCall, canonical, explain_paper, parse_paper
from toolrl.calls.parse import CALL, END_CALL, END_THINK, FENCE, THINK, Answer, Calls, parse, read_list
from toolrl.reward.findings import RIGHT, Block, Findings
from toolrl.types import Prompt, Reason, ToolCall

NO_BLOCK = Block(match=False, names=False)
_OPENS = re.compile(f"{THINK}|{CALL}")


@dataclass(frozen=True, slots=True)
class StrictMode:
    """The exact form, and calls equal to the reference as data."""

    no_call: str = "either"

    def find(self, prompt: Prompt, text: str) -> Findings:
        """Read `text` and compare it with what `prompt` asks for."""
        parsed = parse(text)
        fault = parsed if isinstance(parsed, Fault) else self._misplaced(prompt, parsed)
        if fault is not None:
            return Findings(False, fault, self._says_right(prompt, text), partial(self._block, prompt, text))
        calls = parsed.calls if isinstance(parsed, Calls) else ()
        fault = self._explain(calls, prompt)
        if fault is None:
            return RIGHT
        return Findings(True, fault, self._forgiven(calls, prompt), partial(_wrong_calls, calls, prompt))

    def _misplaced(self, prompt: Prompt, parsed: Calls | Answer) -> Fault | None:
        """Return why a form that can be right is not the one this prompt asks for."""
        if isinstance(parsed, Calls):
            if parsed.calls or prompt.reference or self.no_call != "text":
                return None
            return Fault(Reason.NO_ANSWER, expected="a plain answer without a block", got="an empty list")
        if prompt.reference or self.no_call == "list":
            reason = Reason.CODE_FENCE if parsed.text.startswith(FENCE) else Reason.NO_TOOL_CALL
            return Fault(reason, expected="<tool_call>", got=shown(parsed.text))
        return None if parsed.text else Fault(Reason.NO_ANSWER, expected="an answer after the reasoning")

    def _block(self, prompt: Prompt, text: str) -> Block:
        calls = only_block(text)
        if calls is None:
            return NO_BLOCK
        match = self._misplaced(prompt, Calls(calls)) is None and self._explain(calls, prompt) is None
        return Block(match, match or _names_right(calls, prompt))

    def _explain(self, calls: Sequence[ToolCall], prompt: Prompt) -> Fault | None:
        return explain_strict(calls, prompt)

    def _forgiven(self, calls: Sequence[ToolCall], prompt: Prompt) -> bool:
        """Whether calls that are wrong are right under a lenient reading."""
        return quotes_matter(calls, prompt.reference, prompt.tools)

    def _says_right(self, prompt: Prompt, text: str) -> bool:
        found = find_calls(text)
        if content_right(found, prompt.reference, prompt.tools):
            return True
        return bool(prompt.accepted) and found is not None and self._explain(found, prompt) is None


@dataclass(frozen=True, slots=True)
class BfclMode(StrictMode):
    """The exact form, and calls that BFCL's AST checker accepts."""

    def _explain(self, calls: Sequence[ToolCall], prompt: Prompt) -> Fault | None:
        return explain_bfcl(calls, accepted_of(prompt), prompt.tools)

    def _forgiven(self, calls: Sequence[ToolCall], prompt: Prompt) -> bool:
        return False  # its own leniency is in the rules

    def _says_right(self, prompt: Prompt, text: str) -> bool:
        found = find_calls(text)
        return found is not None and bfcl_accepts(found, accepted_of(prompt), prompt.tools)


@dataclass(frozen=True, slots=True)
class PaperMode:
    """Form and equality of Tool-N1. The form is right with both think tags somewhere and a last block of well-formed calls."""

    def find(self, prompt: Prompt, text: str) -> Findings:
        """Read `text` and compare it with what `prompt` asks for."""
        parsed = parse_paper(text)
        fault = parsed if isinstance(parsed, Fault) else explain_paper(parsed, prompt.reference)
        if fault is None:
            return RIGHT
        content = content_right(find_calls(text), prompt.reference, prompt.tools)
        return Findings(not isinstance(parsed, Fault), fault, content, partial(self._block, prompt, text))

    def _block(self, prompt: Prompt, text: str) -> Block:
        calls = parse_paper(text, tags=False)
        if isinstance(calls, Fault):
            return NO_BLOCK
        match = explain_paper(calls, prompt.reference) is None
        return Block(match, match or _loose_names_right(calls, prompt))


def only_block(text: str) -> tuple[ToolCall, ...] | None:
    """Return the calls of the one block outside the reasoning; None where there is none, or several, or it cannot be read."""
    found = find_block(text)
    return None if found is None else found.calls


@dataclass(frozen=True, slots=True)
class FoundBlock:
    """The calls of a block, which stands at `start` to `end` of a text, its tags included."""

    calls: tuple[ToolCall, ...]
    start: int
    end: int


def find_block(text: str) -> FoundBlock | None:
    """Return the block that `only_block` reads."""
    if len(text) > MAX_CHARS:
        return None
    found, position = None, 0
    while (tag := _OPENS.search(text, position)) is not None:
        if tag[0] == THINK:
            position = text.find(END_THINK, tag.end()) + len(END_THINK)
            if position < len(END_THINK):  # not closed: the rest is reasoning
                return found
            continue
        read = _read_block(text, tag.end()) if found is None else None
        if read is None:
            return None
        found = FoundBlock(read[0], tag.start(), read[1])
        position = found.end
    return found


def _read_block(text: str, start: int) -> tuple[tuple[ToolCall, ...], int] | None:
    """Return the calls of the block whose content begins at `start`, and where it ends."""
    try:
        value, end = scan(text, skip_space(text, start))
    except JsonError:
        return None
    end = skip_space(text, end)
    read = read_list(value)
    return (read.calls, end + len(END_CALL)) if isinstance(read, Calls) and text.startswith(END_CALL, end) else None


def _wrong_calls(calls: Sequence[ToolCall], prompt: Prompt) -> Block:
    return Block(match=False, names=_names_right(calls, prompt))


def _names_right(calls: Sequence[ToolCall], prompt: Prompt) -> bool:
    return Counter(call.name for call in calls) == Counter(call.name for call in prompt.reference)


def _loose_names_right(calls: Sequence[LooseCall], prompt: Prompt) -> bool:
    return Counter(canonical(call.name) for call in calls) == Counter(canonical(call.name) for call in prompt.reference)
