"""Where in a text a verdict under the strict form finds its fault: the character for a person to look at.

Found again from the fault by walking the form once more, so that judging, which happens a million times a run, carries no positions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from toolrl.calls.fault import Fault
from toolrl.calls.jsontext import JsonError, scan, skip_space
from toolrl.calls.parse import CALL, END_CALL, END_THINK, THINK
from toolrl.types import Reason

_AT = re.compile(r" at character (\d+)$")
_LITERAL = re.compile(r"^(?:the number )?(\S+) is (?:not JSON|out of range)")
_STEP = re.compile(r'\[(\d+)\]|\.([^.\[]+)|\[("(?:[^"\\]|\\.)*")\]')
_STRING = r'"(?:[^"\\]|\\.)*+"'
_TOKEN = re.compile(rf"{_STRING}|[{{}}]", re.DOTALL)


def locate(text: str, fault: Fault) -> int | None:
    """Return the character of `text` at which the strict form or a call goes wrong, or None where no place shows it."""
    if fault.reason is Reason.TOO_LARGE or fault.path.startswith("reference"):
        return None
    if fault.reason in (Reason.UNCLOSED_THINK, Reason.UNCLOSED_TOOL_CALL):
        return len(text.rstrip())
    start = _skip(text, 0)
    thought = start + len(THINK)
    end = text.find(END_THINK, thought)
    if not text.startswith(THINK, start) or end < 0:
        return start
    if fault.reason is Reason.EMPTY_THINK:
        return thought
    if fault.reason is Reason.CALL_INSIDE_THINK or (fault.reason is Reason.MULTIPLE_THINK and THINK in text[thought:end]):
        return text.find(CALL if fault.reason is Reason.CALL_INSIDE_THINK else THINK, thought)
    after = _skip(text, end + len(END_THINK))
    return _in_block(text, skip_space(text, after + len(CALL)), fault) if text.startswith(CALL, after) else after


def _in_block(text: str, start: int, fault: Fault) -> int | None:
    """Return the place in or after the block whose value begins at `start`."""
    try:
        end = skip_space(text, scan(text, start)[1])
    except JsonError as problem:
        return start if fault.reason is Reason.CODE_FENCE else _in_broken_json(text, start, problem)
    if not text.startswith(END_CALL, end):
        return end
    tail = _skip(text, end + len(END_CALL))
    if tail < len(text):
        return tail
    return _follow(text, start, fault.path)


def _in_broken_json(text: str, start: int, problem: JsonError) -> int:
    if problem.reason is Reason.DUPLICATE_KEY:
        return _second_key(text, start)
    if at := _AT.search(problem.detail):
        return start + int(at[1])
    literal = _LITERAL.search(problem.detail)
    return _outside_strings(text, start, literal[1]) if literal else start


def _outside_strings(text: str, start: int, literal: str) -> int:
    """Return where `literal` stands as a value, or `start` where it does not."""
    tokens = re.compile(f"{_STRING}|{re.escape(literal)}", re.DOTALL).finditer(text, start)
    return next((token.start() for token in tokens if token[0] == literal), start)


def _second_key(text: str, start: int) -> int:
    """Return where a key stands for the second time in one object."""
    objects: list[set[str]] = []
    for token in _TOKEN.finditer(text, start):
        if token[0] == "{":
            objects.append(set())
        elif token[0] == "}":
            objects.pop()
        elif text.startswith(":", skip_space(text, token.end())):
            key = json.loads(token[0])
            if key in objects[-1]:
                return token.start()
            objects[-1].add(key)
    return start


def _follow(text: str, start: int, path: str) -> int:
    """Return where the value begins to which `path` leads from the value at `start`; the last one on the way where there is no further."""
    for number, key, quoted in _STEP.findall(path):
        wanted = int(number) if number else key or json.loads(quoted)
        found = next((place for name, place in _members(text, start) if name == wanted), None)
        if found is None:
            break
        start = found
    return start


def _members(text: str, start: int) -> Iterator[tuple[str | int, int]]:
    """Yield (key or index, where its value begins) of the sound object or list at `start`; nothing of other values."""
    if text[start] not in "[{":
        return
    position, index = skip_space(text, start + 1), 0
    while text[position] not in "]}":
        name: str | int = index
        if text[start] == "{":
            name, position = scan(text, position)
            position = skip_space(text, skip_space(text, position) + 1)
        yield name, position
        position = skip_space(text, scan(text, position)[1])
        if text[position] == ",":
            position = skip_space(text, position + 1)
        index += 1


def _skip(text: str, start: int) -> int:
    """Return the first position from `start` on that is no white space."""
    return len(text) - len(text[start:].lstrip())
