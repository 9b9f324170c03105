"""What makes two prompts the same: 16-byte digests of normalised conversations and tools.

Normalised text is Unicode NFC with runs of white space as one space. A tool's signature is its name with its arguments' names and types:
a reworded description does not make a new tool. Digests are blake2b over JSON text, so no two parts can run into each other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from hashlib import blake2b

from toolrl.data.jsontext import dumps
from toolrl.types import Json, Message, Prompt, Tool

DIGEST_BYTES = 16


def normalised(text: str) -> str:
    """Return the text in NFC, its white space collapsed."""
    return " ".join(unicodedata.normalize("NFC", text).split())


def signature(tool: Tool) -> list[Json]:
    """Return a tool's name and the sorted names and types of its arguments."""
    properties = tool.parameters.get("properties")
    arguments = properties.items() if isinstance(properties, dict) else ()
    return [tool.name, sorted([name, _type(spec)] for name, spec in arguments)]


def _type(spec: Json) -> str:
    """Return the JSON text of the type that a schema states."""
    word = spec.get("type") if isinstance(spec, dict) else None
    return f'"{word}"' if isinstance(word, str) and word.isalpha() else dumps(word)


def digest(prompt: Prompt, signed: Sequence[Json] = ()) -> bytes:
    """Return the digest of what a model is shown, without the reference: equal for exact duplicates.

    `signed` are the `signatures` of its tools, if they are at hand.
    """
    return _hash([_turns(prompt.messages), list(signed or signatures(prompt.tools))])


def opening(messages: Sequence[Message], tools: Sequence[Tool]) -> str:
    """Return a name for the dialogue that begins like this: the turns up to the first of the user, and the tools.

    Steps cut from one dialogue begin alike, whatever their ids say, so they share it; and two dialogues that begin alike are too near
    to stand on both sides of a split.
    """
    first = next((i for i, message in enumerate(messages) if message.role == "user"), len(messages))
    return "opening-" + _hash([_turns(messages[: first + 1]), signatures(tools)]).hex()


def _turns(messages: Sequence[Message]) -> list[Json]:
    return [[m.role, normalised(m.content), [[call.name, dict(call.arguments)] for call in m.tool_calls]] for m in messages]


def signatures(tools: Sequence[Tool]) -> list[Json]:
    """Return the signatures of tools, in an order of their own."""
    return sorted((signature(tool) for tool in tools), key=dumps)


def _hash(value: Json) -> bytes:
    return blake2b(dumps(value, sort_keys=True).encode(), digest_size=DIGEST_BYTES).digest()
