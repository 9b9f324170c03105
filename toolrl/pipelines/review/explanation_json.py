"""What `toolrl explain --json` prints: the same as the page, whole."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from toolrl.calls.diff import ArgumentDiff, CallDiff
from toolrl.calls.rules import RULES
from toolrl.calls.schema import ABSENT
from toolrl.pipelines.review.explanation import Explanation, GroupStatistics, Judged, line_and_column
from toolrl.types import Prompt, ToolCall

STORED = ("reward", "reason", "path", "expected", "got", "format_right", "content_right", "advantage")
COMPLETION = ("text", "num_tokens", "finish_reason", "oldest_version", "spans", "seed")


def report(explanation: Explanation) -> dict[str, Any]:
    """Return the explanation as JSON values; numbers of calls are exact (int, Decimal)."""
    row = explanation.row
    place = None
    if explanation.place is not None:
        line, column = line_and_column(row["text"], explanation.place)
        place = {"character": explanation.place, "line": line, "column": column}
    return {
        "sample": f"{row['draw']}.{row['sample']}",
        **{name: row[name] for name in ("version", "attempt", "trained", "engine")},
        "prompt": _prompt(explanation.prompt),
        "completion": {name: row[name] for name in COMPLETION},
        "stored": {**{name: row[name] for name in STORED}, "rule": RULES.get(row["reason"])},
        "calls": {"reading": explanation.reading, "diff": [_call(diff) for diff in explanation.diffs]},
        "place": place,
        "verdicts": {judged.name: _judged(judged) for judged in explanation.judged},
        "functions": {judged.name: _judged(judged) for judged in explanation.functions},
        "group": _group(explanation.group, explanation),
    }


def _prompt(prompt: Prompt) -> dict[str, Any]:
    messages = [{"role": m.role, "content": m.content, "tool_calls": [_as_json(call) for call in m.tool_calls]} for m in prompt.messages]
    return {
        "id": prompt.id,
        "source": prompt.source,
        "messages": messages,
        "tools": [{"name": tool.name, "description": tool.description, "parameters": tool.parameters} for tool in prompt.tools],
        "reference": [_as_json(call) for call in prompt.reference],
        "accepted": [{"name": call.name, "values": call.values} for call in prompt.accepted],
    }


def _as_json(call: ToolCall) -> dict[str, Any]:
    return {"name": call.name, "arguments": call.arguments}


def _call(diff: CallDiff) -> dict[str, Any]:
    return {
        "reference": diff.reference,
        "predicted": diff.predicted,
        "expected_name": diff.expected_name,
        "got_name": diff.got_name,
        "right": diff.right,
        "arguments": [_argument(argument) for argument in diff.arguments],
    }


def _argument(argument: ArgumentDiff) -> dict[str, Any]:
    """A side that does not give the argument has no key."""
    sides = {"expected": argument.expected, "got": argument.got}
    return {"path": argument.path, "reason": argument.reason, **{side: value for side, value in sides.items() if value is not ABSENT}}


def _judged(judged: Judged) -> Mapping[str, Any]:
    verdict = judged.verdict
    if verdict is None:
        return {"problem": judged.problem}
    return {name: getattr(verdict, name) for name in ("reward", "reason", "path", "expected", "got")}


def _group(group: GroupStatistics, explanation: Explanation) -> dict[str, Any]:
    siblings = [{name: row[name] for name in ("sample", "reward", "advantage", "reason", "num_tokens")} for row in explanation.siblings]
    return {"mean": group.mean, "std": group.std, "dull": group.dull, "siblings": siblings}
