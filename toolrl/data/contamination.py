"""Which prompts stand in a benchmark that people judge models by: training on them spoils its figures.

    user turn ─ request ─> "what is the weather in paris" ─┬─ hash ───────────────────> known request?   ─┐
    tools ─ signature ─> "get weather(city:string)" ───────┴─ hash of both ───────────> known pair?      ─┴─> Hit

Benchmarks are held as hashes alone. A prompt is a hit where one of its user turns is a request of a benchmark and either the tools are the
same too, or the request has MIN_WORDS words and so is no coincidence. Only what is equal in normal form is found: a request that was
reworded, or stands inside a longer turn, is not.
"""

from __future__ import annotations

import re
import unicodedata
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from importlib import resources
from pathlib import Path
from typing import Any, Final

from toolrl.calls.schema import TYPE_WORDS
from toolrl.data.jsontext import dumps, loads
from toolrl.errors import DataError
from toolrl.types import Json, Prompt, Tool

FORMAT: Final = "toolrl.fingerprints/1"
"""Marks a file of fingerprints, in its first line."""
MIN_WORDS: Final = 8
"""Words from which a request alone tells. Between seven independent sources (three benchmarks, four training sets; 8,100 different user
turns) four turns coincide, the longest in five words ("thank you for your help"); dialogues of one source repeat stock phrases of seven."""
HASH_BYTES: Final = 6
"""A million rows against ten thousand fingerprints: one false hit in ten thousand such runs."""
REQUEST_AND_TOOLS: Final = "request and tools"
REQUEST: Final = "request"

_HAN_KANA = "\u3040-\u30ff\u3400-\u9fff"
_WORD = re.compile(rf"[{_HAN_KANA}]{{1,2}}|[^\W_{_HAN_KANA}]+")  # written without spaces: two signs count as a word


@dataclass(frozen=True, slots=True)
class Hit:
    """A prompt stands in a benchmark."""

    benchmark: str
    match: str
    """What is equal: REQUEST_AND_TOOLS or REQUEST."""


@dataclass(frozen=True, slots=True)
class Guard:
    """Benchmarks by their fingerprints. Picklable; one look costs microseconds."""

    items: Mapping[str, int]
    """How many items of each benchmark are known."""
    requests: Mapping[bytes, tuple[str, ...]]
    """Hash of a request -> the benchmarks that make it."""
    pairs: Mapping[bytes, tuple[str, ...]]
    """Hash of a request with the tools it is made with -> the benchmarks."""

    @classmethod
    def shipped(cls) -> Guard:
        """Return the guard against the benchmarks whose fingerprints come with the package."""
        return _shipped()

    @classmethod
    def load(cls, files: Iterable[Path]) -> Guard:
        """Return a guard from files made by `toolrl fingerprint`. Raises DataError."""
        return cls._of((str(file), _text(file)) for file in files)

    @classmethod
    def _of(cls, texts: Iterable[tuple[str, str]]) -> Guard:
        guard = cls({}, {}, {})
        for place, text in texts:
            header, keys = _parse(text, place)
            name = header["benchmark"]
            guard.items[name] = guard.items.get(name, 0) + header["items"]  # type: ignore[index]
            for key in keys:
                for known, part in ((guard.requests, key[:HASH_BYTES]), (guard.pairs, key[HASH_BYTES:])):
                    if part and name not in known.get(part, ()):
                        known[part] = (*known.get(part, ()), name)  # type: ignore[index]
        return guard

    def hits(self, prompt: Prompt) -> tuple[Hit, ...]:
        """Return the benchmarks that a prompt stands in, each once with the stronger match."""
        found: dict[str, str] = {}
        tools: str | None = None
        for message in prompt.messages:
            if message.role == "user":
                words = request(message.content)
                key = _hash(words)
                if key in self.requests:
                    tools = signature(prompt.tools) if tools is None else tools
                    both = self.pairs.get(_hash(words, tools), ())
                    alone = self.requests[key] if is_telling(words) else ()
                    found |= {name: REQUEST for name in alone if name not in found}
                    found |= dict.fromkeys(both, REQUEST_AND_TOOLS)
        return tuple(Hit(name, match) for name, match in found.items())


