"""The categories of ACEBench in which no call is right, and something is to be said instead: what it is, and upstream's rules for it.

Upstream asks for sentences of fixed words, and looks for those words in an answer. A model can only know them if it is told, so these
questions alone carry an instruction of their own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from toolrl.calls.fault import Fault, describe
from toolrl.calls.parse import END_THINK, THINK
from toolrl.evaluation.reading import read_calls
from toolrl.types import Json, Reason

MISSING: Final = "Missing necessary parameters"
WRONG: Final = "There is incorrect value"
BEYOND: Final = "the limitations of the function"
INSTRUCTION: Final = f"""\
Where no call can serve the user as things stand, write no calls and no list. Write, after your reasoning, the one sentence that fits:
{WRONG} (VALUE) for the parameters (NAME) in the conversation history.
{MISSING} (NAME, NAME) for the api (FUNCTION)
Due to {BEYOND}, I cannot solve this problem.
The first is for a value that is not of the form its parameter asks for. The second is for required parameters that nobody has given. The \
third is for a request that none of the functions serves."""
_REASONING = re.compile(f"{THINK}.*?(?:{END_THINK}|\\Z)", re.DOTALL)


def says(text: str, category: str, truth: Json) -> bool:
    """Whether upstream's rules find in a completion what was to be said; its reasoning is not part of it.

    Args:
        text: The completion.
        category: A special one.
        truth: The answer as in the file: what is missing by function, what is wrong by parameter, or any text.
    """
    said = spoken(text)
    if category == "special_irrelevant":
        return BEYOND in said
    if category == "special_incomplete":
        return MISSING in said and all(name in said and _all_in(values, said) for name, values in _items(truth))
    return WRONG in said and all(_all_in(values, said) for _, values in _items(truth))


def explain_silence(text: str) -> Fault | None:
    """Return None where a completion has an empty list of calls, or none and says something instead; else what is wrong."""
    calls = read_calls(text)
    if isinstance(calls, Fault):
        if calls.reason is not Reason.NO_TOOL_CALL:
            return calls
        return None if spoken(text) else Fault(Reason.NO_ANSWER, expected="an answer after the reasoning")
    return Fault(Reason.UNEXPECTED_CALL, "[0]", "no call", describe(calls[0].name)) if calls else None


def spoken(text: str) -> str:
    """Return what a completion says besides its reasoning."""
    return _REASONING.sub(" ", text).rpartition(END_THINK)[2].strip()


def _items(truth: Json) -> Sequence[tuple[str, Sequence[str]]]:
    return list(truth.items()) if isinstance(truth, Mapping) else []


def _all_in(values: Sequence[Json], said: str) -> bool:
    return all(str(value) in said for value in values)
