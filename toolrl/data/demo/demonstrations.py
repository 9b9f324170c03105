"""Demonstrations of the demo task: the calls are always right, but a share of the texts has one fault of form.

A model trained on them knows what to call and not quite how to write it; reinforcement learning has that left to teach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from random import Random

from toolrl.calls.render import call_to_json, render_calls, render_completion
from toolrl.data.demo.generate import demo_prompts
from toolrl.types import Json, Prompt, ToolCall

Fault = Callable[[Sequence[ToolCall]], str]


def demo_demonstrations(rows: int, seed: int, fault_share: float = 0.45, *, split: str = "train") -> Iterator[tuple[Prompt, str]]:
    """Yield `rows` prompts of a split, each with a completion; `fault_share` of those have a fault of form."""
    random = Random(f"demo demonstrations {seed}")
    for prompt in demo_prompts(split, rows, seed):
        if random.random() < fault_share:
            yield prompt, random.choice(_faults(prompt.reference))(prompt.reference)
        else:
            yield prompt, render_completion(prompt.reference, think(prompt.reference))


def think(calls: Sequence[ToolCall]) -> str:
    """Return the reasoning of a demonstration: which tools, in which order."""
    return " then ".join(call.name for call in calls)


def _faults(calls: Sequence[ToolCall]) -> tuple[Fault, ...]:
    """Faults that these calls can have."""
    faults: tuple[Fault, ...] = (render_calls, _wrong_key, _no_list)
    return (*faults, _quoted) if any(_quote(call) != call for call in calls) else faults


def _wrong_key(calls: Sequence[ToolCall]) -> str:
    return render_completion(calls, think(calls)).replace('"arguments": {', '"parameters": {')


def _no_list(calls: Sequence[ToolCall]) -> str:
    objects = "\n".join(map(call_to_json, calls))
    return f"<think>\n{think(calls)}\n</think>\n<tool_call>\n{objects}\n</tool_call>"


def _quoted(calls: Sequence[ToolCall]) -> str:
    return render_completion([_quote(call) for call in calls], think(calls))


def _quote(call: ToolCall) -> ToolCall:
    """Write numbers and booleans as strings."""
    return ToolCall(call.name, {name: _text(value) for name, value in call.arguments.items()})


def _text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
