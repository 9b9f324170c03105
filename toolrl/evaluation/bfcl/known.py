"""Items that no answer passes, or whose official verdict hangs on what should not matter, each with the reason.

Found by letting both rules judge the benchmark's own answers: these are all that fail.
"""

from __future__ import annotations

from typing import Final

from toolrl.evaluation.benchmark import Known

_NOTHING_ACCEPTED = "the answer accepts no value at all for a required argument ({}), so nothing passes"
_TEXTS = "items of an ArrayList of `any` are compared as texts with an answer that lists numbers and truth values, so nothing passes"

KNOWN: Final = (
    Known("live_simple_106-63-0", _NOTHING_ACCEPTED.format("auto_loan_payment_start, bank_hours_start")),
    Known("live_simple_112-68-0", _NOTHING_ACCEPTED.format("acc_routing_start, atm_finder_start and three more")),
    Known("live_multiple_862-181-3", "the answer demands the argument journey_start_time, which the function has not, so nothing passes"),
    Known(
        "live_multiple_964-207-0",
        "the answer demands the argument question, which the function has not, and lacks its required statement, so nothing passes",
    ),
    Known("simple_java_36", _TEXTS),
    Known(
        "simple_java_64",
        "the answer's HashMap holds a text where a list of values is meant, so that one of its letters passes and its own answer does not",
    ),
    Known("simple_java_65", _TEXTS),
    Known(
        "parallel_178",
        "officially 12 of the 24 orders of the right calls are wrong, since each label takes the first call that fits; ours takes all",
    ),
)
