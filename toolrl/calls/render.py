"""Tool calls -> the text the model must produce. The one writer: completions, demonstrations and history turns use it.

What it writes, `parse` reads back as equal calls: Decimal keeps its digits and stays a non-integer, nothing goes through
float, and only what JSON forbids is escaped.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from json.encoder import encode_basestring

from toolrl.types import Json, ToolCall

_ENCODER = json.JSONEncoder(ensure_ascii=False)
_LISTS, _FRACTIONS = (list, tuple), (Decimal, float)
_SURROGATE = re.compile("[\ud800-\udfff]")


def render_completion(calls: Sequence[ToolCall], think: str) -> str:
    """Return the whole completion: the reasoning `think` (not blank, if it is to be right), then the block of calls."""
    return f"<think>\n{think}\n</think>\n{render_calls(calls)}"


def render_calls(calls: Sequence[ToolCall]) -> str:
    """Return the `<tool_call>` block of `calls`; no calls give an empty list."""
    return f"<tool_call>\n[{', '.join(map(call_to_json, calls))}]\n</tool_call>"


def call_to_json(call: ToolCall) -> str:
    """Return one call as a JSON object with `name` and `arguments`."""
    return f'{{"name": {to_json(call.name)}, "arguments": {to_json(call.arguments)}}}'


def to_json(value: Json) -> str:
    """Write a JSON value as text. Raises ValueError where it is none (NaN, a set, a key that is no string)."""
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, int):
        return _ENCODER.encode(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join([f"{_text(key)}: {to_json(item)}" for key, item in value.items()]) + "}"
    if isinstance(value, _LISTS):
        return "[" + ", ".join(map(to_json, value)) + "]"
    if isinstance(value, _FRACTIONS):
        return _fraction(value)
    raise ValueError(f"{type(value).__name__} is not JSON: {value!r}")


def as_text(value: Json) -> str:
    """Return a value as JSON, or where it is none as Python writes it.

    >>> as_text({"a": [1, None]}), as_text(float("nan"))
    ('{"a": [1, null]}', 'nan')
    """
    try:
        return to_json(value)
    except ValueError:
        return repr(value)


def _text(value: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"a key must be text, got {value!r}")
    quoted = encode_basestring(value)
    if quoted.isascii():
        return quoted
    return _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", quoted)  # a lone surrogate cannot be written as UTF-8


def _fraction(value: Decimal | float) -> str:
    if not math.isfinite(value):
        raise ValueError(f"{value} is not JSON")
    text = str(value)
    return text if any(mark in text for mark in ".eE") else f"{text}.0"  # Decimal("1e0") prints as 1, and is no integer
