"""BFCL's multi-turn categories: upstream's own program asks a served model, executes what it calls, and judges.

    OpenAI-compatible server <─ requests with tools ─ generate ─> result/ ─ evaluate ─> score/ ─> Official
                                                      └── official.log: both run in the official process, and their output goes there

The calls of an answer are executed on upstream's simulated APIs, in that process alone. What has been generated is kept: the same question,
asked again in the same folder, goes on where it stopped.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from toolrl.errors import RunError, RunFolderError, UserError
from toolrl.evaluation.benchmark import Official
from toolrl.evaluation.bfcl.categories import multi_turn_categories
from toolrl.evaluation.bfcl.environment import official_environment
from toolrl.evaluation.bfcl.official import LOG, judge, listed
from toolrl.evaluation.bfcl.process import run_job
from toolrl.evaluation.bfcl.questions import ids_of
from toolrl.evaluation.bfcl.results import result_file
from toolrl.monitor.durable import replace_text

ASKED = "asked.json"
DEADLINE_S, ANSWERS_S = 48 * 3600.0, 10.0
_TOO_LONG = re.compile(r"context.?length|max_model_len|too long", re.IGNORECASE)
"""How servers refuse a conversation that is longer than the model can read: then the entry is wrong, as upstream counts it."""


@dataclass(frozen=True, slots=True)
class Served:
    """A model behind an OpenAI-compatible server, and how it is asked: greedily."""

    url: str
    """As in http://host:8000/v1."""
    model: str
    """Its name there."""
    key: str = ""
    """Empty: the server asks for none."""
    in_flight: int = 16
    """Entries at once; the steps of each follow one another."""
    max_tokens: int = 1024
    """Longest answer of one step, in tokens."""
    timeout_s: float = 600.0
    """Longest wait for one answer."""


def multi_turn(
    served: Served,
    folder: Path,
    categories: Sequence[str] = (),
    *,
    limit: int = 0,
    deadline_s: float = DEADLINE_S,
    tell: Callable[[str], None] = lambda _: None,
) -> Official:
    """Return upstream's verdicts on a served model. Blocking, for hours where all of it is asked.

    Args:
        served: Who is asked.
        folder: Of upstream's files and of its log.
        categories: Of `MULTI_TURN`; none named: all four.
        limit: Entries of each category, the first of them; 0: all 200.
        deadline_s: Longest time for all answers together.
        tell: Told before something that takes a while.

    Raises:
        ConfigError: A category is none.
        RunFolderError: The folder holds the answers of another model.
        RunError: The server stops answering, or upstream's program fails. What was answered is kept.
        UserError: No server answers, or it refuses the key; or the environment cannot be made.
    """
    wanted = multi_turn_categories(categories)
    _require_server(served)
    environment = official_environment(tell)
    asked = {category: ids_of(environment.data, category)[: limit or None] for category in wanted}
    _open(folder, served)
    files, log = [result_file(folder, category) for category in wanted], folder / LOG
    for file in files:
        _settle(file)
    ids = [id for each in asked.values() for id in each]
    tell(f"asking {served.model} {len(ids)} multi-turn entries; upstream's own progress: {log}")
    run_job(environment.python, _job(served, wanted, ids), folder=folder, log=log, deadline_s=deadline_s)
    settled = [_settle(file) for file in files]
    if failed := {id: why for each in settled for id, why in each.failed.items()}:
        id, why = next(iter(failed.items()))
        raise RunError(f"{served.url}: {len(failed)} of {len(ids)} entries have no answer, {id} because of {why}; mend it and ask again")
    too_long = [id for each in settled for id in each.too_long]
    note = f"the conversation grew longer than the model can read in {listed(too_long)}: they count as wrong;" if too_long else ""
    return judge(environment, asked, folder, partial=bool(limit), note=note)


def _require_server(served: Served) -> None:
    """See that somebody answers, before upstream's program tries every entry several times."""
    headers = {"Authorization": f"Bearer {served.key}"} if served.key else {}
    try:
        urlopen(Request(f"{served.url.rstrip('/')}/models", headers=headers), timeout=ANSWERS_S).close()
    except HTTPError as error:
        if error.code in (401, 403):  # any other answer is one
            raise UserError(f"{served.url}: refuses the key ({error.code}); give the right one") from error
    except (OSError, ValueError) as error:  # what refuses, does not answer, or is no address
        raise UserError(f"{served.url}: no server answers there ({error}); start it, or mend the address") from error


def _job(served: Served, categories: Sequence[str], ids: Sequence[str]) -> dict[str, Any]:
    return {"do": "generate", "categories": [*categories], "ids": [*ids], **asdict(served)}


def _open(folder: Path, served: Served) -> None:
    """Make the folder, or see that what lies there answers the same."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = {"model": served.model, "max_tokens": served.max_tokens}
    file = folder / ASKED
    if not file.exists():
        replace_text(file, json.dumps(asked))
    elif (found := json.loads(file.read_text())) != asked:
        raise RunFolderError(f"{folder}: holds the answers to {found}, and this asks {asked}; name another folder")


@dataclass(frozen=True, slots=True)
class _Settled:
    """What was no answer in a result file."""

    failed: Mapping[str, str]
    """Ids that were taken out of it, each with the reason."""
    too_long: tuple[str, ...]
    """Ids that stay, and are wrong."""


def _settle(file: Path) -> _Settled:
    """Take out of a result file what is no answer: a line that was cut short, and what failed."""
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    rows = [json.loads(line) for line in text.split("\n")[:-1]]  # what follows the last line break was cut short
    errors = {row["id"]: str(row["traceback"]).strip().rpartition("\n")[2] for row in rows if "traceback" in row}
    failed = {id: why for id, why in errors.items() if not _TOO_LONG.search(why)}
    kept = "".join(json.dumps(row) + "\n" for row in rows if row["id"] not in failed)
    if kept != text:
        replace_text(file, kept)
    return _Settled(failed, tuple(id for id in errors if id not in failed))
