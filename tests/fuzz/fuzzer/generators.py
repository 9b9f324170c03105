"""How inputs are made: each generator turns a seeded random stream into one text, most short, a few of them large."""

from collections.abc import Callable, Mapping
from random import Random

from fuzzer.seeds import BRACKETS, COMPLETIONS, JAVA_TEXTS, MANY, ONE, SCRIPT_TEXTS
from toolrl.calls.render import render_completion
from toolrl.types import Json, ToolCall

TAGS = ("<think>", "</think>", "<tool_call>", "</tool_call>", "<|im_start|>assistant", "```json", "```", "<tools>")
PIECES = (
    *TAGS, '"', "'", "\\", "\\u", "\\ud800", "\\udc00\\ud800", "[", "]", "{", "}", "(", ")", ":", ",", "=", "NaN", "-Infinity", "-",
    "+", ".",
    "1e999", "1e-999999999", "1E", "0x", "9" * 700, "0" * 50, "null", "None", "true", "True", "undefined", "\n", "\r", "\t", "\x00",
    "\x1f",
    "\x85", "\u2028", "\ud800", "\udfff", "é", "e\u0301", "\u0301", "\u0316", "\u1100\u1161\u11a8", "\U0001f4e6", "\ufeff", " ", "\xa0",
    "[{", "}]",
    '"name"', '"arguments"', '"parameters"', '{"name": "weather", "arguments": {}}',
    '{"name": "weather", "arguments": {"city": "Zürich"}}',
    "weather(", "new HashMap<>()", "Arrays.asList(", "//", "/*", "#", "lambda", "b'", "f'", '"""', "''", "`", "${", "=>", ";",
)  # fmt: skip
BAIT = (
    "<tool_call>", "<tool_call>[", "</tool_call>", "<think>", "</think>", "<think></think>", '{"', '["', "[{", '{"a":',
    '[{"name": "weather", "arguments": {"city": ',
    "\\", '\\"', '"\\', '"', "''", "[", "(", "{", "[]", "{}", "[],", '""', '"a",', "1,", "9", "0.", "1e", "-", " ", "\n", "\t ", "<",
    "</", "<t",
    "```", "<|im_start|>assistant", '{"name": "weather", "arguments": {}},', '{"name": "weather"}', "\u0301\u0316", "\u0344", "é",
    "\ud800", "f(", "f(a=", "a=1, ",
    "[f(x=[", "new int[]{", "Arrays.asList(", "{{put(", "//", "/*", "`${", "x ", "x/", "x.",
)  # fmt: skip
Generator = Callable[[Random], str]


def _size(rng: Random, largest: int) -> int:
    """A count up to `largest`, small ones far likelier."""
    return int(largest ** rng.random())


def _cut(rng: Random, text: str) -> tuple[int, int]:
    start = rng.randrange(len(text) + 1)
    return start, min(len(text), start + rng.choice((0, 0, 1, 2, 5, 20)))


def flipped(rng: Random) -> str:
    """Bits of the UTF-8 bytes flipped, whatever is no UTF-8 any more becoming surrogates."""
    raw = bytearray(rng.choice(COMPLETIONS).encode())
    for _ in range(_size(rng, 8)):
        raw[rng.randrange(len(raw))] ^= 1 << rng.randrange(8)
    return raw.decode("utf-8", rng.choice(("surrogateescape", "replace", "ignore")))


def patched(rng: Random, seeds: tuple[str, ...] = COMPLETIONS) -> str:
    """Pieces written into a text, or over it."""
    text = rng.choice(seeds)
    for _ in range(_size(rng, 7)):
        start, end = _cut(rng, text)
        text = text[:start] + rng.choice(PIECES) + text[end:]
    return text


def spliced(rng: Random) -> str:
    """Parts of two texts, joined."""
    first, second = rng.choice(COMPLETIONS), rng.choice(COMPLETIONS)
    return first[: rng.randrange(len(first) + 1)] + second[rng.randrange(len(second)) :]


def truncated(rng: Random) -> str:
    """A text that ends too early, or begins too late."""
    text = rng.choice(COMPLETIONS)
    at = rng.randrange(len(text) + 1)
    return text[:at] if rng.random() < 0.8 else text[at:]


def retagged(rng: Random) -> str:
    """Every tag of a text replaced by some tag, or none."""
    text = rng.choice(COMPLETIONS)
    for tag in TAGS:
        text = text.replace(tag, rng.choice(TAGS) * rng.choice((0, 1, 1, 2)))
    return text


def baited(rng: Random) -> str:
    """One or two pieces repeated, alone or inside a block or a string: what a quadratic reader would choke on."""
    bait = rng.choice(BAIT) * _size(rng, 1000) + rng.choice(("", "", rng.choice(BAIT) * _size(rng, 1000)))
    return rng.choice(_FRAMES).replace("@", bait)


