"""Versions as a person writes them."""

import pytest

from toolrl.config.versions import versions


@pytest.mark.parametrize(
    ("text", "named"),
    [("", []), ("3", [3]), ("3,10-12", [3, 10, 11, 12]), (" 0 , 2 - 2 ", [0, 2])],
)
def test_numbers_and_ranges(text, named):
    assert [number for each in versions(text) for number in each] == named


@pytest.mark.parametrize("text", ["x", "3,", "-3", "3-", "5-4", "1.5", "3;4"])
def test_what_is_neither_is_told(text):
    with pytest.raises(ValueError, match=r"no number|ends before"):
        versions(text)


def test_a_long_range_takes_no_memory():
    assert 10**12 in versions(f"1-{10**15}")[0]
