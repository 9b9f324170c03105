"""The calls of a completion beside the calls of the reference: each pair, argument by argument, for a person to read.

    predicted, reference, tools ─> who answers whom ─> CallDiff of each pair ─> ArgumentDiff of each argument, or place in it

Equality is that of `match`; a call without a partner that it equals is set beside the one most alike.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from toolrl.calls.assign import MAX_DIFFERENCES, maximum_matching
from toolrl.calls.match import call_differences, same_text
from toolrl.calls.schema import ABSENT, Place, arguments_of
from toolrl.types import Json, Reason, Tool, ToolCall


@dataclass(frozen=True, slots=True)
class ArgumentDiff:
    """One argument, or one place inside it that differs."""

    path: str
    """As in `city` or `stops[0].city`."""
    expected: Json
    """ABSENT where the reference does not give it."""
    got: Json
    """ABSENT where the completion does not give it."""
    reason: Reason = Reason.CORRECT
    """The rule that it breaks; `correct` also where it was left out and equals the default that the schema states."""


@dataclass(frozen=True, slots=True)
class CallDiff:
    """A predicted call beside the reference call it answers; one of the two may be missing."""

    predicted: int | None
    reference: int | None
    expected_name: str
    """Empty where no reference call belongs to it."""
    got_name: str
    """Empty where nothing answers the reference call."""
    arguments: tuple[ArgumentDiff, ...]

    @property
    def right(self) -> bool:
        """Whether the two calls are equal."""
        paired = self.predicted is not None and self.reference is not None
        return paired and same_text(self.expected_name, self.got_name) and all(a.reason is Reason.CORRECT for a in self.arguments)


def diff_calls(predicted: Sequence[ToolCall], reference: Sequence[ToolCall], tools: Sequence[Tool]) -> tuple[CallDiff, ...]:
    """Return a diff for each reference call in order, then one for each predicted call that answers none."""
    partners = _partners(predicted, reference, tools)
    answers = {j: i for i, j in enumerate(partners) if j is not None}
    answered = [_pair(answers.get(j), j, predicted, reference, tools) for j in range(len(reference))]
    return (*answered, *(_pair(i, None, predicted, reference, tools) for i, j in enumerate(partners) if j is None))


def _partners(predicted: Sequence[ToolCall], reference: Sequence[ToolCall], tools: Sequence[Tool]) -> list[int | None]:
    """Return for each predicted call its reference call: first those that are equal, then the most alike of what is left."""
    places = [arguments_of(tools, call.name) for call in reference]
    counts = {
        (i, j): sum(1 for _ in islice(call_differences(call, wanted, places[j]), MAX_DIFFERENCES))
        for i, call in enumerate(predicted)
        for j, wanted in enumerate(reference)
    }
    partners = maximum_matching(lambda i, j: counts[i, j] == 0, len(predicted), len(reference))
    taken = set(partners)
    for i, j in sorted(counts, key=lambda pair: (predicted[pair[0]].name != reference[pair[1]].name, counts[pair], pair)):
        if partners[i] is None and j not in taken:
            partners[i] = j
            taken.add(j)
    return partners


def _pair(i: int | None, j: int | None, predicted: Sequence[ToolCall], reference: Sequence[ToolCall], tools: Sequence[Tool]) -> CallDiff:
    got = None if i is None else predicted[i]
    wanted = None if j is None else reference[j]
    names = "" if wanted is None else wanted.name, "" if got is None else got.name
    place = arguments_of(tools, names[0] or names[1])
    rows = _arguments(wanted.arguments if wanted else {}, got.arguments if got else {}, place, alone=wanted is None or got is None)
    return CallDiff(i, j, *names, tuple(rows))


def _arguments(expected: Mapping[str, Json], got: Mapping[str, Json], place: Place, *, alone: bool) -> Iterator[ArgumentDiff]:
    """Yield the arguments of both calls in the order of the reference; `alone`: there is only one call, so nothing is compared."""
    for key in dict.fromkeys((*map(_nfc, expected), *map(_nfc, got))):
        want, have = _only(expected, key), _only(got, key)
        found = () if alone else tuple(call_differences(ToolCall("", have), ToolCall("", want), place))
        yield from (ArgumentDiff(_inner(d.path), d.expected, d.got, d.reason) for d in found)
        if not found:
            yield ArgumentDiff(key, next(iter(want.values()), ABSENT), next(iter(have.values()), ABSENT))


def _only(arguments: Mapping[str, Json], key: str) -> dict[str, Json]:
    return {name: value for name, value in arguments.items() if _nfc(name) == key}


def _nfc(key: str) -> str:
    return unicodedata.normalize("NFC", key)


def _inner(path: str) -> str:
    return path.removeprefix(".arguments").removeprefix(".")
