"""Hostile texts of two sizes: a text four times as long may take four times the time, not sixteen times."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from fuzzer.generators import BAIT
from fuzzer.seeds import PROMPTS
from fuzzer.targets import READERS, Target, judged
from toolrl.reward.verifier import MODES, make_verifier

SMALL, LARGE = 1 << 15, 1 << 17
"""Characters."""
FLOOR_S = 0.001
"""Below this, time is mostly noise."""
MOST = 8.0
"""Between 4, linear, and 16, quadratic."""
_MANY = PROMPTS[1]
TARGETS: Mapping[str, Target] = {**READERS, **{mode: judged(make_verifier(mode), (_MANY,)) for mode in MODES}}
_CALL = '{"name": "weather", "arguments": {"city": "Zürich"}}'


@dataclass(frozen=True)
class Growth:
    """What one target took for one hostile text, small and large."""

    target: str
    bait: str
    small_s: float
    large_s: float

    @property
    def ratio(self) -> float:
        """How many times as long the large text took."""
        return self.large_s / max(self.small_s, FLOOR_S)

    @property
    def is_steep(self) -> bool:
        """Whether the time grew as a square would."""
        return self.ratio > MOST


def _block(arguments: str) -> str:
    return f'<think>x</think>\n<tool_call>[{{"name": "weather", "arguments": {arguments}}}]</tool_call>'


FRAMES = ("@", "<think>x</think>\n<tool_call>@", _block('{"city": "Zürich@"}'), "[f(x='@")


def hostile() -> Mapping[str, Callable[[int], str]]:
    """Return makers of a text of about n characters."""
    repeated = {f"{frame!r} with {bait!r}": _repeat(frame, bait) for frame in FRAMES for bait in BAIT}
    return repeated | {
        "arguments nobody asked for": lambda n: _block("{" + ", ".join(f'"k{i}": {i}' for i in range(n // 12)) + "}"),
        "a list of numbers": lambda n: _block('{"city": "x", "prices": [' + ", ".join(["1.0"] * (n // 5)) + "]}"),
        "a list of numbers in quotes": lambda n: _block('{"city": "x", "prices": [' + ", ".join(['"1.0"'] * (n // 7)) + "]}"),
        "many calls": lambda n: f"<think>x</think><tool_call>[{', '.join([_CALL] * (n // len(_CALL)))}]</tool_call>",
        "text of text of text": _encoded,
    }


def _repeat(frame: str, bait: str) -> Callable[[int], str]:
    return lambda n: frame.replace("@", bait * (n // len(bait)))


def _encoded(n: int) -> str:
    text = "[]"
    while len(text) * 2 < n:
        text = '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"<think>x</think><tool_call>{text}</tool_call>"


def growths() -> Iterator[Growth]:
    """Measure every target on every hostile text."""
    for bait, make in hostile().items():
        small, large = make(SMALL), make(LARGE)
        for name, target in TARGETS.items():
            yield Growth(name, bait, _best(target, small), _best(target, large))


def _best(target: Target, text: str) -> float:
    """The least processor time of up to three."""
    best = float("inf")
    for _ in range(3):
        start = time.thread_time()
        target(text)
        best = min(best, time.thread_time() - start)
        if best < FLOOR_S:
            break
    return best
