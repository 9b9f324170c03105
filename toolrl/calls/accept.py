"""Strict equality with a reference of which several values are right, and the explanation of every difference.

    AcceptedCall("book", {"city": ("NYC", "New York"), "days": (3, "")})      `""`: may be left out

Each value is compared as `match` compares. An object among the accepted values whose members are all lists states what is
accepted of each member, in the same way (BFCL's convention); so does each such object in a list. Deeper values are values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from toolrl.calls.assign import match_calls
from toolrl.calls.bfcl.values import LEFT_OUT, told
from toolrl.calls.fault import Difference, Fault, describe, step
from toolrl.calls.latest import kept
from toolrl.calls.match import differences, equal, explain, kind_of, same_text
from toolrl.calls.schema import ABSENT, Place, arguments_of
from toolrl.types import AcceptedCall, Json, Prompt, Reason, Tool, ToolCall


def explain_strict(predicted: Sequence[ToolCall], prompt: Prompt) -> Fault | None:
    """Return None where `predicted` is the reference of `prompt` or takes its accepted values, else the first thing wrong with it."""
    if not prompt.accepted:
        return explain(predicted, prompt.reference, prompt.tools)
    fault = explain_accepted(predicted, prompt.accepted, prompt.tools)
    if fault is None or equal(predicted, prompt.reference, prompt.tools):  # BFCL's label may forget to accept its own answer
        return None
    return fault


def explain_accepted(predicted: Sequence[ToolCall], accepted: Sequence[AcceptedCall], tools: Sequence[Tool]) -> Fault | None:
    """Return None where `predicted` can be paired with `accepted`, each call right, else the first thing that is wrong with it."""
    if not accepted and predicted:
        return Fault(Reason.UNEXPECTED_CALL, "[0]", "no call", describe(predicted[0].name))
    return match_calls(predicted, _targets(accepted, tools), _differ)


@kept
def _targets(accepted: Sequence[AcceptedCall], tools: Sequence[Tool]) -> list[tuple[AcceptedCall, Place]]:
    return [(call, arguments_of(tools, call.name)) for call in accepted]


def _differ(predicted: ToolCall, target: tuple[AcceptedCall, Place]) -> Iterator[Difference]:
    return accepted_differences(predicted, *target)


def accepted_differences(predicted: ToolCall, accepted: AcceptedCall, place: Place) -> Iterator[Difference]:
    """Yield the ways in which a call differs from all that is accepted; `place` is that of its arguments."""
    if not same_text(predicted.name, accepted.name):
        yield Difference(Reason.WRONG_NAME, ".name", accepted.name, predicted.name)
    yield from _members(predicted.arguments, accepted.values, place, ".arguments")


def _members(got: Mapping[str, Json], accepted: Mapping[str, Sequence[Json]], place: Place, path: str) -> Iterator[Difference]:
    for key, values in accepted.items():
        if key in got:
            yield from _among(got[key], values, place.member(key), path + step(key))
        elif LEFT_OUT not in values and not any(_fits(default, values, place.member(key)) for default in _defaults(place, key)):
            yield Difference(Reason.MISSING_ARGUMENT, path + step(key), told(values), ABSENT)
    for key, have in got.items():
        if key not in accepted and not _fits(have, _defaults(place, key), place.member(key)):
            yield Difference(Reason.UNEXPECTED_ARGUMENT, path + step(key), ABSENT, have)


def _defaults(place: Place, key: str) -> tuple[Json, ...]:
    """Return the default stated for `key`, if there is one."""
    default = place.default(key)
    return () if default is ABSENT else (default,)


def _among(got: Json, values: Sequence[Json], place: Place, path: str) -> Iterator[Difference]:
    """Yield the differences from the only value, or one from all of several."""
    if len(values) == 1:
        yield from _differences(got, values[0], place, path)
    elif not _fits(got, values, place):
        same_kind = any(kind_of(value) == kind_of(got) for value in values)
        yield Difference(Reason.WRONG_VALUE if same_kind else Reason.WRONG_TYPE, path, told(values), got)


def _fits(got: Json, values: Sequence[Json], place: Place) -> bool:
    return any(next(_differences(got, value, place, ""), None) is None for value in values)


def _differences(got: Json, value: Json, place: Place, path: str) -> Iterator[Difference]:
    if _states_members(value) and kind_of(got) == "object":
        yield from _members(got, value, place, path)
    elif _holds_statements(value) and kind_of(got) == "array" and len(got) == len(value):
        for index, (have, want) in enumerate(zip(got, value, strict=True)):
            yield from _differences(have, want, place.item(index), f"{path}[{index}]")
    else:
        yield from differences(got, value, place, path)


def _states_members(value: Json) -> bool:
    return isinstance(value, Mapping) and bool(value) and all(isinstance(member, list | tuple) for member in value.values())


def _holds_statements(value: Json) -> bool:
    return isinstance(value, list | tuple) and any(map(_states_members, value))
