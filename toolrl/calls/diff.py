"""The calls of a completion beside the calls of the reference: each pair, argument by argument, for a person to read.

    predicted, prompt ─> who answers whom ─> CallDiff of each pair ─> ArgumentDiff of each argument, or place in it

Equality is that of `match`, or of `accept` where the prompt lists the values that are right; a call without a partner that
it equals is set beside the one most alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

from toolrl.calls.accept import accepted_differences
from toolrl.calls.assign import MAX_DIFFERENCES, maximum_matching
from toolrl.calls.bfcl.values import told
from toolrl.calls.fault import Difference
from toolrl.calls.match import call_differences, nfc, same_text
from toolrl.calls.schema import ABSENT, Place, arguments_of
from toolrl.types import AcceptedCall, Json, Prompt, Reason, ToolCall

Wanted = ToolCall | AcceptedCall


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
    """The rule that it breaks; `correct` also where it may be left out, or equals the default that the schema states."""


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


def diff_calls(predicted: Sequence[ToolCall], prompt: Prompt) -> tuple[CallDiff, ...]:
    """Return a diff for each reference call in order, then one for each predicted call that answers none.

    Where the prompt lists the values that are right (`accepted`), they stand in place of the reference.
    """
    wanted: Sequence[Wanted] = prompt.accepted or prompt.reference
    places = [arguments_of(prompt.tools, call.name) for call in wanted]
    partners = _partners(predicted, wanted, places)
    answers = {j: i for i, j in enumerate(partners) if j is not None}
    found = []
    for j, call in enumerate(wanted):
        i = answers.get(j)
        rows = _missing(call) if i is None else _arguments(predicted[i], call, places[j])
        found.append(CallDiff(i, j, call.name, "" if i is None else predicted[i].name, tuple(rows)))
    extra = [(i, predicted[i]) for i, j in enumerate(partners) if j is None]
    return (*found, *(CallDiff(i, None, "", call.name, tuple(_surplus(call))) for i, call in extra))


def _partners(predicted: Sequence[ToolCall], wanted: Sequence[Wanted], places: Sequence[Place]) -> list[int | None]:
    """Return for each predicted call the one it answers: first those that are equal, then the most alike of what is left."""
    counts = {
        (i, j): sum(1 for _ in islice(_differences(got, call, places[j]), MAX_DIFFERENCES))
        for i, got in enumerate(predicted)
        for j, call in enumerate(wanted)
    }
    partners = maximum_matching(lambda i, j: counts[i, j] == 0, len(predicted), len(wanted))
    taken = set(partners)
    for i, j in sorted(counts, key=lambda pair: (predicted[pair[0]].name != wanted[pair[1]].name, counts[pair], pair)):
        if partners[i] is None and j not in taken:
            partners[i] = j
            taken.add(j)
    return partners


def _differences(predicted: ToolCall, wanted: Wanted, place: Place) -> Iterator[Difference]:
    if isinstance(wanted, ToolCall):
        return call_differences(predicted, wanted, place)
    return accepted_differences(predicted, wanted, place)


def _arguments(predicted: ToolCall, wanted: Wanted, place: Place) -> Iterator[ArgumentDiff]:
    """Yield the arguments of both calls, those of the reference first."""
    for key in dict.fromkeys((*map(nfc, _members(wanted)), *map(nfc, predicted.arguments))):
        have, want = ToolCall(wanted.name, _only(predicted.arguments, key)), _restricted(wanted, key)
        found = [ArgumentDiff(_inner(d.path), d.expected, d.got, d.reason) for d in _differences(have, want, place)]
        yield from found or [ArgumentDiff(key, _first(_shown(want)), _first(have.arguments))]


def _missing(wanted: Wanted) -> Iterator[ArgumentDiff]:
    return (ArgumentDiff(key, value, ABSENT) for key, value in _shown(wanted).items())


def _surplus(call: ToolCall) -> Iterator[ArgumentDiff]:
    return (ArgumentDiff(key, ABSENT, value) for key, value in call.arguments.items())


def _members(wanted: Wanted) -> Mapping[str, Json]:
    return wanted.arguments if isinstance(wanted, ToolCall) else wanted.values


def _shown(wanted: Wanted) -> Mapping[str, Json]:
    """Return what is wanted of each argument, several values in words."""
    return wanted.arguments if isinstance(wanted, ToolCall) else {key: told(values) for key, values in wanted.values.items()}


def _restricted(wanted: Wanted, key: str) -> Wanted:
    members = _only(_members(wanted), key)
    return ToolCall(wanted.name, members) if isinstance(wanted, ToolCall) else AcceptedCall(wanted.name, members)


def _only(members: Mapping[str, Json], key: str) -> dict[str, Json]:
    return {name: value for name, value in members.items() if nfc(name) == key}


def _first(members: Mapping[str, Json]) -> Json:
    return next(iter(members.values()), ABSENT)


def _inner(path: str) -> str:
    return path.removeprefix(".arguments").removeprefix(".")
