"""Calls against accepted calls by BFCL's rules, and the explanation of the first thing that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from toolrl.calls.assign import all_fit, match_calls
from toolrl.calls.bfcl.declared import LANGUAGE, Declared, Literal, declared
from toolrl.calls.bfcl.values import LEFT_OUT, InWords, as_loaded, difference, told
from toolrl.calls.fault import Difference, Fault, describe, step
from toolrl.calls.jsontext import MAX_DEPTH
from toolrl.calls.latest import kept
from toolrl.calls.schema import ABSENT
from toolrl.types import AcceptedCall, Json, Reason, Tool, ToolCall

_NOTHING: Mapping[str, Any] = {}


def explain_bfcl(predicted: Sequence[ToolCall], accepted: Sequence[AcceptedCall], tools: Sequence[Tool]) -> Fault | None:
    """Return None where BFCL's checker accepts `predicted`, in whatever order, else the first thing that is wrong with it.

    Types are read from `x_type` where the schema has it, else from `type`, and the language from the parameters' `x_language`.
    """
    if not accepted and predicted:
        return Fault(Reason.UNEXPECTED_CALL, "[0]", "no call", describe(predicted[0].name))
    return match_calls(predicted, _targets(accepted, tools), _differ)


def bfcl_accepts(predicted: Sequence[ToolCall], accepted: Sequence[AcceptedCall], tools: Sequence[Tool]) -> bool:
    """Whether BFCL's checker accepts `predicted`: the same without an explanation, which costs more than the verdict."""
    return all_fit(predicted, _targets(accepted, tools), lambda call, target: next(_differ(call, target), None) is None)


class _Wanted(NamedTuple):
    """The declared type of an argument, and its accepted values as loaded."""

    declared: Declared
    answers: Sequence[Json] | None
    """None where they cannot be compared with."""


class _Target(NamedTuple):
    """An accepted call and the schema of its arguments."""

    name: str
    values: Mapping[str, Sequence[Json]]
    wanted: Mapping[str, _Wanted]
    """What is asked of those arguments that have both accepted values and a schema."""
    required: Sequence[str]


@kept
def _targets(accepted: Sequence[AcceptedCall], tools: Sequence[Tool]) -> list[_Target]:
    return [_target(call, tools) for call in accepted]


def _target(call: AcceptedCall, tools: Sequence[Tool]) -> _Target:
    for tool in tools:
        if tool.name == call.name:
            properties, required = tool.parameters.get("properties"), tool.parameters.get("required")
            language = tool.parameters.get(LANGUAGE)
            schemas = properties if isinstance(properties, Mapping) else _NOTHING
            return _Target(
                call.name,
                call.values,
                {key: _Wanted(declared(schemas[key], language), _loaded(call.values[key])) for key in call.values if key in schemas},
                [key for key in required if isinstance(key, str)] if isinstance(required, list | tuple) else (),
            )
    return _Target(call.name, call.values, _NOTHING, ())


def _loaded(answers: Sequence[Json]) -> Sequence[Json] | None:
    try:
        return [as_loaded(answer) for answer in answers]
    except ValueError:
        return None


def _differ(predicted: ToolCall, target: _Target) -> Iterator[Difference]:
    """Yield the ways in which a call differs from an accepted one."""
    name, values, wanted, required = target
    arguments = predicted.arguments
    if predicted.name != name:
        yield Difference(Reason.WRONG_NAME, ".name", name, predicted.name)
    for key, value in arguments.items():
        if key not in wanted:
            yield Difference(Reason.UNEXPECTED_ARGUMENT, ".arguments" + step(key), ABSENT, value)
        elif (found := _argument(value, wanted[key], values[key])) is not None:
            yield found.under(".arguments" + step(key))
    for key in required:
        if key not in arguments:
            yield Difference(Reason.MISSING_ARGUMENT, ".arguments" + step(key), told(values.get(key, ())), ABSENT)
    for key, answers in values.items():
        if key not in arguments and LEFT_OUT not in answers and key not in required:
            yield Difference(Reason.MISSING_ARGUMENT, ".arguments" + step(key), told(answers), ABSENT)


def _argument(value: Json, wanted: _Wanted, stated: Sequence[Json]) -> Difference | None:
    """Return what is wrong with the value of one argument, or None."""
    declared, answers = wanted
    try:
        if answers is None:
            raise ValueError(f"an accepted value nested deeper than {MAX_DEPTH}")
        if declared.literal is not None:
            return _literal(value, answers, declared, declared.literal)
        if declared.outer is float and type(value) is int:
            value = float(value)
        return difference(as_loaded(value), answers, declared)
    except (ValueError, OverflowError) as problem:
        return Difference(Reason.WRONG_VALUE, "", told(stated), InWords(f"what cannot be compared: {problem}"))


def _literal(value: Json, answers: Sequence[Json], wanted: Declared, literal: Literal) -> Difference | None:
    """Return what is wrong with a value that must be given as text of another language."""
    if type(value) is not str:
        return Difference(Reason.WRONG_TYPE, "", InWords(f"a {literal.language} {literal.word} as text"), value)
    found = difference(literal.read(value, literal.word, literal.items), answers, wanted)
    if found is None or found.path:
        return found
    return found._replace(got=value)
