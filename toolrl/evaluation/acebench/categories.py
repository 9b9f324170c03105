"""The categories of ACEBench, groups of them by name, and the averages that are quoted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from toolrl.errors import ConfigError
from toolrl.evaluation.averages import Average, mean

ATOM: Final = tuple(f"normal_atom_{kind}" for kind in ("bool", "enum", "number", "list", "object_short", "object_deep"))
SINGLE_TURN: Final = ("normal_single_turn_single_function", "normal_single_turn_parallel_function")
MULTI_TURN: Final = ("normal_multi_turn_user_switch", "normal_multi_turn_user_adjust")
NORMAL: Final = (*ATOM, *SINGLE_TURN, *MULTI_TURN, "normal_similar_api", "normal_preference")
SPECIAL: Final = ("special_incomplete", "special_error_param", "special_irrelevant")
"""Categories in which no call is right, and something is to be said instead."""
CATEGORIES: Final = (*NORMAL, *SPECIAL)
GROUPS: Final[Mapping[str, tuple[str, ...]]] = {
    "atom": ATOM, "single_turn": SINGLE_TURN, "multi_turn": MULTI_TURN, "normal": NORMAL, "special": SPECIAL,
}  # fmt: skip

_EACH: Final = {name: Average(name, (name,)) for name in CATEGORIES}
_ATOM: Final = mean("Atom", *(_EACH[name] for name in ATOM))
_SINGLE_TURN: Final = mean("Single-turn", *(_EACH[name] for name in SINGLE_TURN))
AVERAGES: Final = (
    *_EACH.values(),
    _ATOM,
    _SINGLE_TURN,
    mean("Multi-turn, by turn", *(_EACH[name] for name in MULTI_TURN)),
    mean("Normal, multi-turn by turn", *(_EACH[name] for name in NORMAL)),
    mean("Special", *(_EACH[name] for name in SPECIAL)),
    mean("Atom and single-turn, mean of the two", _ATOM, _SINGLE_TURN),
    Average("Atom and single-turn, by item", (*ATOM, *SINGLE_TURN), whole=True),
)
"""Upstream's formulas; the last two are of the categories that Tool-N1 used, whose paper does not say how it takes their average."""


def chosen_categories(names: Sequence[str]) -> tuple[str, ...]:
    """Return the categories that are named, alone or in a group, in the order of the tables; none named: all. Raises ConfigError."""
    for name in names:
        if name not in GROUPS and name not in CATEGORIES:
            near = get_close_matches(name, (*GROUPS, *CATEGORIES), n=3) or (*GROUPS, *CATEGORIES)
            raise ConfigError(f"category: got {name!r}; name any of {', '.join(near)}")
    wanted = {category for name in names for category in GROUPS.get(name, (name,))}
    return tuple(category for category in CATEGORIES if category in wanted or not names)
