"""The small files beside a model's weights: each that is there can be read, or one message says which cannot.

Transformers passes over some that cannot be read, waits for a pipe, and raises whatever its parsers raise.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from toolrl.errors import UserError
from toolrl.monitor.jsonfile import read_object

CHAT_TEMPLATE: Final = "chat_template.jinja"
TOKENIZER: Final = "tokenizer.json"
REMEDY: Final = "put the model's own file back"
_JSONS = ("config.json", "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")


def require_readable(folder: Path) -> None:
    """Raise UserError where a file that says how a model or its tokenizer is used is there and cannot be read."""
    for name in _JSONS:
        if os.path.lexists(folder / name):
            read_object(folder / name, remedy=REMEDY, error=UserError)
    if os.path.lexists(template := folder / CHAT_TEMPLATE):
        _require_text(template)


def _require_text(file: Path) -> None:
    if not file.is_file():
        raise UserError(f"{file}: not a file; {REMEDY}")
    try:
        file.read_text(encoding="utf-8")
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); {REMEDY}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{file}: not UTF-8 text ({error.reason} at byte {error.start}); {REMEDY}") from error
