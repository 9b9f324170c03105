"""The folder of a distillation.

    config.yaml       the resolved settings            demonstrations.jsonl   what was kept: written whole, at the end
    prompt.template   how prompts were shown           report.json            written last: a distillation that has one has ended
    replies.jsonl     completions as they came

A folder that was made for a distillation which a user's mistake ended before any reply is removed again.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from toolrl.config.asking import DistillConfig
from toolrl.config.load import to_yaml
from toolrl.data.chat_row import chat_row
from toolrl.data.jsontext import dumps
from toolrl.data.origin import DEMONSTRATIONS
from toolrl.data.template import FILE_NAME
from toolrl.errors import RunFolderError, UserError
from toolrl.monitor.durable import aside_of, publish, replace_text
from toolrl.monitor.rundir import CONFIG
from toolrl.rollout.journal import Journal
from toolrl.rollout.replies import Key, Reply
from toolrl.types import Prompt

REPLIES, REPORT = "replies.jsonl", "report.json"
_FILES = frozenset({CONFIG, FILE_NAME, REPLIES, DEMONSTRATIONS, REPORT})


@contextmanager
def opened(path: Path, asked: Mapping[str, Any]) -> Iterator[Journal]:
    """Take the folder for this process, and yield its journal.

    Raises:
        RunFolderError: It holds something else, replies to something else, or belongs to another process.
    """
    check(path)
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"run.dir: {path} cannot be made ({error.strerror}); name another folder") from error
    journal = None
    try:
        with Journal(path / REPLIES, asked) as journal:
            yield journal
    except UserError:
        if made and not journal:
            shutil.rmtree(path)
            for parent in made[1:]:
                if not any(parent.iterdir()):
                    parent.rmdir()
        raise


def check(path: Path) -> None:
    """Raise RunFolderError where `path` is no place for a distillation; writes nothing."""
    if path.exists() and not path.is_dir():
        raise RunFolderError(f"run.dir: {path} is a file; name another folder")
    others = sorted({entry.name for entry in path.iterdir() if not entry.name.startswith(".")} - _FILES) if path.exists() else []
    if others or (path.exists() and (path / CONFIG).exists() and not (path / REPLIES).exists()):
        raise RunFolderError(f"run.dir: {path} holds no distillation, but {', '.join(others[:3]) or CONFIG}; name another folder")


def ended(path: Path, config: DistillConfig) -> dict[str, Any] | None:
    """Return the report of the distillation in `path`, if it is one of these settings."""
    report, settings = path / REPORT, path / CONFIG
    if not report.exists() or not settings.exists() or settings.read_text(encoding="utf-8") != to_yaml(config):
        return None
    found: dict[str, Any] = json.loads(report.read_text(encoding="utf-8"))
    return found


def begin(path: Path, config: DistillConfig, template: str) -> None:
    """Write what is asked, and take away the mark of an end that is one no longer."""
    (path / REPORT).unlink(missing_ok=True)
    replace_text(path / CONFIG, to_yaml(config))
    replace_text(path / FILE_NAME, template)


def write_demonstrations(path: Path, kept: Iterable[tuple[Prompt, int]], replies: Mapping[Key, Reply]) -> None:
    """Write a row for each completion that is kept, all or none.

    Further completions of one prompt have its id with the number of the sample behind it: ids of rows are unique.
    """
    file = path / DEMONSTRATIONS
    seen: set[str] = set()
    with aside_of(file).open("w", encoding="utf-8") as lines:
        for prompt, sample in kept:
            name = f"{prompt.id}~{sample}" if prompt.id in seen else prompt.id
            seen.add(prompt.id)
            row = chat_row(prompt) | {"id": name, "completion": replies[prompt.id, sample].text, "sample": sample}
            lines.write(dumps(row) + "\n")
    publish(file)


def write_report(path: Path, content: Mapping[str, Any]) -> None:
    """Write report.json."""
    replace_text(path / REPORT, json.dumps(content, indent=1, ensure_ascii=False) + "\n")
