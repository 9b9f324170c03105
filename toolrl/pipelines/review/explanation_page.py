"""What `toolrl explain --sample DRAW.SAMPLE` tells a person: a page of plain text, from the verdict inwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolrl.calls.diff import CallDiff
from toolrl.calls.fault import describe
from toolrl.calls.rules import RULES
from toolrl.calls.schema import Place, arguments_of
from toolrl.pipelines.review.diff_page import diff_lines
from toolrl.pipelines.review.explanation import LENIENT, NONE, STRICT, Explanation, Judged, line_and_column
from toolrl.pipelines.review.page import columns, named, page, pieces, reward, table, title, wrap
from toolrl.types import Message, Prompt, Reason, Tool, ToolCall, Verdict

TURN_LINES = 24
"""Lines of the last turn that the page shows."""
EARLIER_LINES = 5
"""Lines of a turn before it."""
TOOLS = 12
"""Tools that it shows with their arguments."""
COMPLETION_LINES = 64
"""Lines of a completion that it shows whole; of a longer one the beginning, the end, and what is near the fault."""
NEAR = 8
"""Lines shown before and after a place of such a completion."""


def text(explanation: Explanation, run: Path, width: int) -> str:
    """Return the page, `width` columns wide."""
    sections = (
        _head(explanation, run, width),
        _verdict(explanation, width),
        _prompt(explanation, width),
        _completion(explanation, width),
        _calls(explanation, width),
        _judged(explanation, width),
        _group(explanation, width),
    )
    return page(sections, width)


def _head(explanation: Explanation, run: Path, width: int) -> list[str]:
    row = explanation.row
    trained = "trained" if row["trained"] else "replaced, not trained (loop.refill)"
    facts = [f"version {row['version']}", trained, f"attempt {row['attempt']}", str(row["engine"])]
    if explanation.evaluated:
        facts = ["evaluated", str(row["prompt_id"]), str(row["engine"])]
    return title(f"sample {row['draw']}.{row['sample']} of {run}", facts, width)


def _verdict(explanation: Explanation, width: int) -> list[str]:
    row = explanation.row
    rows = [("reward", reward(row["reward"])), ("reason", row["reason"])]
    rule = RULES.get(row["reason"])
    rows += [(name, value) for name, value in (("rule", rule), *((key, row[key]) for key in ("path", "expected", "got"))) if value]
    if not explanation.evaluated:
        rows.append(("advantage", "none: the group was replaced" if row["advantage"] is None else f"{row['advantage']:+.3f}"))
    return [line for name, value in rows for line in named(name, value, width)]


def _prompt(explanation: Explanation, width: int) -> list[str]:
    prompt = explanation.prompt
    lines = title(f"prompt {prompt.id}", [f"source {prompt.source}"], width)
    for message in prompt.messages:
        lines += named(message.role, _said(message), width, TURN_LINES if message is prompt.messages[-1] else EARLIER_LINES)
    return [*lines, *_tools(prompt, explanation.diffs, width)]


def _said(message: Message) -> str:
    calls = [f"calls {_call(call)}" for call in message.tool_calls]
    return "\n".join([*([message.content] if message.content or not calls else []), *calls])


def _call(call: ToolCall) -> str:
    return f"{call.name}({', '.join(f'{name}: {describe(value)}' for name, value in call.arguments.items())})"


def _tools(prompt: Prompt, diffs: Sequence[CallDiff], width: int) -> list[str]:
    """Show the tools, those that are called or should be first."""
    called = {name for diff in diffs for name in (diff.expected_name, diff.got_name)} | {call.name for call in prompt.reference}
    tools = sorted(prompt.tools, key=lambda tool: tool.name not in called)
    lines = [f"{len(tools)} tools" if len(tools) != 1 else "1 tool"]
    for tool in tools[:TOOLS]:
        lines += [f"  {line}" for line in wrap(_signature(tool), width - 2, after="    ")]
    if more := [tool.name for tool in tools[TOOLS:]]:
        lines += [f"  {line}" for line in wrap(f"and {', '.join(more)}", width - 2, after="    ")]
    return lines


def _signature(tool: Tool) -> str:
    """Return a tool as `name(city: string, [limit: integer = 10])`, optional arguments in brackets."""
    place = arguments_of((tool,), tool.name)
    members = tool.parameters.get("properties")
    names = list(members) if isinstance(members, Mapping) else []
    required = tool.parameters.get("required")
    parts = []
    for name in names:
        words = _argument(name, place)
        parts.append(words if isinstance(required, list) and name in required else f"[{words}]")
    return f"{tool.name}({', '.join(parts)})"


def _argument(name: str, place: Place) -> str:
    member = place.member(name)
    types = "|".join(sorted(member.types))
    default = next((view["default"] for view in member.views if "default" in view), None)
    return name + (f": {types}" if types else "") + (f" = {describe(default)}" if default is not None else "")


def _completion(explanation: Explanation, width: int) -> list[str]:
    row = explanation.row
    facts = [f"{row['num_tokens']} tokens", row["finish_reason"], f"weights of {_versions(row)}"]
    if row["seed"] is not None:
        facts.append(f"seed {row['seed']}")
    lines = title("completion", facts, width)
    if row["text"] is None:
        missing = "its text was not kept: with `monitor.rollouts: share` one group in eight is kept whole, of the others only the verdicts"
        return [*lines, *(f"  {line}" for line in wrap(missing, width - 2))]
    return [*lines, *_marked(row["text"], explanation.place, width)]


def _versions(row: Mapping[str, Any]) -> str:
    spans = row["spans"]
    if not spans:
        return f"version {row['oldest_version']} or newer"
    if len(spans) == 1:
        return f"version {spans[0]['version']}"
    return "versions " + ", ".join(f"{span['version']} (tokens {span['start']}–{span['end']})" for span in spans)


def _marked(text: str, place: int | None, width: int) -> list[str]:
    """Return the lines of a text, cut to the width, with a mark under the character at `place`."""
    marked, column = line_and_column(text, place) if place is not None else (0, 0)
    room, lines, mark = width - 4, [], 0
    for number, line in enumerate(text.split("\n"), start=1):
        start = 0
        for piece in pieces(line, room):
            lines.append(f"  │ {piece}")
            end = start + len(piece)
            if number == marked and start < column <= end + (end == len(line)):
                mark = len(lines)
                lines.append(f"  │ {' ' * columns(piece[: column - start - 1])}^")
            start = end
    return _shortened(lines, mark)


def _shortened(lines: list[str], mark: int) -> list[str]:
    """Leave out of a long text what is neither at its ends nor near the mark."""
    if len(lines) <= COMPLETION_LINES:
        return lines
    last = len(lines) - 1
    shown = [i for i in range(len(lines)) if min(i, last - i) < 2 * NEAR or (mark and abs(i - mark) <= NEAR)]
    found: list[str] = []
    for before, i in zip([-1, *shown], shown, strict=False):
        if i > before + 1:
            found.append(f"  ┆ … {i - before - 1} lines")
        found.append(lines[i])
    return found


def _calls(explanation: Explanation, width: int) -> list[str]:
    if explanation.row["text"] is None:
        return []
    if explanation.reading == NONE:
        how = ["given: none that could be read, even leniently"]
    else:
        given = sum(diff.predicted is not None for diff in explanation.diffs)
        how = [f"given {given}", _READINGS[explanation.reading]]
    lines = title("calls", [f"reference {len(explanation.prompt.reference)}", *how], width)
    return [*lines, *diff_lines(explanation.diffs, explanation.prompt.reference, width)]


_READINGS = {STRICT: "as the strict form reads them", LENIENT: "read leniently, since the form is wrong"}


def _judged(explanation: Explanation, width: int) -> list[str]:
    if not explanation.judged:
        return []
    row = explanation.row
    rows = [("", "reward", ""), *(_told(judged, row) for judged in (*explanation.judged, *explanation.functions))]
    lines = title("verdicts", [f"this run: {explanation.reward}"], width)
    lines += [f"  {line}" for line in table(rows, right=(1,), width=width - 2)]
    own = explanation.judged[0].verdict
    if own is not None and (own.reward, own.reason) != (row["reward"], row["reason"]):
        differs = "judged now, the run's own reward says something else than it did: the verifier or a reward function has changed since"
        lines += [f"  {line}" for line in wrap(differs, width - 2)]
    return lines


def _told(judged: Judged, row: Mapping[str, Any]) -> tuple[str, str, str]:
    verdict = judged.verdict
    if verdict is None:
        return judged.name, "–", judged.problem
    stored = all(getattr(verdict, name) == row[name] for name in ("reason", "path", "expected", "got"))
    return judged.name, reward(verdict.reward), "as stored" if stored else _in_words(verdict)


def _in_words(verdict: Verdict) -> str:
    if verdict.reason is Reason.CORRECT:
        return "correct"
    where = f" at {verdict.path}" if verdict.path else ""
    expected = f": expected {verdict.expected}" if verdict.expected else ""
    got = f"{',' if expected else ':'} got {verdict.got}" if verdict.got else ""
    return " ".join(f"{verdict.reason}{where}{expected}{got}".split())


def _group(explanation: Explanation, width: int) -> list[str]:
    if explanation.evaluated:
        return []
    group = explanation.group
    facts = [f"{len(group.rewards)} samples", *(["no reward"] if group.mean is None else [f"mean {group.mean:.3f}"])]
    if group.std is not None:
        facts.append(f"std {group.std:.3f} (over n − 1)")
    facts.append("dull: all rewards agree, so there is no advantage" if group.dull else "advantage = (reward − mean) / std")
    rows = [["", "sample", "reward", "advantage", "tokens", "reason"]]
    for row in explanation.siblings:
        advantage = "–" if row["advantage"] is None else f"{row['advantage']:+.3f}"
        own = ">" if row["sample"] == explanation.row["sample"] else ""
        where = f" at {row['path']}" if row["path"] else ""
        name = f"{row['draw']}.{row['sample']}"
        rows.append([own, name, reward(row["reward"]), advantage, str(row["num_tokens"]), f"{row['reason']}{where}"])
    return [*title(f"group of draw {explanation.row['draw']}", facts, width), *table(rows, right=(2, 3, 4))]
