"""The one door through which a file of YAML is read: a tree of plain values, or one line that says what is wrong and where.

A file may be anything: no text, nested without end, an alias that stands for a billion nodes, a number of a million digits. Nothing in it
is run, and no object but lists, mappings and scalars is made of it.
"""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from toolrl.errors import ConfigError
from toolrl.types import Json

_PLACE = re.compile(r'in "<(?:file|unicode string)>",')
_LONGEST = 300


def read_yaml(path: Path, *, resolve: bool) -> Json:
    """Return what a file holds; `resolve` replaces `${…}`. Raises ConfigError, without the path, where it holds no YAML."""
    if path.exists() and not path.is_file():  # a pipe would be waited for without end
        raise ConfigError("not a file; name another")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"cannot be read ({error.strerror}); name another file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"not UTF-8 text ({error.reason} at byte {error.start}); save it as UTF-8") from error
    try:
        tree: Json = OmegaConf.to_container(OmegaConf.load(io.StringIO(text)), resolve=resolve)
        return tree
    except (OmegaConfBaseException, YAMLError, OSError, ValueError) as error:  # OSError: a number; ValueError: a date that is none
        raise ConfigError(f"not readable as YAML: {_told(str(error))}; mend it") from error
    except RecursionError as error:
        raise ConfigError("not readable as YAML: nested too deep; mend it") from error


def read_settings(path: Path) -> dict[str, Any]:
    """Return what a file of settings holds by `section.name`, as it is written, whatever version of toolrl wrote it.

    Raises ConfigError, without the path, where it holds none.
    """
    try:
        return {f"{section}.{name}": value for section, part in read_yaml(path, resolve=False).items() for name, value in part.items()}
    except ConfigError as error:
        raise ConfigError(f"not readable as settings ({str(error).partition(';')[0]})") from error
    except AttributeError as error:
        raise ConfigError("not readable as settings (it holds no sections)") from error


def _told(message: str) -> str:
    """Return the message of a parser in one line."""
    line = _PLACE.sub("at", " ".join(message.split()))
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} …"
