"""The files of launch/, filled in: each line that differs from job to job is found by its beginning, and must be there once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import resources


def template(name: str) -> str:
    """Return a file of launch/ as it ships."""
    return (resources.files("toolrl") / "_launch" / name).read_text(encoding="utf-8")


def filled(text: str, lines: Mapping[str, str | None]) -> str:
    """Return `text` with lines in place of those that begin with a key, at the same indent; None leaves the line out.

    A comment at the end of a line stays there.
    """
    for beginning, line in lines.items():
        found = re.compile(rf"^( *){re.escape(beginning)}(?P<old>.*?)(?P<comment> +#.*)?\n", flags=re.MULTILINE)
        assert len(found.findall(text)) == 1, f"the template has {len(found.findall(text))} lines that begin with {beginning!r}"
        new = "" if line is None else rf"\g<1>{_escaped(line)}\g<comment>\n"
        text = found.sub(new, text)
    return text


def _escaped(line: str) -> str:
    return line.replace("\\", "\\\\")
