"""The one reading of a completion in evaluation, for our rules and the official ones alike.

    text ─> the calls of its only `<tool_call>` block outside the reasoning, or the Fault why there are none to read
         └> whether it also has the strict form: reasoning, then a block of calls or a plain answer, and nothing else

A model need not reason to be scored: the block counts whatever stands around it, and the form is reported beside the score.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from toolrl.calls.fault import Fault
from toolrl.calls.jsontext import MAX_CHARS
from toolrl.calls.lenient import content_right, find_calls
from toolrl.calls.parse import CALL, END_THINK, THINK, parse, too_long
from toolrl.reward.modes import only_block
from toolrl.types import Prompt, Reason, ToolCall, Verdict

_ANY_REASONING = f"{THINK}.{END_THINK}"
_OPENS = re.compile(f"{THINK}|{CALL}")


def read_calls(text: str) -> tuple[ToolCall, ...] | Fault:
    """Return the calls of the only block outside the reasoning, none where its list is empty; a Fault where none can be read.

    Without any block the reason is NO_TOOL_CALL, or UNCLOSED_THINK where the reasoning swallows the rest.
    """
    calls = only_block(text)
    return _fault(text) if calls is None else calls


def form_right(text: str) -> bool:
    """Whether a completion has the strict form."""
    return not isinstance(parse(text), Fault)


def judged(prompt: Prompt, text: str, explain: Callable[[Sequence[ToolCall]], Fault | None]) -> Verdict:
    """Return the verdict on a completion: 1 where `explain` finds no fault in its calls, else 0 and the first fault."""
    calls = read_calls(text)
    fault = calls if isinstance(calls, Fault) else explain(calls)
    if fault is None:
        return Verdict(1.0, Reason.CORRECT, format_right=form_right(text), content_right=True)
    found = find_calls(text)
    content = content_right(found, prompt.reference, prompt.tools) or (found is not None and explain(found) is None)
    return Verdict(0.0, fault.reason, fault.path, fault.expected, fault.got, form_right(text), content)


def _fault(text: str) -> Fault:
    """Explain a text of which `only_block` reads no calls."""
    if len(text) > MAX_CHARS:
        return too_long(text)
    start = _block_start(text)
    if start is None:
        return Fault(Reason.NO_TOOL_CALL, expected=CALL)
    if start < 0:
        return Fault(Reason.UNCLOSED_THINK, expected=END_THINK)
    parsed = parse(_ANY_REASONING + text[start:])
    assert isinstance(parsed, Fault)  # `only_block` reads whatever the strict form does
    return parsed


def _block_start(text: str) -> int | None:
    """Return where the first block outside the reasoning begins; None where there is none, -1 where reasoning takes all that is left."""
    position = 0
    while (tag := _OPENS.search(text, position)) is not None:
        if tag[0] == CALL:
            return tag.start()
        end = text.find(END_THINK, tag.end())
        if end < 0:
            return -1
        position = end + len(END_THINK)
    return None
