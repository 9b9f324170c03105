"""BFCL's own files: answers -> result files, score files -> who was right.

    result/toolrl/<group>/BFCL_v4_<category>_result.json   {"id", "result"} a line: calls as [{name: arguments as JSON text}], else the text
    score/toolrl/<group>/BFCL_v4_<category>_score.json     a line of totals, then a line for each item that is wrong
    score/leaderboard.json                                 the numbers of upstream's tables, before they are rounded

Calls are handed over in the form of function-calling models: upstream reads that as JSON, where it would evaluate the text of others.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolrl.calls.fault import Fault
from toolrl.calls.render import to_json
from toolrl.errors import RunError
from toolrl.evaluation.bfcl.categories import group_of
from toolrl.evaluation.reading import read_calls
from toolrl.types import Json

MODEL, CHECKER_FAILED = "toolrl", "checker_failed"
"""The name of every model in these folders, and a type of error; foreign/run_official.py has both too."""


def result_file(folder: Path, category: str) -> Path:
    """Return where the answers of a category lie."""
    return folder / "result" / MODEL / group_of(category) / f"BFCL_v4_{category}_result.json"


def score_file(folder: Path, category: str) -> Path:
    """Return where upstream writes its verdicts on them."""
    return folder / "score" / MODEL / group_of(category) / f"BFCL_v4_{category}_score.json"


def forget_scores(folder: Path) -> None:
    """Remove the score files of an earlier time: upstream's averages would count them."""
    shutil.rmtree(folder / "score", ignore_errors=True)


def write_results(folder: Path, category: str, answers: Iterable[tuple[str, str]]) -> None:
    """Write the result file of a category from ids and completions."""
    file = result_file(folder, category)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps({"id": id, "result": as_result(text)}) + "\n" for id, text in answers))


def as_result(text: str) -> Json:
    """Return a completion as upstream reads it: its calls, or the text itself, which upstream then cannot read either.

    Upstream writes UTF-8 and would end on half a surrogate pair; it becomes the sign for what is no character, as wrong as it was.
    """
    calls = read_calls(text)
    if isinstance(calls, Fault):
        return _whole(text)
    return [{_whole(call.name): to_json(_whole(dict(call.arguments)))} for call in calls]


@dataclass(frozen=True, slots=True)
class Scores:
    """Upstream's verdicts on the answers of a category."""

    right: Mapping[str, bool]
    """By id."""
    accuracy: float
    failed: tuple[str, ...]
    """Ids of the answers on which its checker fails; they are wrong."""


def read_scores(folder: Path, category: str, ids: Sequence[str]) -> Scores:
    """Return upstream's verdicts on `ids`, all that were answered. Raises RunError."""
    file = score_file(folder, category)
    try:
        totals, *rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
        wrong = {row["id"]: row.get("error_type") for row in rows}
        right = {id: id not in wrong for id in ids}
        if totals["total_count"] != len(ids) or totals["correct_count"] != sum(right.values()):
            raise ValueError(f"{totals} of {len(ids)} answers, {len(wrong)} of them listed as wrong")
        return Scores(right, float(totals["accuracy"]), tuple(id for id, kind in wrong.items() if kind == CHECKER_FAILED))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: is not what BFCL's own evaluator writes for what it was given ({error!r})") from error


def read_leaderboard(folder: Path) -> Mapping[str, Any]:
    """Return the row of upstream's overall table: column -> number, or `N/A`. Raises RunError."""
    file = folder / "score" / "leaderboard.json"
    try:
        return dict(json.loads(file.read_text())["data_overall"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunError(f"{file}: is not what BFCL's own evaluator writes ({error!r})") from error


def _whole(value: Json) -> Json:
    """Return a value with each half of a surrogate pair replaced."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, dict):
        return {_whole(key): _whole(item) for key, item in value.items()}
    return [_whole(item) for item in value] if isinstance(value, list) else value
