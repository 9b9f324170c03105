"""The official verdict on calls, by category, as this process can give it: nothing of a model's output is run.

It differs from upstream's own in one thing: the order of parallel calls never matters (`calls.bfcl`).
"""

from __future__ import annotations

from collections.abc import Sequence

from toolrl.calls.bfcl import explain_bfcl
from toolrl.calls.fault import Fault, describe
from toolrl.calls.lenient import find_calls
from toolrl.evaluation.benchmark import Item
from toolrl.evaluation.bfcl.categories import IRRELEVANCE, RELEVANCE
from toolrl.evaluation.reading import form_right, read_calls
from toolrl.types import AcceptedCall, Reason, Tool, ToolCall, Verdict


def explain(category: str, given: Sequence[ToolCall] | Fault, accepted: Sequence[AcceptedCall], tools: Sequence[Tool]) -> Fault | None:
    """Return what is wrong with the calls of an answer, or with a text of which none can be read; None where it is right.

    Args:
        category: In any of `SPELLINGS`.
        given: The calls, or why none can be read.
        accepted: The calls that are right; only categories of the AST kind have any.
        tools: The functions on offer, likewise.
    """
    if category in IRRELEVANCE:
        if isinstance(given, Fault) or not given:
            return None
        return Fault(Reason.UNEXPECTED_CALL, "[0]", "no call", describe(given[0].name))
    if isinstance(given, Fault):
        return given
    if category in RELEVANCE:
        return None if given else Fault(Reason.WRONG_COUNT, "", "a call", "0 calls")
    return explain_bfcl(given, accepted, tools)


def verdict(item: Item, text: str) -> Verdict:
    """Return the verdict on a completion: on the calls of its only block, with the strict form told apart."""
    fault = _explain(item, read_calls(text))
    if fault is None:
        return Verdict(1.0, Reason.CORRECT, format_right=form_right(text), content_right=True, bfcl_right=True)
    return Verdict(0.0, fault.reason, fault.path, fault.expected, fault.got, form_right(text), _says_right(item, text), bfcl_right=False)


def _says_right(item: Item, text: str) -> bool:
    """Whether the calls that are found anywhere in a text are right."""
    found = find_calls(text)
    return found is not None and _explain(item, found) is None


def _explain(item: Item, given: Sequence[ToolCall] | Fault) -> Fault | None:
    return explain(item.category, given, item.prompt.accepted, item.prompt.tools)
