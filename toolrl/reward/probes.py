"""Completions whose verdict is known before a run: the reference must score 1, and none of the others may.

A probe that would be right after all (shuffling equal values, a neighbour with the same reference) is not made: it is
compared with the reference here, by a coarse equality of its own, so that a wrong matcher cannot hide its own faults.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from toolrl.calls.render import render_calls, render_completion, to_json
from toolrl.calls.schema import ABSENT, arguments_of
from toolrl.types import Json, Prompt, Tool, ToolCall

THINK = "The request names what is needed."
PLAIN_ANSWER = f"<think>\n{THINK}\n</think>\nNone of the tools fits this request."
INSIDE_THINK = "reference inside think"


def right_answers(prompt: Prompt) -> tuple[str, ...]:
    """Return the reference as completions, of which one must score 1; an empty one can be a list or a plain answer."""
    listed = render_completion(prompt.reference, THINK)
    return (listed,) if prompt.reference else (listed, PLAIN_ANSWER)


def wrong_answers(prompt: Prompt, others: Sequence[Prompt]) -> Iterator[tuple[str, str]]:
    """Yield (name of the probe, completion) for every probe that is wrong for `prompt`."""
    yield "empty text", ""
    yield "the prompt's own text", "\n".join(message.content for message in prompt.messages)
    yield INSIDE_THINK, f"<think>\n{THINK}\n{render_calls(prompt.reference)}\n</think>"
    for name, make in _CALLS.items():
        calls = make(prompt, others)
        if calls is not None:
            yield name, render_completion(calls, THINK)


def _every_tool(prompt: Prompt, others: Sequence[Prompt]) -> tuple[ToolCall, ...] | None:
    named = {call.name for call in prompt.reference}
    more = tuple(ToolCall(tool.name, {}) for tool in prompt.tools if tool.name not in named)
    return (*prompt.reference, *more) if more else None


def _shuffled(prompt: Prompt, others: Sequence[Prompt]) -> tuple[ToolCall, ...] | None:
    """Rotate the values of the first call that they change, the names of the arguments staying where they are."""
    for index, call in enumerate(prompt.reference):
        values = list(call.arguments.values())
        rotated = replace(call, arguments=dict(zip(call.arguments, values[1:] + values[:1], strict=True)))
        calls = (*prompt.reference[:index], rotated, *prompt.reference[index + 1 :])
        if _differs(calls, prompt):
            return calls
    return None


def _of_another(prompt: Prompt, others: Sequence[Prompt]) -> tuple[ToolCall, ...] | None:
    return next((other.reference for other in others if _differs(other.reference, prompt)), None)


_CALLS: Mapping[str, Callable[[Prompt, Sequence[Prompt]], tuple[ToolCall, ...] | None]] = {
    "every tool called": _every_tool,
    "shuffled arguments": _shuffled,
    "another row's reference": _of_another,
}


def _differs(calls: Sequence[ToolCall], prompt: Prompt) -> bool:
    return _coarse(calls, prompt.tools) != _coarse(prompt.reference, prompt.tools)


def _coarse(calls: Sequence[ToolCall], tools: Sequence[Tool]) -> list[str]:
    """Return calls as texts that are equal wherever any mode could take the calls to be equal."""
    found = []
    for call in calls:
        place = arguments_of(tools, call.name)
        given = {k: _levelled(v) for k, v in call.arguments.items() if _levelled(v) != _levelled(place.default(k))}
        found.append(to_json([call.name, sorted(given.items())]))
    return sorted(found)


def _levelled(value: Json) -> Json:
    """Return a value without the differences that a mode may forgive: number against integer, Unicode form, key order."""
    if value is ABSENT or value is None or isinstance(value, bool):
        return repr(value)
    if isinstance(value, int | float | Decimal):
        return str(Decimal(str(value)).normalize())
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value)
    if isinstance(value, Mapping):
        return sorted([key, _levelled(item)] for key, item in value.items())
    return [_levelled(item) for item in value]
