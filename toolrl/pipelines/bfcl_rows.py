"""A row in BFCL's own forms -> the official verdict on its calls, by the category it names (`evaluation.bfcl.categories`)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from toolrl.calls.fault import Fault, describe, shown
from toolrl.calls.parse import CALL, Answer, parse
from toolrl.data.history import read_accepted
from toolrl.data.schemas import ORIGIN_LANGUAGE, read_tools
from toolrl.errors import DataError
from toolrl.evaluation.bfcl.categories import AST, LANGUAGES, SPELLINGS
from toolrl.evaluation.bfcl.rules import explain
from toolrl.types import AcceptedCall, Json, Reason, Tool, ToolCall, Verdict

FIELDS = "id, category, function, ground_truth and calls (or text)"


@dataclass(frozen=True, slots=True)
class BfclRow:
    """A question, its answers, and what a model made of it."""

    category: str
    tools: tuple[Tool, ...]
    accepted: tuple[AcceptedCall, ...]
    given: tuple[ToolCall, ...] | Fault
    """The calls, or why none can be read."""


def bfcl_verdict(row: BfclRow) -> Verdict:
    """Return the official verdict, but for the order of calls, which never matters here."""
    fault = explain(row.category, row.given, row.accepted, row.tools)
    form = not isinstance(row.given, Fault)
    if fault is None:
        return Verdict(1.0, Reason.CORRECT, format_right=form, content_right=True, bfcl_right=True)
    return Verdict(0.0, fault.reason, fault.path, fault.expected, fault.got, format_right=form, bfcl_right=False)


def read_bfcl_row(row: Mapping[str, Any]) -> BfclRow:
    """Return the row that a JSON object states. Raises DataError with what was got and what to do."""
    category = _category(row)
    needed = ("function", "ground_truth") if category in AST else ()
    if missing := [name for name in ("id", *needed) if name not in row]:
        raise DataError(f"expected {FIELDS}, got no {', '.join(missing)}; add what is missing")
    given = _given(row)
    if category not in AST:
        return BfclRow(category, (), (), given)
    tools = _tools(row["function"], LANGUAGES.get(category))
    return BfclRow(category, tools, _accepted(row["ground_truth"], category, tools), given)


def _category(row: Mapping[str, Any]) -> str:
    if "category" not in row:
        raise DataError(f"expected {FIELDS}, got no category; add what is missing")
    category = row["category"]
    if isinstance(category, str) and category in SPELLINGS:
        return category
    near = get_close_matches(str(category), SPELLINGS, n=3, cutoff=0.5) or SPELLINGS
    raise DataError(f"`category`: expected a single-turn category of BFCL, got {describe(category)}; is it {', '.join(near)}?")


def _tools(functions: Json, language: str | None) -> tuple[Tool, ...]:
    """Return the functions on offer, given as a list or alone, with what only the list `required` says is required."""
    listed = [functions] if isinstance(functions, dict) else functions
    if not isinstance(listed, list):
        raise DataError(f"`function`: expected a list of functions, got {describe(functions)}; give BFCL's own")
    stated = {ORIGIN_LANGUAGE: language} if language else {}
    tools = []
    for tool, source in zip(read_tools(listed), listed, strict=True):
        parameters = source.get("function", source).get("parameters") or {}
        tools.append(replace(tool, parameters={**tool.parameters, "required": parameters.get("required") or [], **stated}))
    return tuple(tools)


def _accepted(truth: Json, category: str, tools: tuple[Tool, ...]) -> tuple[AcceptedCall, ...]:
    if not isinstance(truth, list) or not truth:
        raise DataError(f"`ground_truth`: expected a list of calls, got {describe(truth)}; give BFCL's own answer")
    accepted = tuple(read_accepted(call, f"ground_truth[{i}]") for i, call in enumerate(truth))
    if len(accepted) > 1 and "parallel" not in category:
        raise DataError(f"`ground_truth`: expected one call in category {category}, got {len(accepted)}; is it a parallel one?")
    offered = {tool.name for tool in tools}
    for i, call in enumerate(accepted):
        if call.name not in offered:
            raise DataError(f"ground_truth[{i}]: expected a function on offer, got {call.name!r}; add it to `function`")
    return accepted


def _given(row: Mapping[str, Any]) -> tuple[ToolCall, ...] | Fault:
    if ("calls" in row) == ("text" in row):
        got = "both" if "calls" in row else "neither"
        raise DataError(f"expected `calls` or `text`, got {got}; give the calls that were made, or the completion that makes them")
    if "calls" in row:
        return _calls(row["calls"])
    if not isinstance(row["text"], str):
        raise DataError(f"`text`: expected the completion as text, got {describe(row['text'])}; write it in quotes")
    parsed = parse(row["text"])
    if isinstance(parsed, Answer):
        return Fault(Reason.NO_TOOL_CALL, expected=CALL, got=shown(parsed.text))
    return parsed if isinstance(parsed, Fault) else parsed.calls


def _calls(calls: Json) -> tuple[ToolCall, ...]:
    if not isinstance(calls, list):
        raise DataError(f"`calls`: expected a list of calls, got {describe(calls)}; write [] where none is made")
    return tuple(_call(call, f"calls[{i}]") for i, call in enumerate(calls))


def _call(call: Json, where: str) -> ToolCall:
    """Return a call given as `{name, arguments}`, or as BFCL decodes it: `{function: arguments}`."""
    if isinstance(call, dict):
        name, arguments = call.get("name"), call.get("arguments")
        if isinstance(name, str) and isinstance(arguments, dict):
            return ToolCall(name, arguments)
        if len(call) == 1 and isinstance(arguments := next(iter(call.values())), dict):
            return ToolCall(next(iter(call)), arguments)
    raise DataError(f"{where}: expected {{name, arguments}} or {{function: arguments}}, got {describe(call)}; mend the call")
