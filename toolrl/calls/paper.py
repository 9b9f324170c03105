"""The rules of Tool-N1, surprising verdicts included, without its crashes.

Source: arXiv 2505.00024, section 3, and the reward published with it (binary variant).

    text after the last assistant header ─> last <tool_call> block ─> JSON (a string is read once more, an object wrapped)
    ─> both think tags somewhere ─> objects with name and arguments ─> equal as multisets of (name, canonical JSON)

Values are read as Python's `json` reads them: numbers through float, NaN allowed, the last of repeated keys wins.
Nothing is normalised: 1, 1.0, "1" and true all differ. What crashes there is a fault here, and the caps of `jsontext`
hold: beyond them the paper's verdict is not reproduced.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from toolrl.calls.assign import match_calls
from toolrl.calls.fault import Difference, Fault, describe, shown, step
from toolrl.calls.jsontext import MAX_CHARS, PYTHON, JsonError, decode
from toolrl.calls.latest import kept
from toolrl.calls.parse import CALL, END_CALL, END_THINK, MAX_CALLS, THINK, too_long
from toolrl.calls.schema import ABSENT
from toolrl.types import Json, Reason, ToolCall

HEADER = "<|im_start|>assistant"
"""The assistant header of the chat template; what stands before its last occurrence is forgotten."""


@dataclass(frozen=True, slots=True)
class LooseCall:
    """A call as the paper compares it: name and arguments may be any JSON value."""

    name: Json
    arguments: Json


def parse_paper(text: str, *, tags: bool = True) -> tuple[LooseCall, ...] | Fault:
    """Read a completion by the paper's rules; `tags`: whether the think tags must be there."""
    if len(text) > MAX_CHARS:
        return too_long(text)
    text = text[max(text.rfind(HEADER), 0) :]
    block = _last_block(text)
    if block is None:
        return Fault(Reason.NO_TOOL_CALL, expected=f"{CALL} … {END_CALL}")
    try:
        value = decode(block.strip(), PYTHON)
        if isinstance(value, str):
            value = decode(value, PYTHON)
    except JsonError as problem:
        return Fault(problem.reason, expected="JSON", got=shown(problem.detail))
    for tag, reason in ((THINK, Reason.NO_THINK), (END_THINK, Reason.UNCLOSED_THINK)):
        if tags and tag not in text:
            return Fault(reason, expected=tag)
    return _read(value)


def explain_paper(predicted: Sequence[LooseCall], reference: Sequence[ToolCall]) -> Fault | None:
    """Return None where the calls are equal as multisets of (name, canonical JSON), else what is wrong."""
    got, wanted = _keyed(predicted), _wanted(reference)
    if sorted(key for key, _ in got) == sorted(key for key, _ in wanted):
        return None
    if not wanted:
        return Fault(Reason.UNEXPECTED_CALL, "[0]", "no call", describe(predicted[0].name))
    return match_calls(got, wanted, lambda a, b: _differences(a[1], b[1]), lambda a, b: a[0] == b[0])


@kept
def _wanted(reference: Sequence[ToolCall]) -> list[tuple[str, LooseCall]]:
    return _keyed([LooseCall(call.name, call.arguments) for call in reference])


def _keyed(calls: Sequence[LooseCall]) -> list[tuple[str, LooseCall]]:
    """Return each call with what the paper compares: name and arguments as one text."""
    return [(canonical([call.name, call.arguments]), call) for call in calls]


def canonical(value: Json) -> str:
    """Return a value as the JSON text the paper compares: keys sorted, fractions through float."""
    return _CANONICAL.encode(value)


def _plain(value: object) -> Json:
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} is not a JSON value")


_PLAIN = frozenset((str, int, bool, type(None)))
"""Types whose equal values have equal texts: 0.0 and -0.0 have not."""
_CANONICAL = json.JSONEncoder(sort_keys=True, default=_plain)


def _last_block(text: str) -> str | None:
    """Return the last non-overlapping `<tool_call>(.*?)</tool_call>`, in linear time whatever the tags."""
    block, position = None, 0
    while (start := text.find(CALL, position)) >= 0 and (end := text.find(END_CALL, start)) >= 0:
        block, position = text[start + len(CALL) : end], end + len(END_CALL)
    return block


def _read(value: Json) -> tuple[LooseCall, ...] | Fault:
    if not isinstance(value, dict | list | str):
        return Fault(Reason.NOT_A_LIST, expected="a list of calls", got=describe(value))
    items: list[Any] = [value] if isinstance(value, dict) else list(value)  # the characters of a string are no calls
    if len(items) > MAX_CALLS:
        return Fault(Reason.TOO_LARGE, expected=f"at most {MAX_CALLS} calls", got=f"{len(items)} calls")
    for index, item in enumerate(items):
        if not isinstance(item, dict) or "name" not in item or "arguments" not in item:
            return Fault(Reason.MALFORMED_CALL, f"[{index}]", "an object with name and arguments", describe(item))
    return tuple(LooseCall(item["name"], item["arguments"]) for item in items)


def _differences(predicted: LooseCall, reference: LooseCall) -> Iterator[Difference]:
    """Yield the differences of two calls, argument by argument."""
    if predicted.name != reference.name:
        yield Difference(Reason.WRONG_NAME, ".name", reference.name, predicted.name)
    got, expected = predicted.arguments, reference.arguments
    if not isinstance(got, dict):
        yield Difference(Reason.WRONG_TYPE, ".arguments", expected, got)
        return
    for key, want in expected.items():
        path = f".arguments{step(key)}"
        if key not in got:
            yield Difference(Reason.MISSING_ARGUMENT, path, want, ABSENT)
        elif not _same(got[key], want):
            reason = Reason.WRONG_VALUE if _json_type(got[key]) is _json_type(want) else Reason.WRONG_TYPE
            yield Difference(reason, path, want, got[key])
    for key in got:
        if key not in expected:
            yield Difference(Reason.UNEXPECTED_ARGUMENT, f".arguments{step(key)}", ABSENT, got[key])


def _same(got: Json, want: Json) -> bool:
    """Whether two values have the same canonical text."""
    if type(got) is type(want) and type(got) in _PLAIN and got == want:
        return True
    return canonical(got) == canonical(want)


def _json_type(value: Json) -> type:
    """Return the type Python's `json` would have given a value."""
    return type(_plain(value) if isinstance(value, Decimal | Mapping) else value)
