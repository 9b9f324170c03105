"""The averages that are quoted of BFCL, by upstream's formulas, each as a tree over its categories.

v3 and v4 differ: v3's Non-Live and Live hold the irrelevance and relevance questions, v4's hold calls alone and irrelevance stands beside
them. In the overall numbers of both a category that was not run counts 0, here as there. Every number is over the questions of v4: of
v3's leaderboard only the formulas are kept.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from toolrl.evaluation.averages import Average, mean
from toolrl.evaluation.bfcl.categories import ITEMS, MULTI_TURN

LIVE_AST: Final = ("live_simple", "live_multiple", "live_parallel", "live_parallel_multiple")
_EACH: Final = {name: Average(name, (name,)) for name in (*ITEMS, *MULTI_TURN)}
_CALLS: Final = (_EACH["multiple"], _EACH["parallel"], _EACH["parallel_multiple"])

SIMPLE: Final = mean("Simple", _EACH["simple_python"], _EACH["simple_java"], _EACH["simple_javascript"])
NON_LIVE: Final = mean("Non-Live", SIMPLE, *_CALLS)
NON_LIVE_PYTHON: Final = mean("Non-Live (Python only)", _EACH["simple_python"], *_CALLS)
LIVE: Final = Average("Live (AST only)", LIVE_AST, whole=True)
IRRELEVANCE: Final = mean("Irrelevance", _EACH["irrelevance"], _EACH["live_irrelevance"])
RELEVANCE: Final = Average("Relevance", ("live_relevance",))
MULTI_TURN_MEAN: Final = mean("Multi-Turn", *(_EACH[name] for name in MULTI_TURN))
AGENTIC: Final = mean(
    "Agentic",
    mean("Web Search", *(Average(f"web_search_{kind}", (f"web_search_{kind}",)) for kind in ("base", "no_snippet"))),
    mean("Memory", *(Average(f"memory_{kind}", (f"memory_{kind}",)) for kind in ("kv", "vector", "rec_sum"))),
)
PAPER: Final = mean("Overall (as in the paper)", NON_LIVE, LIVE)
"""Tool-N1's: its Live holds calls alone, that of the models it compares with all of `LIVE_V3`."""
NON_LIVE_V3: Final = mean("Non-Live (leaderboard v3)", SIMPLE, *_CALLS, _EACH["irrelevance"])
LIVE_V3: Final = Average("Live (leaderboard v3)", (*LIVE_AST, "live_irrelevance", "live_relevance"), whole=True)


def _counting_zero(average: Average) -> Average:
    """Return an average in which whatever was not run counts 0, with the weight its questions have."""
    if len(average.categories) > 1:
        items = sum(ITEMS[name] for name in average.categories)
        return Average(average.name, parts=tuple((ITEMS[name] / items, _EACH[name]) for name in average.categories), missing_is_zero=True)
    parts = tuple((weight, _counting_zero(part)) for weight, part in average.parts)
    return replace(average, parts=parts, missing_is_zero=bool(parts))


V3: Final = _counting_zero(mean("Overall (leaderboard v3)", LIVE_V3, NON_LIVE_V3, MULTI_TURN_MEAN))
V4: Final = _counting_zero(
    Average("Overall (leaderboard v4)", parts=((0.1, NON_LIVE), (0.1, LIVE), (0.1, IRRELEVANCE), (0.3, MULTI_TURN_MEAN), (0.4, AGENTIC)))
)
AVERAGES: Final = (
    *_EACH.values(), SIMPLE, NON_LIVE, NON_LIVE_PYTHON, LIVE, IRRELEVANCE, RELEVANCE, MULTI_TURN_MEAN, PAPER,
    NON_LIVE_V3, LIVE_V3, V3, V4,
)  # fmt: skip

_COLUMNS: Final[Mapping[str, Average]] = {
    "Non-Live Simple AST": SIMPLE,
    "Non-Live AST Acc": NON_LIVE,
    "Live Acc": LIVE,
    "Multi Turn Acc": MULTI_TURN_MEAN,
    "Irrelevance Detection": IRRELEVANCE,
    "Relevance Detection": RELEVANCE,
    "Overall Acc": V4,
}
"""The columns of upstream's overall table that are one of the averages."""


def of_leaderboard(row: Mapping[str, Any], categories: Sequence[str]) -> dict[str, float]:
    """Return upstream's own averages by our names, those that rest on `categories` alone or count the others 0."""
    whole = {column: each for column, each in _COLUMNS.items() if each.missing_is_zero or set(each.leaves()) <= {*categories}}
    return {each.name: float(row[column]) for column, each in whole.items()}
