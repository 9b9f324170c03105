"""The strict form: model output -> calls, a plain answer, or the first rule it breaks. Total: no text raises.

    white space <think> reasoning </think> white space <tool_call> [{"name": …, "arguments": {…}}, …] </tool_call> white space

The text is read from left to right, and the fault is the first thing that departs from this line. Where tags are data:
- The block is read as JSON from its opening tag on, so any tag inside a JSON string belongs to the string.
- The reasoning ends at its first `</think>`. It may mention one `<tool_call>` or `</tool_call>`; an opening tag that is
  closed inside the reasoning is a block inside it.
- A text with no tag after the reasoning is a plain answer; whether that is right depends on the prompt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from toolrl.calls.fault import Fault, describe, shown
from toolrl.calls.jsontext import MAX_CHARS, JsonError, decode, scan, skip_space
from toolrl.types import Json, Reason, ToolCall

THINK, END_THINK, CALL, END_CALL = "<think>", "</think>", "<tool_call>", "</tool_call>"
FENCE = "```"
MAX_CALLS = 128
"""Most calls one answer may make."""

_OPENING = re.compile(rf"\s*{THINK}")
_SPACE = re.compile(r"\s*")
_TAG = re.compile(r"</?(?:think|tool_call)>")


@dataclass(frozen=True, slots=True)
class Calls:
    """A well-formed completion that makes these calls, or none where the list is empty."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """A completion that reasons and then answers in plain text, without any tag; the text may be blank."""

    text: str


def parse(text: str) -> Calls | Answer | Fault:
    """Read a completion by the strict form."""
    if len(text) > MAX_CHARS:
        return too_long(text)
    opening = _OPENING.match(text)
    if opening is None:
        return _before_think(text)
    end = text.find(END_THINK, opening.end())
    if end < 0:
        return Fault(Reason.UNCLOSED_THINK, expected=END_THINK)
    thought = text[opening.end() : end]
    return _thought_fault(thought) or _after_think(text, end + len(END_THINK), thought)


def without_think(text: str) -> str:
    """Return what stands behind the reasoning; a text that does not begin with reasoning, or does not end it, stays as it is."""
    opening = _OPENING.match(text)
    end = text.find(END_THINK, opening.end()) if opening else -1
    return text if end < 0 else text[_skip(text, end + len(END_THINK)) :]


def too_long(text: str) -> Fault:
    """Return the fault of a text beyond the cap on size."""
    return Fault(Reason.TOO_LARGE, expected=f"at most {MAX_CHARS} characters", got=f"{len(text)} characters")


def _before_think(text: str) -> Fault:
    """Explain a text that does not begin with the reasoning."""
    tag = _TAG.search(text)
    if tag is None or tag[0] == END_CALL:
        return Fault(Reason.NO_THINK, expected=THINK, got=shown(text))
    if tag[0] == THINK:
        return _prose(text[: tag.start()])
    end = _end_of_value(text, tag.end()) if tag[0] == CALL else tag.end()
    if THINK in text[end:]:
        return Fault(Reason.REVERSED_TAGS, expected=THINK, got=tag[0])
    return Fault(Reason.NO_THINK, expected=THINK, got=tag[0])


def _thought_fault(thought: str) -> Fault | None:
    if not thought or thought.isspace():
        return Fault(Reason.EMPTY_THINK, expected="reasoning")
    if "<" not in thought:
        return None
    if THINK in thought:
        return Fault(Reason.MULTIPLE_THINK, expected=END_THINK, got=THINK)
    if (opened := thought.find(CALL)) >= 0 and thought.find(END_CALL, opened) >= 0:
        return Fault(Reason.CALL_INSIDE_THINK, expected=f"{END_THINK} before {CALL}")
    return None


def _after_think(text: str, start: int, thought: str) -> Calls | Answer | Fault:
    start = _skip(text, start)
    if text.startswith(CALL, start):
        return _block(text, start + len(CALL))
    tag = _TAG.search(text, start)
    if tag is None:
        return Answer(text[start:])
    if tag[0] == CALL:
        return _prose(text[start : tag.start()])
    if tag[0] == END_CALL:  # closed here: it was opened in the reasoning, or nowhere
        return Fault(Reason.CALL_INSIDE_THINK if CALL in thought else Reason.NO_TOOL_CALL, expected=CALL, got=END_CALL)
    return Fault(Reason.MULTIPLE_THINK, expected=CALL, got=tag[0])


def _block(text: str, start: int) -> Calls | Fault:
    """Read the block whose content begins at `start`, and what follows it."""
    try:
        value, end = scan(text, skip_space(text, start))
    except JsonError as problem:
        return _broken_block(text, start, problem)
    close = skip_space(text, end)
    if not text.startswith(END_CALL, close):
        if text.find(END_CALL, close) < 0:
            return Fault(Reason.UNCLOSED_TOOL_CALL, expected=END_CALL, got=shown(text[close:]))
        return Fault(Reason.INVALID_JSON, expected=f"one JSON list, then {END_CALL}", got=shown(text[close:]))
    tail = _skip(text, close + len(END_CALL))
    return _tail_fault(text, tail) if tail < len(text) else read_list(value)


def _broken_block(text: str, start: int, problem: JsonError) -> Fault:
    end = text.find(END_CALL, start)
    if problem.reason is Reason.INVALID_JSON:
        if end < 0:
            return Fault(Reason.UNCLOSED_TOOL_CALL, expected=END_CALL, got=shown(text[start:]))
        if text.startswith(FENCE, _skip(text, start)):
            return Fault(Reason.CODE_FENCE, expected="a JSON list", got=shown(text[start:end].strip()))
    return Fault(problem.reason, expected="a JSON list of calls", got=shown(problem.detail))


def _tail_fault(text: str, start: int) -> Fault:
    """Explain what follows the block."""
    tag = _TAG.search(text, start)
    if tag is not None and tag[0] == CALL:
        return Fault(Reason.MULTIPLE_TOOL_CALL, expected="one block", got=shown(text[start:]))
    if tag is not None and tag[0] != END_CALL:
        return Fault(Reason.MULTIPLE_THINK, expected="reasoning only at the beginning", got=shown(text[start:]))
    return _prose(text[start:])


def _prose(prose: str) -> Fault:
    """Explain text where only white space may stand."""
    reason = Reason.CODE_FENCE if prose.lstrip().startswith(FENCE) else Reason.TEXT_OUTSIDE
    return Fault(reason, expected="only white space around the two parts", got=shown(prose.strip()))


def read_list(value: Json) -> Calls | Fault:
    """Turn the value of a block into calls: a list of objects with exactly `name` and `arguments`."""
    if not isinstance(value, list):
        reason = Reason.DOUBLE_ENCODED if _is_encoded(value) else Reason.NOT_A_LIST
        return Fault(reason, expected="a JSON list of calls", got=describe(value))
    if len(value) > MAX_CALLS:
        return Fault(Reason.TOO_LARGE, expected=f"at most {MAX_CALLS} calls", got=f"{len(value)} calls")
    for index, item in enumerate(value):
        if (fault := _call_fault(item)) is not None:
            return fault.under(f"[{index}]")
    return Calls(tuple(ToolCall(item["name"], item["arguments"]) for item in value))


def _call_fault(item: Json) -> Fault | None:
    if not isinstance(item, dict):
        reason = Reason.DOUBLE_ENCODED if _is_encoded(item) else Reason.MALFORMED_CALL
        return Fault(reason, expected="an object with name and arguments", got=describe(item))
    if len(item) != 2 or "name" not in item or "arguments" not in item:
        return Fault(Reason.MALFORMED_CALL, expected="exactly the keys name and arguments", got=describe(list(item)))
    if not isinstance(item["name"], str):
        return Fault(Reason.MALFORMED_CALL, ".name", "text", describe(item["name"]))
    if not isinstance(arguments := item["arguments"], dict):
        reason = Reason.DOUBLE_ENCODED if _is_encoded(arguments) else Reason.MALFORMED_CALL
        return Fault(reason, ".arguments", "an object", describe(arguments))
    return None


def _is_encoded(value: Json) -> bool:
    """Whether a value is text that holds a JSON list or object."""
    if not isinstance(value, str):
        return False
    try:
        return isinstance(decode(value), list | dict)
    except JsonError:
        return False


def _end_of_value(text: str, start: int) -> int:
    """Return where the JSON value at `start` ends, or `start` where there is none."""
    try:
        return scan(text, skip_space(text, start))[1]
    except JsonError:
        return start


def _skip(text: str, start: int) -> int:
    found = _SPACE.match(text, start)
    assert found is not None  # the pattern matches the empty string
    return found.end()
