"""Inputs made by hypothesis, which tends to find the short, odd ones."""

from collections.abc import Callable

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fuzzer.generators import PIECES
from fuzzer.seeds import COMPLETIONS
from toolrl.calls.render import render_completion
from toolrl.types import ToolCall

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["weather", "odd name/é", "java.get", "script", ""]) | st.text(max_size=5)
KEYS = st.sampled_from(["city", "days", "price", "prices", "box", "n", "m", "a"]) | st.text(max_size=4)
CALLS = st.lists(st.builds(ToolCall, NAMES, st.dictionaries(KEYS, JSON, max_size=4)), max_size=4)


def _patched(text: str, start: int, length: int, patch: str) -> str:
    start %= len(text) + 1
    return text[:start] + patch + text[start + length :]


TEXTS = st.one_of(
    st.text(),
    st.lists(st.sampled_from(PIECES), max_size=12).map("".join),
    CALLS.map(lambda calls: render_completion(calls, "x")),
    st.builds(
        _patched, st.sampled_from(COMPLETIONS), st.integers(0, 999), st.integers(0, 9), st.text(max_size=2) | st.sampled_from(PIECES)
    ),
)


def each_text(count: int, start: int, consume: Callable[[str], None]) -> None:
    """Give `count` texts to `consume`, which must not raise."""

    @seed(start)
    @settings(max_examples=count, database=None, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(TEXTS)
    def run(text: str) -> None:
        consume(text)

    run()
