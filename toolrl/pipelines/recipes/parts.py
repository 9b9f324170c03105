"""What recipes are made of: steps, rows, sizes, tables; `files` reads them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from toolrl.types import Json

STAGES: Final = ("prepare", "distill", "sft", "rl")
"""What a step may do; every row is evaluated besides."""
EVALUATE: Final = "evaluate"
ALL: Final = "all"
"""Among the stages of a size: settings of every stage that knows them."""
SIZES: Final = "sizes"
"""Folder of the sizes, beside the tables."""
DEFAULT_BENCHMARK: Final = "bfcl"


@dataclass(frozen=True, slots=True)
class StepSpec:
    """A step as a file states it: `${…}` not yet replaced."""

    stage: str
    settings: Mapping[str, Json]
    """By `section.key`; those of prepare by their own names."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table."""

    name: str
    """Its file without the ending, seen from the folder of the table: `table3/rl_100`."""
    title: str
    model: str
    """What is measured."""
    steps: Mapping[str, StepSpec] = field(default_factory=dict)
    values: Mapping[str, str] = field(default_factory=dict)
    evaluate: Mapping[str, Json] = field(default_factory=dict)
    """Settings of its evaluation."""
    paper: Mapping[str, float] = field(default_factory=dict)
    benchmarks: tuple[str, ...] = (DEFAULT_BENCHMARK,)
    size: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    """A number of an evaluation."""

    name: str
    benchmark: str
    measure: str
    average: str


@dataclass(frozen=True, slots=True)
class Size:
    """What the steps run on and with."""

    name: str
    title: str
    values: Mapping[str, str]
    stages: Mapping[str, Mapping[str, Json]]
    steps: Mapping[str, StepSpec]
    benchmarks: Mapping[str, Mapping[str, Any]]
    """Benchmark that rows name -> `is`: the one that is run here, `data`: where its files are, `settings`: how it is asked."""
    also: tuple[str, ...] = ()
    """Benchmarks that every row has besides its own."""
    columns: tuple[Column, ...] = ()
    """In place of those of the table."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows side by side."""

    name: str
    title: str
    rows: tuple[Row, ...]
    columns: tuple[Column, ...]
    compare: tuple[tuple[str, str], ...] = ()
    """Pairs of rows that are compared item by item."""
    note: str = ""
    size: str = ""
