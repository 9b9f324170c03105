"""Scores for a model card: what `toolrl evaluate` wrote, read back and looked at before it is believed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolrl.errors import UserError
from toolrl.monitor.jsonfile import read_object

SCORES = "scores.json"


@dataclass(frozen=True)
class Score:
    """A number of a benchmark, with its interval."""

    benchmark: str
    measure: str
    """What makes an item right; empty where that is not told."""
    name: str
    value: float
    low: float | None
    high: float | None
    items: int
    formula: str


@dataclass(frozen=True)
class Measured:
    """The scores of one evaluation."""

    file: Path
    model: str
    """What was measured, as the evaluation named it."""
    scores: tuple[Score, ...]


def read_scores(path: Path) -> Measured:
    """Return the scores of an evaluation, from its folder or its scores.json; averages without a value are left out. Raises UserError."""
    file = path / SCORES if path.is_dir() else path
    found = read_object(file, remedy=f"give as --scores a {SCORES} that `toolrl evaluate` wrote, or its folder", error=UserError)
    try:
        scores = tuple(_score(found["benchmark"], each) for each in found["estimates"] if each["value"] is not None)
        return Measured(file, str(found["model"]), scores)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UserError(f"--scores: {file} holds no scores ({error!r}); give a {SCORES} that `toolrl evaluate` wrote") from error


def _score(benchmark: str, each: Mapping[str, Any]) -> Score:
    return Score(
        benchmark=str(benchmark),
        measure=str(each.get("measure", "")),
        name=str(each["name"]),
        value=float(each["value"]),
        low=_end(each["low"]),
        high=_end(each["high"]),
        items=int(each["items"]),
        formula=str(each["formula"]),
    )


def _end(number: Any) -> float | None:
    return None if number is None else float(number)
