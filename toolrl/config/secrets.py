"""Keys stay in the environment: settings are written into the run folder, shown, and sent to wandb, so none may hold one.

What is refused is never repeated.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

_NAMES: Final = re.compile(r"(^|[_.-])(api[_-]?key|secret|token|password|passwd|credentials?)$", re.IGNORECASE)
"""Names of settings that nobody has, and of environment variables whose values are secret."""
_KEYS: Final = re.compile(
    r"(?<![A-Za-z0-9])(hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{20,}|gh[pousr]_[A-Za-z0-9]{30,}|glpat-[A-Za-z0-9_-]{20,}|AKIA[A-Z0-9]{16}"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY)"
)
"""What keys of the services begin with that runs are likely to use."""
_VARIABLE: Final = re.compile(r"[A-Z_][A-Z0-9_]*")
_LEAST: Final = 8
"""A value of fewer characters than this is a word that a setting may have for other reasons."""
_WHERE: Final = "put it into an environment variable: settings are written into the run folder"


def told(settings: Iterable[tuple[str, Any]], known: Mapping[str, object]) -> list[str]:
    """Return what is wrong with `settings` (name, value as read); `known` are the names that exist."""
    secret = {
        value: name for name, value in os.environ.items() if _NAMES.search(name) and len(value) >= _LEAST
    }  # by value, as is looked for below
    return [problem for name, value in settings for problem in _problems(name, value, known, secret)]


def _problems(name: str, value: Any, known: Mapping[str, object], secret: Mapping[str, str]) -> Iterator[str]:
    if name not in known and _NAMES.search(name):
        yield f"{name}: no key is read from settings; {_WHERE}"
    elif name == "endpoint.key_variable" and not _VARIABLE.fullmatch(str(value or "A")):
        yield f"{name}: expected the name of an environment variable, as in OPENAI_API_KEY; what is there may be the key itself"
    for text in _texts(value):
        held = next((variable for word, variable in secret.items() if word in text), None)
        if held:
            yield f"{name}: holds the value of the environment variable {held}; leave it there: settings are written into the run folder"
        elif _KEYS.search(text):
            yield f"{name}: holds what looks like a key; {_WHERE}"


def _texts(value: Any) -> Iterator[str]:
    """Yield every text in a value as YAML read it."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from (*_texts(key), *_texts(part))
    elif isinstance(value, list):
        for part in value:
            yield from _texts(part)
