"""A batch as it was trained, made again from the run folder through the types it was made of then.

rows of a file + token ids of their prompts ─> Group ─> ScoredGroup ─> advantages (compared with the stored ones) ─> Batch

The groups come in draw order, as the loop took them, so that the same shards and micro-batches come out of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from toolrl.algo.advantage import trajectories
from toolrl.config.schema import RlConfig
from toolrl.errors import RunFolderError
from toolrl.monitor import rollouts
from toolrl.monitor.outcomes import LEFT_OUT, Outcome
from toolrl.monitor.prompts import read_tokens
from toolrl.pipelines.review.stored import StoredRun
from toolrl.types import Batch, Completion, Draw, Group, Reason, ScoredGroup, TrainedGroup, Verdict, VersionSpan, WeightVersion

COLUMNS = (
    "version", "draw", "sample", "trained", "outcome", "outcome_reason",
    "prompt_id", "engine", "reward", "reason", "path", "expected", "got", "format_right", "content_right",
    "bfcl_right", "advantage", "loss_share", "num_tokens", "finish_reason", "seed", "spans", "text", "tokens", "logprobs",
)  # fmt: skip
ADVANTAGE_ROUNDING = 1e-9
"""Most that an advantage made again may differ from the stored one."""

Row = Mapping[str, Any]
"""A row of a file: COLUMNS and their values, `tokens` and `logprobs` as arrays [T]."""


def rebuild(run: StoredRun, config: RlConfig, file: Path, put: Callable[[Group], Any]) -> tuple[Batch, dict[int, TrainedGroup]]:
    """Return the batch that made a version, and how the run trained its groups, by draw; of one that failed, that it did not.

    Args:
        run: The run.
        config: The settings it was trained with.
        file: The rollouts of the version.
        put: Group -> handle, by which a learner rank fetches it.

    Raises:
        RunFolderError: The rows are not those of a whole batch.
    """
    rows = _rows(rollouts.read_file(file, COLUMNS))
    where = str(file)
    tokens = read_tokens(run.path / "prompts.parquet", {row["prompt_id"] for row in rows})
    groups = [_whole(sorted(of, key=_sample), config, where) for _, of in groupby(rows, key=lambda row: row["draw"])]
    scored = {of[0]["draw"]: _scored(run, of, tokens[of[0]["prompt_id"]], put) for of in groups}
    kept = [of for of in groups if _in_batch(of[0])]
    if len(kept) != config.loop.prompts_per_batch:
        raise RunFolderError(f"{where}: got {len(kept)} groups of the batch, expected {config.loop.prompts_per_batch}; put the file back")
    trained = tuple(trajectories(config.algo, [scored[of[0]["draw"]] for of in kept], config.sampling.max_tokens))
    stored = {of[0]["draw"]: TrainedGroup(*(tuple(row[name] for row in of) for name in ("advantage", "loss_share"))) for of in kept}
    failed = not kept[0][0]["trained"]
    if not failed and not (
        config.algo.kl_coef and config.algo.kl_in == "reward"
    ):  # then the penalty, which the learner measures, is in them
        for trajectory in trained:
            draw = trajectory.scored.group.draw
            _require_equal(where, draw, trajectory.advantages, stored[draw].advantages)
    dropped = tuple(scored[of[0]["draw"]] for of in groups if not _in_batch(of[0]))
    return Batch(WeightVersion(rows[0]["version"] - 1), trained, dropped), stored


def _in_batch(row: Row) -> bool:
    """Whether a group was trained, or would have been if its batch could have been."""
    lost = row["outcome"] == Outcome.DISCARDED and not row["outcome_reason"].startswith(LEFT_OUT)
    return bool(row["trained"] or lost)


def _rows(table: pa.Table) -> list[dict[str, Any]]:
    """Return the rows with tokens and log-probabilities as arrays: as Python numbers those of a large batch take gigabytes."""
    arrays = {name: _arrays(table.column(name)) for name in ("tokens", "logprobs")}
    rows = table.drop_columns(list(arrays)).to_pylist()
    return [{**row, **{name: column[i] for name, column in arrays.items()}} for i, row in enumerate(rows)]


def _arrays(column: pa.ChunkedArray) -> list[NDArray[Any]]:
    """Return a column of lists as one array for each row."""
    found: list[NDArray[Any]] = []
    for chunk in filter(len, column.chunks):
        offsets = chunk.offsets.to_numpy()
        found += np.split(chunk.flatten().to_numpy(), offsets[1:-1] - offsets[0])
    return found


def _sample(row: Row) -> int:
    return int(row["sample"])


def _whole(rows: Sequence[Row], config: RlConfig, where: str) -> Sequence[Row]:
    """Return the rows of a group. Raises RunFolderError where some are missing, or a row's tokens are not as many as it says."""
    draw = rows[0]["draw"]
    if [row["sample"] for row in rows] != list(range(config.sampling.n)):
        raise RunFolderError(
            f"{where}: draw {draw} has {len(rows)} rows, expected the samples 0 to {config.sampling.n - 1}; put the file back"
        )
    for row in rows:
        if not len(row["tokens"]) == len(row["logprobs"]) == row["num_tokens"]:
            raise RunFolderError(
                f"{where}: {draw}.{row['sample']} has {len(row['tokens'])} tokens and {len(row['logprobs'])} log-probabilities, "
                f"expected {row['num_tokens']} of each; put the file back"
            )
    return rows


def _scored(run: StoredRun, rows: Sequence[Row], token_ids: NDArray[np.int32], put: Callable[[Group], Any]) -> ScoredGroup:
    first = rows[0]
    draw = Draw(first["draw"], run.prompt(first["prompt_id"]), token_ids, first["seed"])
    group = Group(draw, tuple(map(_completion, rows)))
    return ScoredGroup(group.ref(put(group), engine=first["engine"], sample_s=0.0), tuple(map(_verdict, rows)))


def _completion(row: Row) -> Completion:
    return Completion(
        token_ids=row["tokens"],
        logprobs=row["logprobs"],
        loss_mask=np.ones(row["num_tokens"], np.bool_),
        text=row["text"],
        finish_reason=row["finish_reason"],
        seed=row["seed"],
        spans=tuple(VersionSpan(**span) for span in row["spans"]),
    )


def _verdict(row: Row) -> Verdict:
    names = ("path", "expected", "got", "format_right", "content_right", "bfcl_right")
    return Verdict(row["reward"], Reason(row["reason"]), **{name: row[name] for name in names})


def _require_equal(where: str, draw: int, made: Sequence[float], stored: Sequence[float | None]) -> None:
    for sample, (ours, theirs) in enumerate(zip(made, stored, strict=True)):
        if theirs is None or abs(ours - theirs) > ADVANTAGE_ROUNDING * max(1.0, abs(theirs)):
            raise RunFolderError(
                f"{where}: {draw}.{sample} has the advantage {theirs}, and its group's rewards make {ours!r}; "
                "the file was changed, or written by another version of toolrl"
            )