_FRAMES = (
    "@", "<think>x</think>\n<tool_call>@", "<think>x</think>\n<tool_call>[@]</tool_call>", "<think>@</think>\n<tool_call>[]</tool_call>",
    "@<tool_call>[]</tool_call>", '<think>x</think>\n<tool_call>[{"name": "weather", "arguments": {"city": "Zürich@"}}]</tool_call>',
    '<think>x</think>\n<tool_call>[{"name": "weather", "arguments": {"@": 5, "prices": [@]}}]</tool_call>', "<think>x</think>@",
    "[f(x='@')]", "f(@)",
)  # fmt: skip


def nested(rng: Random) -> str:
    """Brackets within brackets, closed or not, around the caps on depth."""
    depth = rng.choice((rng.randrange(120, 136), rng.randrange(600), 2))
    opening, closing = rng.choice((("[", "]"), ('{"a":', "}"), ("[[{", "}]]"), ('{"box": ', "}"), ("(", ")")))
    inside = opening * depth + rng.choice(("1", "", '"x"')) + closing * rng.choice((depth, depth - 1, 0))
    return rng.choice(_FRAMES[:3] + _FRAMES[6:7]).replace("@", inside, 1).replace("@", "")


def valued(rng: Random) -> str:
    """A right form whose values, keys or names are not quite the reference's: goes through the matchers to the end."""
    calls = [ToolCall(call.name, _mutated(rng, call.arguments, 3)) for call in rng.choice((ONE, MANY, MANY))]
    rng.shuffle(calls)
    calls += calls[: rng.choice((0, 0, 0, 1, 40))]
    return render_completion(calls[rng.choice((0, 0, 1)) :], "x")


def _mutated(rng: Random, value: Json, changes: int) -> Json:
    if rng.random() < 0.05:
        return rng.choice(_VALUES)
    if isinstance(value, dict):
        pairs = [(key + rng.choice(("", "", "", "", "é", " ")), _mutated(rng, item, changes)) for key, item in value.items()]
        return dict(pairs[: rng.choice((len(pairs), len(pairs), 1))])
    if isinstance(value, list):
        return [_mutated(rng, item, changes) for item in value][:: rng.choice((1, 1, -1))]
    return value


_VALUES: tuple[Json, ...] = (
    0, 1, -1, 1.5, 5.0, 10**300, True, False, None, "", "5", "1.50", "true", "True", "null", "[1, 2.5, -3]", '{"w": 2}', "[" * 200,
    "9" * 5000,
    "Zu\u0308rich", "zürich", "x" + "\u0301" * 40, "x" + "\u0301\u0316" * 15, "\ud800", [], {}, [[]], [None] * 300,
    {str(i): i for i in range(300)},
    {"w": {"box": {"w": "2"}}}, "new HashMap<>(", "{a: [", "42L", "'" * 9, "a \"b\" 'c'", "_ . , / - * ^",
)  # fmt: skip


def scrambled(rng: Random) -> str:
    """Pieces in any order."""
    return "".join(rng.choices(PIECES, k=_size(rng, 40)))


def called(rng: Random) -> str:
    """Call syntax of Python, as BFCL's prompts and ToolACE's rows write it, patched."""
    return patched(rng, BRACKETS)


def written(rng: Random) -> str:
    """Literals of Java or JavaScript, patched, alone or as the value of an argument."""
    java = rng.random() < 0.5
    text = patched(rng, JAVA_TEXTS if java else SCRIPT_TEXTS)
    if rng.random() < 0.5:
        return text
    call = ToolCall("java.get", {"n": text, "m": text, "s": text}) if java else ToolCall("script", {"a": text, "o": text, "b": text})
    return render_completion([call], "x")


def huge(rng: Random) -> str:
    """One of the others, repeated until it is large: up to the cap on size and beyond."""
    text = rng.choice((patched, baited, scrambled, valued))(rng) or "x"
    return text * (1 + _size(rng, 200_000) // len(text)) if rng.random() < 0.98 else text * (1 + 1_100_000 // len(text))


GENERATORS: Mapping[str, tuple[Generator, float]] = {
    "bits flipped": (flipped, 14), "pieces patched in": (patched, 22), "two texts spliced": (spliced, 6), "cut short": (truncated, 5),
    "tags shuffled": (retagged, 5), "repeated bait": (baited, 3), "nested brackets": (nested, 1), "values changed": (valued, 16),
    "pieces scrambled": (scrambled, 9), "call syntax": (called, 8), "Java and JavaScript": (written, 7), "huge": (huge, 0.05),
}  # fmt: skip
"""Generators by name, with the share of inputs that each makes."""
