"""Completions whose verdict is known before a run: the reference must score full marks, and none of the others may.

A probe that could be right after all (shuffling equal values, a neighbour with the same reference) is not made: it is
compared with what is accepted here, by a coarse equality of its own that forgives all that any mode forgives, so that a
wrong matcher cannot hide its own faults.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from toolrl.calls.render import render_calls, render_completion
from toolrl.calls.schema import ABSENT, Place, arguments_of
from toolrl.types import AcceptedCall, Json, Prompt, Tool, ToolCall

THINK = "The request names what is needed."
PLAIN_ANSWER = f"<think>\n{THINK}\n</think>\nNone of the tools fits this request."
INSIDE_THINK = "reference inside think"
_NUMBER = re.compile(r"[+-]?\d{1,300}(?:\.\d{1,300})?(?:[eE][+-]?\d{1,3})?")
_FORGIVEN = re.compile(r"[\s,./\-_*^'\"]")


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
    """Whether no mode can take `calls` for the reference of `prompt`, or for what else it accepts."""
    reference = [AcceptedCall(call.name, {key: (value,) for key, value in call.arguments.items()}) for call in prompt.reference]
    return not (_could_pair(calls, reference, prompt.tools) or (prompt.accepted and _could_pair(calls, prompt.accepted, prompt.tools)))


def _could_pair(calls: Sequence[ToolCall], accepted: Sequence[AcceptedCall], tools: Sequence[Tool]) -> bool:
    """Whether there are as many calls as are accepted, and each on either side could have a partner."""
    fits = [[_could_fit(call, each, arguments_of(tools, each.name)) for each in accepted] for call in calls]
    return len(calls) == len(accepted) and all(map(any, fits)) and all(map(any, zip(*fits, strict=True)))


def _could_fit(call: ToolCall, accepted: AcceptedCall, place: Place) -> bool:
    defaults = {key: place.default(key) for key in {*call.arguments, *accepted.values}}
    wanted = {key: _with_left_out(accepted.values.get(key, (default,)), default) for key, default in defaults.items()}
    given = (_could_be_one_of(value, wanted[key]) for key, value in call.arguments.items())
    may_go = ("" in wanted[key] for key in accepted.values if key not in call.arguments)
    return _level(call.name) == _level(accepted.name) and all(given) and all(may_go)


def _with_left_out(values: Sequence[Json], default: Json) -> Sequence[Json]:
    """Return what is accepted of an argument, with BFCL's `""` where it may be left out: then giving `""` is accepted too."""
    return (*values, "") if default is not ABSENT and _could_be_one_of(default, values) else values


def _could_be_one_of(value: Json, accepted: Sequence[Json]) -> bool:
    return any(_could_be(value, each) for each in accepted)


def _could_be(value: Json, accepted: Json) -> bool:
    """Whether some mode may take two values to be equal; a list in an accepted object may list what is accepted of a member."""
    if isinstance(value, Mapping) and isinstance(accepted, Mapping):
        return all(key in accepted and _could_be_member(item, accepted[key]) for key, item in value.items())
    if isinstance(value, list | tuple) and isinstance(accepted, list | tuple):
        return len(value) == len(accepted) and all(map(_could_be, value, accepted))
    return _level(value) == _level(accepted)


def _could_be_member(value: Json, accepted: Json) -> bool:
    return _could_be(value, accepted) or (isinstance(accepted, list | tuple) and _could_be_one_of(value, accepted))


def _level(value: Json) -> str:
    """Return a value without what a mode may forgive: fractions, numbers in quotes, case, punctuation, Unicode form."""
    if value is ABSENT:
        return "\0"
    if isinstance(value, str) and not _NUMBER.fullmatch(value):
        return _FORGIVEN.sub("", unicodedata.normalize("NFC", value)).lower()
    if isinstance(value, list | tuple | Mapping):
        return repr(value) if value else ""  # BFCL's rules read a text as a list, and no members as no items
    if value is None:
        return "None"
    return str(Decimal(str(int(value) if isinstance(value, bool) else value)).normalize())
