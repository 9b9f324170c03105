"""One group whole, as JSON for the page: its prompt, each completion, and the diff of its calls as the verifier sees it.

    rows of a draw, Prompt ─> {completions: [{text, verdict, place of the fault, diff}]}      Prompt ─> {messages, tools, reference}

Values of calls are told as text, with every digit: what a browser reads as a number would be another one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from toolrl.calls.diff import ArgumentDiff, CallDiff
from toolrl.calls.fault import Fault
from toolrl.calls.locate import locate
from toolrl.calls.render import as_text, call_to_json
from toolrl.calls.schema import ABSENT
from toolrl.config.task import RewardConfig
from toolrl.pipelines.review.explanation import Row, diffs_of
from toolrl.types import AcceptedCall, Json, Message, Prompt, Reason

COLUMNS = (
    "draw", "sample", "engine", "outcome", "outcome_reason", "reward", "reason", "path", "expected", "got", "format_right", "content_right",
    "advantage", "num_tokens", "finish_reason", "oldest_version", "seed", "spans", "text",
)  # fmt: skip
PLAIN = ("sample", "reward", "reason", "path", "expected", "got", "advantage", "num_tokens", "finish_reason")
STRICT = "strict"
"""The mode whose verdict has a place in the text."""


def prompt_json(prompt: Prompt) -> dict[str, Any]:
    """Return a prompt as the page shows it; arguments, parameters and calls as JSON text."""
    wanted = [_accepted(call) for call in prompt.accepted] or [call_to_json(call) for call in prompt.reference]
    return {
        "id": prompt.id,
        "source": prompt.source,
        "messages": [_message(message) for message in prompt.messages],
        "tools": [
            {"name": tool.name, "description": tool.description, "parameters": as_text(tool.parameters) if tool.parameters else ""}
            for tool in prompt.tools
        ],
        "reference": wanted,
        "accepted": bool(prompt.accepted),
    }


def group_json(rows: Sequence[Row], prompt: Prompt, mode: str) -> dict[str, Any]:
    """Return the completions of a group.

    Args:
        rows: Of rollouts/, COLUMNS of one draw.
        prompt: The prompt of the draw.
        mode: `reward.mode` of the run.
    """
    known: dict[str, Any] = {}  # siblings often say the same
    first = rows[0]
    return {
        "engine": first["engine"],
        "outcome": first["outcome"],
        "why": first["outcome_reason"],
        "completions": [_completion(row, prompt, mode, known) for row in sorted(rows, key=lambda row: int(row["sample"]))],
    }


def mode_of(settings: Mapping[str, Any]) -> str:
    """Return the mode in which a run judges."""
    return str(settings.get("reward.mode", RewardConfig().mode))


def _completion(row: Row, prompt: Prompt, mode: str, known: dict[str, Any]) -> dict[str, Any]:
    found = {name: row[name] for name in PLAIN}
    found |= {"form": row["format_right"], "content": row["content_right"], "weights": _weights(row)}
    found["seed"] = None if row["seed"] is None else str(row["seed"])  # 63 bits: more than a number of the page holds
    text = row["text"]
    if text is None:
        return found
    if text not in known:
        reading, diffs = diffs_of(prompt, text)
        known[text] = {"reading": reading, "calls": [call_json(diff) for diff in diffs]}
    return {**found, "text": text, "place": _place(row, text) if mode == STRICT else None, **known[text]}


def call_json(diff: CallDiff) -> dict[str, Any]:
    """Return a call beside the one it answers: both names (empty: there is none), and a line for each argument."""
    return {
        "expected": diff.expected_name,
        "got": diff.got_name,
        "reference": diff.reference,
        "predicted": diff.predicted,
        "right": diff.right,
        "arguments": [_argument(argument) for argument in diff.arguments],
    }


def _argument(argument: ArgumentDiff) -> list[str | None]:
    """Return path, reason, and both values; None where a side does not give it."""
    return [argument.path, str(argument.reason), _side(argument.expected), _side(argument.got)]


def _side(value: Json) -> str | None:
    return None if value is ABSENT else as_text(value)


def _place(row: Row, text: str) -> int | None:
    """Return the character, in UTF-16 units as a browser counts them, at which the stored verdict finds its fault."""
    reason = Reason(row["reason"]) if row["reason"] in set(Reason) else Reason.CORRECT
    if reason is Reason.CORRECT or reason.is_failure:
        return None
    place = locate(text, Fault(reason, row["path"], row["expected"], row["got"]))
    return None if place is None else len(text[:place].encode("utf-16-le")) // 2


def _weights(row: Row) -> str:
    """Say which weights sampled a completion."""
    spans = row["spans"]
    if not spans:
        return f"version {row['oldest_version']} or newer"
    if len(spans) == 1:
        return f"version {spans[0]['version']}"
    return ", ".join(f"version {span['version']} (tokens {span['start']}–{span['end']})" for span in spans)


def _message(message: Message) -> dict[str, Any]:
    return {"role": message.role, "content": message.content, "calls": [call_to_json(call) for call in message.tool_calls]}


def _accepted(call: AcceptedCall) -> str:
    return f"{call.name}: {as_text({name: list(values) for name, values in call.values.items()})}"
