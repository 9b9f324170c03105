"""What `toolrl rescore` tells a person, and the file of the samples that changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from toolrl.errors import ConfigError
from toolrl.monitor.durable import aside_of, publish
from toolrl.pipelines.review.page import page, reward, table, try_one, wrap
from toolrl.pipelines.review.rejudge import Changed, Rescored, Rewards, Span, by_count, together
from toolrl.pipelines.review.stored import StoredRun

SHOWN = 20
"""Changed samples, and kinds of change, that a terminal shows."""
SPANS = 8
"""Rows of the table of means."""
ROWS_AT_A_TIME = 4096
_INDENT = " " * 8
SCHEMA = pa.schema(
    [
        ("sample", pa.string()),
        ("version", pa.int32()),
        ("prompt_id", pa.string()),
        ("reward_before", pa.float64()),
        ("reward_after", pa.float64()),
        ("reason_before", pa.string()),
        ("reason_after", pa.string()),
        ("path", pa.string()),
        ("expected", pa.string()),
        ("got", pa.string()),
    ]
)
"""A row of `--out`: a `Changed`; path, expected and got are of the new verdict."""


def text(run: StoredRun, before: str, after: str, result: Rescored, first: Sequence[Changed], width: int) -> str:
    """Return the result for a terminal `width` columns wide; `before` and `after` name the two rewards."""
    rate = result.scored / result.seconds
    lines = [
        f"{result.scored:,} completions scored again in {result.seconds:.2f} s, {rate:,.0f} a second",
        f"  run     {run.path}",
        *(f"  {line}" for name, told in (("before", before), ("after", after)) for line in wrap(f"{name:8}{told}", width - 2, _INDENT)),
    ]
    if result.without_text:
        lines.append(f"  {result.without_text:,} completions were kept without text (monitor.rollouts) and are left out")
    found = page((lines, _confusion(result), _means(result.versions), _reasons(result), _samples(result, first)), width)
    return f"{found}\n\n{try_one(run.path, first[0].sample)}" if first else found


@contextmanager
def changes_to(out: Path | None, run: Path) -> Iterator[tuple[list[Changed], Callable[[Changed], None]]]:
    """Yield the first changed samples, a list that fills, and what takes each of them; `out`, if there is one, gets them all.

    It gets its name when all of them are in it. Raises ConfigError where it cannot be written, before anything is.
    """
    first: list[Changed] = []
    if out is None:
        yield first, lambda sample: first.append(sample) if len(first) < SHOWN else None
        return
    _require_sound(out, run)
    try:
        file = (_Parquet if out.suffix == ".parquet" else _Lines)(aside_of(out))
    except OSError as error:
        raise ConfigError(f"--out: cannot write {out}: {error}; give another file") from error

    def take(sample: Changed) -> None:
        if len(first) < SHOWN:
            first.append(sample)
        file.add(sample)

    try:
        yield first, take
        file.close()
        publish(out)
    finally:
        file.close()
        aside_of(out).unlink(missing_ok=True)


def _require_sound(out: Path, run: Path) -> None:
    if out.suffix not in (".parquet", ".jsonl"):
        raise ConfigError(f"--out: got {out}; give a file that ends in .parquet or .jsonl")
    if not out.parent.is_dir():
        raise ConfigError(f"--out: no folder {out.parent}; make it first")
    if out.is_dir():
        raise ConfigError(f"--out: {out} is a folder; give a file")
    if run.resolve() in out.resolve().parents:
        raise ConfigError(f"--out: {out} is in the run folder, which is not changed; write it elsewhere")


class _Lines:
    """A line of JSON for each changed sample."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def add(self, sample: Changed) -> None:
        self._file.write(json.dumps(asdict(sample)) + "\n")

    def close(self) -> None:
        self._file.close()


class _Parquet:
    """A row for each changed sample, written some thousand at a time."""

    def __init__(self, path: Path) -> None:
        self._writer = pq.ParquetWriter(path, SCHEMA, compression="zstd")
        self._rows: list[Changed] = []

    def add(self, sample: Changed) -> None:
        self._rows.append(sample)
        if len(self._rows) == ROWS_AT_A_TIME:
            self._flush()

    def close(self) -> None:
        if self._writer.is_open:
            self._flush()
            self._writer.close()

    def _flush(self) -> None:
        self._writer.write_table(pa.Table.from_pylist([asdict(sample) for sample in self._rows], schema=SCHEMA))
        self._rows = []


def _confusion(result: Rescored) -> list[str]:
    counts = result.confusion()
    sides = [side for side in ("right", "wrong", "failed") if side != "failed" or any("failed" in pair for pair in counts)]
    rows = [[f"{side} before", *(f"{counts.get((side, after), 0):,}" for after in sides)] for side in sides]
    agree = sum(number for (before, after), number in counts.items() if before == after)
    lines = table([["", *(f"{side} after" for side in sides)], *rows], right=range(1, len(sides) + 1))
    return [*lines, f"the verdicts agree on {_share(agree, result.scored)}"]


def _means(versions: Sequence[Span]) -> list[str]:
    size = -(-len(versions) // SPANS)
    spans = [together(versions[start : start + size]) for start in range(0, len(versions), size)]
    head = ["mean reward", "before", "after", "", "groups with an advantage", "before", "after"]
    rows = [_row(f"versions {s.first}–{s.last}" if s.last > s.first else f"version {s.first}", s) for s in spans]
    if len(spans) > 1:
        rows.append(_row("all", together(spans)))
    return table([head, *rows], right=(1, 2, 4, 5, 6))


def _row(name: str, span: Span) -> list[str]:
    return [name, _mean(span.before), _mean(span.after), "", f"{span.groups:,}", f"{span.before.teaching:,}", f"{span.after.teaching:,}"]


def _reasons(result: Rescored) -> list[str]:
    moved = [(pair, number) for pair, number in by_count(result.reasons) if pair[0] != pair[1]]
    if not moved:
        return ["every completion has the reason it had"]
    rows = [[f"{number:,}", f"{before} → {after}"] for (before, after), number in moved[:SHOWN]]
    more = [f"  and {len(moved) - SHOWN} more kinds"] if len(moved) > SHOWN else []
    return ["reasons that changed", *(f"  {line}" for line in table(rows, right=(0,))), *more]


def _samples(result: Rescored, first: Sequence[Changed]) -> list[str]:
    if not first:
        return ["no reward changed"]
    shown = [f"  the first {len(first)} of them; --out FILE.parquet writes all"] if result.changed > len(first) else []
    rows = [[c.sample, f"version {c.version}", f"{reward(c.reward_before)} → {reward(c.reward_after)}", _why(c)] for c in first]
    lines = [f"  {line}" for line in table(rows)]
    return [f"{_share(result.changed, result.scored)} have another reward", *shown, *lines]


def _why(sample: Changed) -> str:
    where = f" at {sample.path}" if sample.path else ""
    before = "" if sample.reason_before == sample.reason_after else f"{sample.reason_before} → "
    return f"{before}{sample.reason_after}{where}"


def _share(number: int, total: int) -> str:
    return f"{number:,} of {total:,} ({number / total:.1%})"


def _mean(rewards: Rewards) -> str:
    return "–" if rewards.mean is None else f"{rewards.mean:.3f}"
