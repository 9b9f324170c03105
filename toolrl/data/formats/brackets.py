"""Calls in Python's call syntax -> ToolCalls: `[Get Weather(city="Paris (France)", days=3), other.fn(x=[1, 2])]`.

    calls    := '[' [call (',' call)* [',']] ']'
    call     := name '(' [argument (',' argument)* [',']] ')'
    argument := name '=' value | value            positional ones first

A name is that of an offered tool (or of one of its arguments), whatever characters it holds; any other ends at the next bracket, quote,
comma or equals sign. Total and linear: any text gives calls, none (it makes no call), or a DataError with the place. What may be a call
and cannot be read as one is never taken for a plain answer: a label "no call" there would be wrong.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal

from toolrl.calls.jsontext import MAX_CHARS
from toolrl.data.formats.literals import LiteralReader
from toolrl.errors import DataError
from toolrl.types import Json, Tool, ToolCall

_NAME = re.compile(r"""[^()\[\]{}"',=]++""")
_OPENING = re.compile(r"\s*+\(")
_EQUALS = re.compile(r"\s*+=(?!=)")
_KINDS: Mapping[str, tuple[type, ...]] = {
    "string": (str,), "integer": (int,), "number": (int, Decimal), "boolean": (bool,), "array": (list,), "object": (dict,),
    "null": (type(None),),
}  # fmt: skip


def parse_calls(text: str, tools: Sequence[Tool] = ()) -> tuple[ToolCall, ...]:
    """Return the calls that a turn's text makes, none where it makes none. Raises DataError with the place."""
    if len(text) > MAX_CHARS:
        raise DataError(f"a turn of {len(text):,} characters, over {MAX_CHARS:,}; remove the row")
    offered = _longest_first(tool.name for tool in tools)
    start = len(text) - len(text.lstrip())
    end = text.find("]", start)
    inside = text[start + 1 : end] if end > 0 else text[start + 1 :]
    if text.startswith("[", start) and (not inside.strip() or "(" in inside or "{" in inside or _named(text, start, offered)):
        return _Reader(text, start, tools).calls()
    _refuse_hidden_call(text, start, offered)  # else "[1] The source says …", "[a link](https://…)", or plain words
    return ()


def _refuse_hidden_call(text: str, start: int, offered: Sequence[str]) -> None:
    """Raise DataError where a text that is no list of calls holds one."""
    at = start
    found = bool(_name_at(text, start, offered, _OPENING))
    while not found and (at := text.find("[", at)) >= 0 and not (found := _named(text, at, offered)):
        at += 1
    if found:
        raise DataError(f"character {at}: expected a list of calls and nothing else, got text with a call in it: {text[at : at + 40]!r}")


def _named(text: str, bracket: int, offered: Sequence[str]) -> bool:
    """Whether a bracket is followed by the call of an offered tool."""
    at = bracket + 1
    while at < len(text) and at < bracket + 9 and text[at].isspace():
        at += 1
    return bool(_name_at(text, at, offered, _OPENING))


def _longest_first(names: Iterable[str]) -> list[str]:
    return sorted({name for name in names if name}, key=len, reverse=True)


def _name_at(text: str, at: int, names: Sequence[str], closing: re.Pattern[str]) -> str:
    """Return the longest of `names` that stands at a place with `closing` after it, or ""."""
    return next((name for name in names if text.startswith(name, at) and closing.match(text, at + len(name))), "")


class _Reader(LiteralReader):
    def __init__(self, text: str, at: int, tools: Sequence[Tool]) -> None:
        super().__init__(text, at)
        self._tools = tools
        self._offered = _longest_first(tool.name for tool in tools)

    def calls(self) -> tuple[ToolCall, ...]:
        found, _ = self.items("]", self._call)
        self.skip_space()
        if self.at < len(self.text):
            self.fail("expected nothing after the list of calls")
        return tuple(found)

    def _call(self) -> ToolCall:
        start = self.at
        name = self._name(self._offered, _OPENING)
        if not any(map(str.isalpha, name)):
            self.at = start
            self.fail("expected the name of a function and '('")
        tools = [tool for tool in self._tools if tool.name == name]
        names = _longest_first(argument for tool in tools for argument in _arguments(tool))
        positional: list[Json] = []
        keyword: dict[str, Json] = {}
        self.at = self.text.index("(", self.at)
        self.items(")", lambda: self._argument(names, positional, keyword))
        if not positional:
            return ToolCall(name, keyword)
        try:
            placed = _placed(positional, tools)
            if twice := placed.keys() & keyword.keys():
                raise DataError(f"{min(twice)!r} is given by its place and by its name")
            return ToolCall(name, placed | keyword)
        except DataError as error:
            raise DataError(f"character {start}: {error}") from error

    def _argument(self, names: Sequence[str], positional: list[Json], keyword: dict[str, Json]) -> None:
        start = self.at
        name = self._name(names, _EQUALS)
        if not name:
            if keyword:
                self.fail("expected name=value after a named argument")
            positional.append(self.value())
            return
        if name in keyword:
            self.at = start
            self.fail(f"the argument {name!r} stands twice")
        self.at = self.text.index("=", self.at) + 1
        keyword[name] = self.value()

    def _name(self, known: Sequence[str], closing: re.Pattern[str]) -> str:
        """Read a name that `closing` follows, and return it, or "" if none stands here."""
        if name := _name_at(self.text, self.at, known, closing):
            self.at += len(name)
            return name
        found = _NAME.match(self.text, self.at)
        if not found or not closing.match(self.text, found.end()):
            return ""
        self.at = found.end()
        return found[0].strip()


def _arguments(tool: Tool) -> Mapping[str, Json]:
    properties = tool.parameters.get("properties")
    return properties if isinstance(properties, dict) else {}


def _placed(positional: Sequence[Json], tools: Sequence[Tool]) -> dict[str, Json]:
    """Return positional values by name: certain only where one tool is so called, has enough arguments, and each value is of its type."""
    if len(tools) != 1:
        raise DataError("positional arguments, and not exactly one tool of this name says what they are called")
    arguments = _arguments(tools[0])
    if len(positional) > len(arguments):
        raise DataError(f"{len(positional)} positional arguments, and the tool has {len(arguments)}")
    placed = dict(zip(arguments, positional, strict=False))
    for name, value in placed.items():
        schema = arguments[name]
        stated = schema.get("type") if isinstance(schema, dict) else None
        kinds = _KINDS.get(stated) if isinstance(stated, str) else None
        if kinds and (not isinstance(value, kinds) or (isinstance(value, bool) and stated != "boolean")):
            raise DataError(f"the positional argument {value!r} stands where the tool has {name!r}, which is of type {stated}")
    return placed
