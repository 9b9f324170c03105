"""The folder of an evaluation: readable by whatever reads a run, as one that sampled its items once and trained none.

config.yaml       the resolved settings            rollouts/version-000000.parquet   a row an item: prompt, completion, verdict, reason
prompt.template   how prompts were shown           prompts.parquet                   tools and references
replies.jsonl     completions as they came         scores.json                       written last: an evaluation that has one has ended
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import UnionType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from toolrl.data.template import FILE_NAME, PromptTemplate
from toolrl.errors import RunFolderError
from toolrl.evaluation.benchmark import Outcome
from toolrl.monitor import rollouts
from toolrl.monitor.durable import aside_of, publish, replace_text
from toolrl.monitor.jsonfile import read_object
from toolrl.monitor.prompts import write_prompts
from toolrl.monitor.rollouts import storable, verdict_columns
from toolrl.monitor.rundir import CONFIG
from toolrl.monitor.tables import CHECKSUMS, TableKind
from toolrl.rollout.replies import Reply
from toolrl.types import Draw, WeightVersion

SPLIT = "heldout"
SCORES = "scores.json"
REPLIES = "replies.jsonl"
OFFICIAL = "official"
"""Folder for the files of upstream's own evaluator."""
_REMEDY = "give the folder of an evaluation that has ended"
SCHEMA = pa.schema([*rollouts.SCHEMA, ("category", pa.string()), ("prompt", pa.string()), ("official", pa.bool_())])
KIND = TableKind(
    SCHEMA,
    nullable=frozenset({*rollouts.KIND.nullable, "official"}),
    remedy=_REMEDY,
    foreign="give the folder of an evaluation, made by this version of toolrl",
)
_ESTIMATE: Mapping[str, type | UnionType] = {
    "measure": str, "name": str, "formula": str, "items": int, "value": float | None, "low": float | None, "high": float | None,
    "missing": list,
}  # fmt: skip
"""What an estimate must hold."""
_FILES = frozenset({CONFIG, FILE_NAME, "prompts.parquet", REPLIES, SCORES, "rollouts", OFFICIAL})


def check(path: Path, *, asks: bool) -> None:
    """Raise RunFolderError where `path` is no place for an evaluation: one that `asks` a model, or of given completions. Writes nothing."""
    if (nearest := next(each for each in (path, *path.parents) if each.exists())) and not nearest.is_dir():
        raise RunFolderError(f"run.dir: {nearest} is a file; name another folder")
    there = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")} if nearest == path else set()
    if other := sorted(there - _FILES):
        raise RunFolderError(f"run.dir: {path} holds no evaluation, but {', '.join(other[:3])}; name another folder")
    if CONFIG in there and (REPLIES in there) != asks:
        holds = f"given completions (it has no {REPLIES})" if asks else f"a model (it has {REPLIES})"
        raise RunFolderError(f"run.dir: {path} holds the evaluation of {holds}; name another folder")


def make(path: Path) -> None:
    """Make the folder, if it is not there. Raises RunFolderError."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(f"run.dir: {path} cannot be made ({error.strerror}); name another folder") from error


def begin(path: Path, config: str, template: PromptTemplate) -> None:
    """Write what is asked, and take away the scores of an earlier start."""
    (path / SCORES).unlink(missing_ok=True)
    replace_text(path / CONFIG, config)
    replace_text(path / FILE_NAME, template.source)


def write_items(path: Path, outcomes: Sequence[Outcome], replies: Mapping[str, Reply], template: PromptTemplate, model: str) -> None:
    """Write a row for each item, and its prompt."""
    (path / "rollouts").mkdir(exist_ok=True)
    (path / "prompts.parquet").unlink(missing_ok=True)
    none = np.empty(0, np.int32)
    write_prompts(path / "prompts.parquet", {SPLIT: (Draw(i, o.item.prompt, none, 0) for i, o in enumerate(outcomes))})
    file = path / "rollouts" / rollouts.file_name(WeightVersion(0))
    rows = [_row(i, outcome, replies[outcome.item.id], template, model) for i, outcome in enumerate(outcomes)]
    pq.write_table(pa.Table.from_pylist(rows, schema=SCHEMA), aside_of(file), **CHECKSUMS)
    publish(file)


def write_scores(path: Path, scores: Mapping[str, Any]) -> None:
    """Write scores.json."""
    replace_text(path / SCORES, json.dumps(scores, indent=2) + "\n")


def read_scores(path: Path) -> dict[str, Any]:
    """Return scores.json. Raises RunFolderError where the evaluation has not ended, or the file is not as it was written."""
    found = read_object(path / SCORES, remedy=_REMEDY)
    estimates = found.get("estimates")
    if not isinstance(found.get("benchmark"), str) or not isinstance(estimates, list):
        raise RunFolderError(f"{path / SCORES}: holds no scores; {_REMEDY}")
    for each in estimates:
        if not isinstance(each, dict) or not all(key in each and isinstance(each[key], kind) for key, kind in _ESTIMATE.items()):
            raise RunFolderError(f"{path / SCORES}: holds an estimate that no evaluation wrote: {str(each)[:80]}; {_REMEDY}")
    return found


def read_items(path: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Return the named columns of every item, in order. Raises RunFolderError where there are none."""
    rows: list[dict[str, Any]] = KIND.read(path / "rollouts" / rollouts.file_name(WeightVersion(0)), columns).to_pylist()
    return rows


def _row(number: int, outcome: Outcome, reply: Reply, template: PromptTemplate, model: str) -> dict[str, Any]:
    return {
        "version": 0,
        "draw": number,
        "sample": 0,
        "attempt": 1,
        "trained": False,
        "prompt_id": outcome.item.id,
        "engine": model,
        **verdict_columns(outcome.ours),
        "num_tokens": reply.completion_tokens,
        "finish_reason": reply.finish_reason,
        "oldest_version": 0,
        "text": storable(reply.text),
        "category": outcome.item.category,
        "prompt": storable(json.dumps(template.render(outcome.item.prompt), ensure_ascii=False)),
        "official": outcome.official,
    }
