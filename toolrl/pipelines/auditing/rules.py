"""What the rows of a run must be like, from its settings: config.yaml, versions.json, left_out.json, prompts.parquet.

config.yaml (the last attempt's) ─ what later attempts changed, undone ─> the staleness of each attempt, and whether it kept the best
prompts.parquet (in the order of the first epoch) ─ that epoch's permutation, undone ─> the prompt of any draw
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from toolrl.config.schema import RlConfig
from toolrl.data.draws import permutation
from toolrl.errors import RunFolderError
from toolrl.monitor.readable import LEFT_OUT, VERSIONS, read_attempts, read_left_out
from toolrl.pipelines.auditing.findings import Findings

_BOUND = "loop.max_staleness"
_BEST = "checkpoint.best"


@dataclass(frozen=True)
class Attempt:
    """A start of the run, or a new beginning after a failure."""

    number: int
    started: str
    max_staleness: int
    keeps_best: bool
    """`checkpoint.best`."""
    after: str
    """The failure it recovered from; empty: a command started it."""


class PromptOrder:
    """Which prompt each draw asks.

    Args:
        ids: Of the prompts, in the order of the first epoch.
        seed: `run.seed`.
    """

    def __init__(self, ids: Sequence[str], seed: int) -> None:
        self._seed = seed
        self._kept = [""] * len(ids)  # by their place in the data
        for entry, prompt_id in zip(permutation(seed, 0, len(ids)), ids, strict=True):
            self._kept[entry] = prompt_id

    def id_of(self, draw: int) -> str:
        """Return the id of the prompt of a draw."""
        epoch, entry = divmod(draw, len(self._kept))
        return self._kept[int(permutation(self._seed, epoch, len(self._kept))[entry])]


@dataclass(frozen=True)
class Rules:
    """What rows are held against."""

    config: RlConfig
    attempts: Mapping[int, Attempt]
    left_out: Mapping[int, str]
    """Draws that were not to be trained, each with the reason."""
    prompts: PromptOrder | None
    """None where there is no prompts.parquet to tell."""


def rules_of(path: Path, config: RlConfig, findings: Findings) -> Rules:
    """Read them from a run folder. Raises RunFolderError where versions.json or left_out.json is damaged."""
    attempts = {attempt.number: attempt for attempt in _attempts(path / VERSIONS, config)}
    if list(attempts) != list(range(1, len(attempts) + 1)):
        findings.problem("attempts", f"{VERSIONS}: has the attempts {', '.join(map(str, attempts))}, which are not 1, 2, …")
    return Rules(config, attempts, read_left_out(path / LEFT_OUT), _prompts(path / "prompts.parquet", config, findings))


def _attempts(path: Path, config: RlConfig) -> list[Attempt]:
    try:
        entries = read_attempts(path)
        bounds, keeps = [config.loop.max_staleness], [config.checkpoint.best]
        for entry in reversed(entries[1:]):
            bounds.append(int(entry["changed"].get(_BOUND, {"from": bounds[-1]})["from"]))
            keeps.append(bool(entry["changed"].get(_BEST, {"from": keeps[-1]})["from"]))
        return [
            Attempt(int(entry["attempt"]), str(entry["started"]), bound, best, str(entry.get("after", "")))
            for entry, bound, best in zip(entries, reversed(bounds), reversed(keeps), strict=True)
        ]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RunFolderError(f"{path}: not readable ({error!r}); put back the file that the run wrote") from error


def _prompts(path: Path, config: RlConfig, findings: Findings) -> PromptOrder | None:
    try:
        table = pq.read_table(path, columns=["prompt_id", "split"])
        ids = table.filter(pc.equal(table.column("split"), "train")).column("prompt_id").to_pylist()
    except (OSError, pa.ArrowException, KeyError) as error:
        findings.problem("prompts", f"{path.name}: not readable ({' '.join(str(error).split())}); put back the file that the run wrote")
        return None
    if len(set(ids)) < len(ids) or not ids:
        findings.problem(
            "prompts", f"{path.name}: {len(ids)} prompts to train on with {len(set(ids))} ids; put back the file that the run wrote"
        )
        return None
    return PromptOrder(ids, config.run.seed)
