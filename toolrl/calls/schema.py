"""What a tool's JSON schema says of one value: its types, its members, its defaults.

Read lazily, at the places a comparison comes to. `anyOf`, `oneOf`, `allOf` and local `$ref` are followed, and what any
branch says counts. The type words of other origins (int, float, dict, …) are understood.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from toolrl.calls.jsontext import MAX_DEPTH
from toolrl.types import Json, Tool

TYPE_WORDS: Final[Mapping[str, str]] = {
    "int": "integer", "long": "integer", "float": "number", "double": "number", "decimal": "number", "str": "string",
    "bool": "boolean", "dict": "object", "map": "object", "list": "array", "tuple": "array",
}  # fmt: skip
"""Words of Python, Java and Gorilla schemas -> JSON schema's."""

ABSENT: Final = object()
"""No value at all, which null is not."""

_COMBINED = ("anyOf", "oneOf", "allOf")
_COMPOSED = frozenset((*_COMBINED, "$ref"))


class Place:
    """A place in the arguments of a call, as the schema sees it; the schema is read when the place is first asked."""

    __slots__ = ("_depth", "_holder", "_step", "_views", "root")

    def __init__(self, root: Mapping[str, Json], holder: Place | None = None, step: str | int = "") -> None:
        """Make the place of the whole of `root`, or that of member or item `step` of the value at `holder`."""
        self.root = root
        self._holder, self._step = holder, step
        self._depth: int = 0 if holder is None else holder._depth + 1
        self._views: tuple[Mapping[str, Json], ...] | None = None

    @property
    def views(self) -> tuple[Mapping[str, Json], ...]:
        """Every schema object that speaks of this place; none where the schema is silent."""
        if self._views is None:
            self._views = _expand(self._nodes(), self.root)
        return self._views

    def _nodes(self) -> Sequence[Any]:
        """Return what the schema holds for this place: schema objects, or what is none and says nothing."""
        if self._holder is None:
            return (self.root,)
        step = self._step
        return [_member(view, step) if isinstance(step, str) else _item(view, step) for view in self._holder.views]

    @property
    def types(self) -> frozenset[str]:
        """The types stated here, in JSON schema's words; empty where none is."""
        words: list[Any] = []
        for view in self.views:
            stated = view.get("type")
            words += stated if isinstance(stated, list) else [stated]
        return frozenset(TYPE_WORDS.get(word.lower(), word.lower()) for word in words if isinstance(word, str))

    @property
    def is_number(self) -> bool:
        """Whether the schema says number or integer here, so that 1 and 1.0 are the same value."""
        return not self.types.isdisjoint(("number", "integer"))

    def member(self, key: str) -> Place:
        """Return the place of `key` in the object here."""
        return Place(self.root, self, key)

    def item(self, index: int) -> Place:
        """Return the place of item `index` in the list here."""
        return Place(self.root, self, index)

    def default(self, key: str) -> Json:
        """Return the default stated for the optional `key`, or ABSENT: none stated, or not optional."""
        return self.member(key).own_default

    @property
    def own_default(self) -> Json:
        """The default stated for this member of its object, or ABSENT: none stated, not optional, or deeper than a value may be."""
        if self._depth > MAX_DEPTH:  # only defaults that hold themselves lead there
            return ABSENT
        for view in self.views:
            if "default" in view:
                return ABSENT if self._is_required else view["default"]
        return ABSENT

    @property
    def _is_required(self) -> bool:
        holding = self._holder.views if self._holder is not None else ()
        return any(_requires(view, self._step) for view in holding) or any(view.get("required") is True for view in self.views)


def arguments_of(tools: Iterable[Tool], name: str) -> Place:
    """Return the place of the arguments of the tool called `name`; of one not on offer nothing is known."""
    for tool in tools:
        if tool.name == name:
            return Place(tool.parameters)
    return Place({})


def _member(view: Mapping[str, Json], key: str) -> Any:
    members = view.get("properties")
    return members[key] if isinstance(members, Mapping) and key in members else view.get("additionalProperties")


def _item(view: Mapping[str, Json], index: int) -> Any:
    rest = view.get("items")
    each = view.get("prefixItems", rest)
    return each[index] if isinstance(each, list) and index < len(each) else rest


def _requires(view: Mapping[str, Json], key: str | int) -> bool:
    required = view.get("required")
    return isinstance(required, list | tuple) and key in required


def _expand(nodes: Sequence[Any], root: Mapping[str, Json]) -> tuple[Mapping[str, Json], ...]:
    """Return `nodes` and all that they combine or refer to, each once; what is no schema object is left out."""
    found: dict[int, Mapping[str, Json]] = {}
    waiting = deque(nodes)
    while waiting:
        node = waiting.popleft()
        if not isinstance(node, Mapping) or id(node) in found:
            continue
        found[id(node)] = node
        if node.keys().isdisjoint(_COMPOSED):
            continue
        for word in _COMBINED:
            branches = node.get(word)
            waiting += branches if isinstance(branches, list) else ()
        if isinstance(pointer := node.get("$ref"), str):
            waiting.append(_resolve(pointer, root))
    return tuple(found.values())


def _resolve(pointer: str, root: Mapping[str, Json]) -> Any:
    """Return what a local JSON pointer (`#/$defs/City`, RFC 6901) leads to, or None."""
    node: Any = root if pointer.startswith("#") else None
    for part in pointer[1:].split("/")[1:]:
        node = node.get(part.replace("~1", "/").replace("~0", "~")) if isinstance(node, Mapping) else None
    return node