def request(text: str) -> str:
    """Return the words of a text: letters and digits of any script in one width and case, one space between, all else dropped."""
    return " ".join(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def is_telling(words: str) -> bool:
    """Whether a request, as `request` returns it, is long enough to be no coincidence."""
    return words.count(" ") + 1 >= MIN_WORDS


def signature(tools: Sequence[Tool]) -> str:
    """Return the tools' names with the names and JSON types of their arguments, sorted; empty without tools.

    Origins agree: names are compared by their words (`weather.get`, `weather_get`), types in JSON schema's words (dict is object).
    """
    return "\n".join(sorted(_signature(tool) for tool in tools))


def fingerprints(turns: Iterable[str], tools: Sequence[Tool]) -> Iterator[bytes]:
    """Yield one fingerprint for each user turn of an item: the hash of the request, then where there are tools that of both."""
    signed = signature(tools)
    for words in map(request, turns):
        yield _hash(words) + (_hash(words, signed) if signed else b"")


def to_text(benchmark: str, revision: str, items: int, keys: Iterable[bytes]) -> str:
    """Return the text of a file of fingerprints: a header, then one a line, sorted, in Base64. The same keys give the same text."""
    header = {"format": FORMAT, "benchmark": benchmark, "revision": revision, "items": items}
    return "\n".join([dumps(header), *sorted({b64encode(key).decode() for key in keys}), ""])


def training_hits(prompts: Iterable[Prompt], guard: Guard | None = None) -> str:
    """Return in one line how many prompts stand in each benchmark; empty where none does. Without a guard, the shipped one looks."""
    guard = guard or Guard.shipped()
    counts: dict[str, int] = {}
    first: dict[str, str] = {}
    for prompt in prompts:
        for hit in guard.hits(prompt):
            counts[hit.benchmark] = counts.get(hit.benchmark, 0) + 1
            first.setdefault(hit.benchmark, prompt.id)
    if not counts:
        return ""
    listed = ", ".join(f"{counts[name]:,} of {name} (first: {first[name]})" for name in guard.items if name in counts)
    return f"trains on prompts that stand in benchmarks: {listed}; `toolrl prepare` removes them"


@cache
def _shipped() -> Guard:
    folder = resources.files("toolrl.data.benchmarks")
    files = sorted((file for file in folder.iterdir() if file.name.endswith(".fingerprints")), key=lambda file: file.name)
    return Guard._of((file.name, file.read_text(encoding="ascii")) for file in files)


def _signature(tool: Tool) -> str:
    properties = tool.parameters.get("properties")
    arguments = properties.items() if isinstance(properties, Mapping) else ()
    return f"{request(tool.name)}({','.join(sorted(f'{name}:{_types(spec)}' for name, spec in arguments))})"


def _types(spec: Json) -> str:
    stated = spec.get("type") if isinstance(spec, Mapping) else None
    words = stated if isinstance(stated, list) else [stated]
    return "|".join(sorted({TYPE_WORDS.get(word.lower(), word.lower()) for word in words if isinstance(word, str)}))


def _hash(*parts: str) -> bytes:
    return blake2b("\n\n".join(parts).encode("utf-8", "surrogatepass"), digest_size=HASH_BYTES).digest()


def _text(file: Path) -> str:
    if file.exists() and not file.is_file():  # a pipe would be waited for without end
        raise DataError(f"{file}: not a file; make it with `toolrl fingerprint`")
    try:
        return file.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: cannot be read ({error}); make it with `toolrl fingerprint`") from error


def _parse(text: str, place: str) -> tuple[Mapping[str, Any], list[bytes]]:
    first, *lines = text.splitlines() or [""]
    try:
        header, keys = loads(first), [b64decode(line, validate=True) for line in lines]
        sound = header["format"] == FORMAT and isinstance(header["benchmark"], str) and isinstance(header["items"], int)
    except (ValueError, TypeError, KeyError):
        sound = False
    if not sound or any(len(key) not in (HASH_BYTES, 2 * HASH_BYTES) for key in keys):
        raise DataError(f"{place}: expected a file of fingerprints, got {first[:60]!r}; make it with `toolrl fingerprint`")
    return header, keys
