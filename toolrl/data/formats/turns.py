"""What the formats of `conversations` share: turns `{from, value}`, and system texts that are instructions on form.

Such an instruction tells of another form than the one trained here, so the model is not shown it, but for what it says of date and time:
answers may depend on that.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from toolrl.data.jsontext import dumps
from toolrl.errors import DataError
from toolrl.types import Json

CALLING = "function_call"
"""The role of a turn that is one call or a list of them, as JSON."""
ROLES: Mapping[str, str] = {
    "system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant", "model": "assistant",
    "tool": "tool", "observation": "tool", "function_response": "tool", CALLING: CALLING,
}  # fmt: skip
"""Role words of the releases and what they mean here."""

_CLOCK = re.compile(r"\b(?:current (?:date|time)|today is|today's date|date today)\b", re.IGNORECASE)


def read_turns(conversations: list[Json]) -> list[tuple[str, str]]:
    """Return the role and the text of each turn. Raises DataError."""
    return [_turn(turn, f"conversations[{i}]") for i, turn in enumerate(conversations)]


def clock_lines(text: str) -> str:
    """Return the lines of an instruction that say what day or time it is."""
    return "\n".join(line.strip() for line in text.splitlines() if _CLOCK.search(line))


def _turn(turn: Json, where: str) -> tuple[str, str]:
    word = turn.get("from") if isinstance(turn, dict) else None
    role = ROLES.get(word) if isinstance(word, str) else None
    if role is None or not isinstance(turn.get("value"), str):
        raise DataError(f"{where}: expected {{from, value}} with `from` one of {', '.join(ROLES)}, got {dumps(turn)[:80]}; remove the row")
    return role, turn["value"]
