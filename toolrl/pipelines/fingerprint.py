"""`toolrl fingerprint`: the files of a benchmark in, hashes of its requests and tools out, for the contamination guard."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from toolrl.data.benchmarks.readers import read_items, title
from toolrl.data.contamination import fingerprints, to_text
from toolrl.errors import ConfigError, DataError, UserError


def fingerprint(name: str, paths: Sequence[Path], *, out: Path, revision: str) -> tuple[int, int]:
    """Write the fingerprints of a benchmark to `out`; return how many items were read, and how many fingerprints they have.

    Raises UserError, with nothing written.
    """
    problems = [f"{path}: no such file or folder; name the benchmark's question files" for path in paths if not path.exists()]
    if not revision.isprintable():
        problems.append(f"revision: got {revision!r}; name the release in one line")
    if problems:
        raise ConfigError(problems)
    keys: set[bytes] = set()
    items = 0
    for item in read_items(name, paths):
        items += item.counted
        keys.update(fingerprints(item.turns, item.tools))
    if not keys:
        raise DataError(f"{', '.join(map(str, paths))}: no items there; name the benchmark's question files")
    aside = out.with_name(f".{out.name}.partial")
    try:
        aside.write_text(to_text(title(name), revision, items, keys), encoding="ascii")
        os.replace(aside, out)
    except OSError as error:
        raise UserError(f"{out}: cannot be written ({error.strerror}: {error.filename}); name a file that can be") from error
    finally:
        aside.unlink(missing_ok=True)
    return items, len(keys)
