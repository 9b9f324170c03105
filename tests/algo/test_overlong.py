import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.algo.overlong import overlong_punishment


@pytest.mark.parametrize(("tokens", "punishment"), [(1, 0.0), (16, 0.0), (17, -0.25), (18, -0.5), (20, -1.0), (25, -1.0)])
def test_the_last_tokens_before_the_limit_cost_a_share_each(tokens, punishment):
    assert overlong_punishment(tokens, max_tokens=20, buffer=4) == punishment


@given(st.integers(1, 100), st.integers(1, 100), st.integers(1, 300))
def test_it_is_each_of_the_three_cases_of_dapo(limit, buffer, tokens):
    buffer = min(buffer, limit)
    if tokens <= limit - buffer:
        expected = 0.0
    elif tokens <= limit:
        expected = ((limit - buffer) - tokens) / buffer
    else:
        expected = -1.0
    assert overlong_punishment(tokens, limit, buffer) == expected
