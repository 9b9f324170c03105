"""A maximum matching decides; what is left over is paired by closeness and explained."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from toolrl.calls.assign import match_calls, maximum_matching
from toolrl.calls.fault import Difference
from toolrl.types import Reason


def differ(predicted, reference):
    """`predicted` is a number and `reference` the set of acceptable ones: alternatives, as in BFCL."""
    if predicted not in reference:
        yield Difference(Reason.WRONG_VALUE, ".n", sorted(reference), predicted)


def test_alternatives_are_matched_where_first_fit_would_fail():
    assert match_calls([1, 2], [{1, 2}, {1}], differ) is None  # first fit gives 1 to {1, 2} and leaves 2 nowhere


def test_a_surplus_call_and_a_missing_call_are_named_by_their_own_side():
    surplus = match_calls([7, 1, 2], [{1}, {2}], differ)
    assert (surplus.reason, surplus.path, surplus.expected, surplus.got) == (Reason.WRONG_COUNT, "[0]", "2 calls", "3 calls")
    missing = match_calls([2], [{1}, {2}], differ)
    assert (missing.reason, missing.path, missing.expected, missing.got) == (Reason.WRONG_COUNT, "reference[0]", "2 calls", "1 call")
    assert match_calls([], [{1}], differ).path == "reference[0]"


def test_the_wrong_call_is_compared_with_the_reference_call_nobody_answers():
    fault = match_calls([2, 9, 1], [{1}, {2}, {3}], differ)
    assert (fault.path, fault.expected, fault.got) == ("[1].n", "[3]", "9")


GRAPHS = st.integers(0, 5).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.lists(st.booleans(), min_size=n, max_size=n), max_size=5)))


@given(GRAPHS)
def test_no_assignment_fits_more_calls(graph):
    num_right, fits = graph
    partners = maximum_matching(lambda i, j: fits[i][j], len(fits), num_right)
    matched = [(i, j) for i, j in enumerate(partners) if j is not None]
    assert all(fits[i][j] for i, j in matched)
    assert len({j for _, j in matched}) == len(matched)
    slots = [*range(num_right), *[None] * len(fits)]
    best = max(sum(j is not None and fits[i][j] for i, j in enumerate(p)) for p in itertools.permutations(slots, len(fits)))
    assert len(matched) == best
