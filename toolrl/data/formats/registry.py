"""Which formats there are, and which of them a row is written in.

| name | displayed | a row has |
|---|---|---|
| chat | chat | `messages` |
| xlam | xLAM | `query`, `answers`, `tools` |
| bfcl | BFCL | `question`, `function` |
| hermes | Hermes | `conversations`, and `tools` or tags in the system turn |
| toolace | ToolACE | `conversations`, and `system` |
| toolrl | ToolRL | `prompt` and `reward_model`, or `instruction`, `input`, `output` |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from toolrl.data.chat import chat_dialogue
from toolrl.data.formats import bfcl, hermes, toolace, toolrl, xlam
from toolrl.data.steps import Dialogue, Origin
from toolrl.errors import ConfigError, DataError
from toolrl.types import Json


@dataclass(frozen=True, slots=True)
class Format:
    """A format of raw rows."""

    kind: str
    """Its name for people."""
    fits: Callable[[Mapping[str, Any]], bool]
    """Whether a row looks like it."""
    read: Callable[[Mapping[str, Any], Origin], Dialogue]
    """Raises DataError without a place."""
    mendable: bool = False
    """Whether rows are the user's own, so that one that cannot be read is an error; rows of published sets are left out and counted."""


FORMATS: Mapping[str, Format] = {
    "chat": Format("chat", lambda row: "messages" in row, chat_dialogue, mendable=True),
    "xlam": Format("xLAM", xlam.fits, xlam.read),
    "bfcl": Format("BFCL", bfcl.fits, bfcl.read),
    "hermes": Format("Hermes", hermes.fits, hermes.read),
    "toolace": Format("ToolACE", toolace.fits, toolace.read),
    "toolrl": Format("ToolRL", toolrl.fits, toolrl.read),
}
"""By the name that `--format` takes."""


def find_format(name: str) -> Format | None:
    """Return the format of a name, or None for auto. Raises ConfigError."""
    if name == "auto":
        return None
    if name not in FORMATS:
        raise ConfigError(f"format: got {name!r}; name one of auto, {', '.join(FORMATS)}")
    return FORMATS[name]


def format_of(row: Json) -> Format:
    """Return the first format that a row looks like. Raises DataError without a place."""
    if isinstance(row, dict):
        for each in FORMATS.values():
            if each.fits(row):
                return each
    got = f"the keys {', '.join(map(repr, row)) or '(none)'}" if isinstance(row, dict) else f"a {type(row).__name__}"
    raise DataError(f"expected a row in one of the formats {', '.join(FORMATS)}, got {got}; convert the row")
