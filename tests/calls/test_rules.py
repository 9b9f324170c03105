"""Every reason has its rule, so that every verdict can say which one it is about."""

import pytest

from toolrl.calls.rules import RULES
from toolrl.types import Reason


@pytest.mark.parametrize("reason", Reason)
def test_every_reason_has_a_rule_of_one_line(reason):
    assert RULES[reason]
    assert len(RULES[reason]) <= 100
    assert RULES[reason][-1] != "."
