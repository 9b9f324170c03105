"""The categories of BFCL: what a right answer is in each, how v3 spelled them, where their files lie.

category      what a right answer is                                    spelled also
AST           calls that the AST checker accepts, of some language      simple, java, javascript, … (v3)
irrelevance   no call: none made, or nothing that can be read as calls  live_irrelevance
relevance     any call                                                  live_relevance
multi_turn    calls that leave the executed APIs in the right state     judged by upstream's programs alone
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Final

from toolrl.errors import ConfigError

PYTHON: Final = ("simple", "simple_python", "multiple", "parallel", "parallel_multiple")
LANGUAGES: Final[Mapping[str, str]] = {
    "java": "java", "simple_java": "java", "javascript": "javascript", "simple_javascript": "javascript",
}  # fmt: skip
"""Categories whose values are literals of another language."""
AST: Final = (*PYTHON, *LANGUAGES, *(f"live_{name}" for name in PYTHON))
IRRELEVANCE: Final = ("irrelevance", "live_irrelevance")
RELEVANCE: Final = ("relevance", "live_relevance")
SPELLINGS: Final = (*AST, *IRRELEVANCE, *RELEVANCE)
"""The single-turn categories, in the spellings of v3 and v4."""

ITEMS: Final[Mapping[str, int]] = {
    "simple_python": 400, "simple_java": 100, "simple_javascript": 50, "multiple": 200, "parallel": 200, "parallel_multiple": 200,
    "irrelevance": 240, "live_simple": 258, "live_multiple": 1053, "live_parallel": 16, "live_parallel_multiple": 24,
    "live_irrelevance": 884, "live_relevance": 16,
}  # fmt: skip
"""The single-turn categories of v4, in the order of its tables, and how many questions each has."""
MULTI_TURN: Final = ("multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param", "multi_turn_long_context")


def group_of(category: str) -> str:
    """Return the folder in which upstream keeps the results and scores of a category of v4."""
    if category in MULTI_TURN:
        return "multi_turn"
    return "live" if category.startswith("live_") else "non_live"


def single_turn_categories(categories: Sequence[str]) -> tuple[str, ...]:
    """Return categories that are asked one question a prompt, in the order of the tables; none named: all. Raises ConfigError."""
    return _known(categories, tuple(ITEMS), "multi-turn ones begin with multi_turn, and are answered by a served model")


def multi_turn_categories(categories: Sequence[str]) -> tuple[str, ...]:
    """Return categories that upstream's own program asks, in the order of the tables; none named: all. Raises ConfigError."""
    return _known(categories, MULTI_TURN, "the others have one turn, and need no served model")


def _known(categories: Sequence[str], known: tuple[str, ...], remark: str) -> tuple[str, ...]:
    for name in categories:
        if name not in known:
            near = get_close_matches(name, known, n=3, cutoff=0.5) or known
            raise ConfigError(f"category: got {name!r}; name any of {', '.join(near)} ({remark})")
    return tuple(name for name in known if name in categories or not categories)
