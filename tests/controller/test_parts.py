"""Failures leave by name."""

import pytest

from toolrl.controller.parts import first_failure, part
from toolrl.errors import LearnerError, RolloutError


def test_a_foreign_error_becomes_the_parts_own():
    with pytest.raises(LearnerError, match=r"^learner, rank 1: KeyError: 'w'$") as caught, part(LearnerError, "learner, rank 1"):
        raise KeyError("w")
    assert isinstance(caught.value.__cause__, KeyError)


def test_the_first_toolrl_error_speaks_and_the_rest_are_its_notes():
    first, second, foreign = RolloutError("engine 0"), LearnerError("rank 1"), ValueError("x")
    group = BaseExceptionGroup("", [foreign, ExceptionGroup("", [first, second]), first, second])
    assert first_failure(group) is first
    assert first.__notes__ == ["and also: ValueError: x", "and also: LearnerError: rank 1"]


def test_without_a_toolrl_error_the_first_error_speaks():
    bug = AssertionError("ours")
    assert first_failure(ExceptionGroup("", [bug, ValueError("x")])) is bug
