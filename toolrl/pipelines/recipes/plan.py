"""A table at a size -> the steps it takes, each with its folder. A folder's name ends in a digest of everything that shapes what is in it.

    row ─ ${name} ─> step ─ needs ─> step …        equal steps of several rows have one folder, and are done once
                       └─ settings: those of the size's `all`, of its stage, of the step, then of the command line

What is done is told by a mark beside the folder, written last; so a table that was killed goes on where it was.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from difflib import get_close_matches
from hashlib import blake2b
from pathlib import Path
from typing import Any, Final

from toolrl.config.kinds import KINDS
from toolrl.config.load import from_values, parsed, settings
from toolrl.config.validate import AnyConfig
from toolrl.errors import ConfigError
from toolrl.monitor.jsonfile import read_if_there
from toolrl.pipelines.evaluating.stored import SCORES
from toolrl.pipelines.prepare_pass import PrepareSettings
from toolrl.pipelines.recipes.files import find, read_size, read_table
from toolrl.pipelines.recipes.parts import ALL, EVALUATE, Row, Size, Table
from toolrl.types import Json

OUT: Final = "runs/recipes"
DEFAULT_SIZE: Final = "7b"
MADE: Final = {"prepare": "", "distill": "demonstrations.jsonl", "sft": "final", "rl": "final", EVALUATE: SCORES}
"""What a stage leaves for others, in its folder."""
_NAME = re.compile(r"\$\{([^}]*)\}")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_RESERVED: Final = ("size", "out", "seed")


@dataclass(frozen=True, eq=False)
class Step:
    """A step, ready to be done."""

    name: str
    stage: str
    settings: Mapping[str, Json]
    """With the paths of what it needs."""
    needs: tuple[Step, ...]
    digest: str
    folder: Path
    benchmark: str = ""
    """Of an evaluation: which."""
    data: str = ""
    """Of an evaluation: the folder of the benchmark's files; empty: where it keeps them itself."""

    @property
    def made(self) -> str:
        """The path that others read."""
        return str(self.folder / MADE[self.stage]) if MADE[self.stage] else str(self.folder)

    @property
    def mark(self) -> Path:
        """The file that says it is done."""
        return self.folder.with_name(f"{self.folder.name}.json")

    @property
    def done(self) -> bool:
        """Whether it was done, and is still there. Raises RunFolderError where its mark is damaged."""
        return self.marked() is not None and Path(self.made).exists()

    def marked(self) -> Mapping[str, Any] | None:
        """Return what its mark says; None where it was not done. Raises RunFolderError."""
        return read_if_there(self.mark, remedy="put it back, or remove it to have the step done again")

    def config(self) -> AnyConfig | PrepareSettings:
        """Return its configuration. Raises ConfigError that names the step."""
        try:
            if self.stage == "prepare":
                return _prepare_settings(self.settings)
            config: AnyConfig = from_values(KINDS[self.stage], {**self.settings, "run.dir": str(self.folder)})
            return config
        except ConfigError as error:
            raise ConfigError([f"step {self.name} ({self.stage}): {problem}" for problem in error.problems]) from error


@dataclass(frozen=True)
class RowPlan:
    """A row at its size, and its evaluations by the benchmark that the table's columns name."""

    row: Row
    size: Size
    evaluations: Mapping[str, Step]

    @property
    def steps(self) -> dict[Path, Step]:
        """Its steps by folder, each after what it needs."""
        return {step.folder: step for evaluation in self.evaluations.values() for step in _in_order(evaluation)}


@dataclass(frozen=True)
class Plan:
    """A table, ready to be done."""

    table: Table
    rows: tuple[RowPlan, ...]

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes of its rows, each once."""
        return tuple({row.size.name: row.size for row in self.rows}.values())

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step once, each after what it needs."""
        found: dict[Path, Step] = {}
        for row in self.rows:
            found |= {folder: step for folder, step in row.steps.items() if folder not in found}
        return tuple(found.values())

    def rows_of(self, step: Step) -> tuple[str, ...]:
        """Return the names of the rows that want a step."""
        return tuple(each.row.name for each in self.rows if step.folder in each.steps)


def plan(recipe: str, words: Sequence[str]) -> Plan:
    """Return the plan of a recipe file; `words` are `size=…`, `out=…`, `seed=…`, `VALUE=…`, or `STAGE.section.key=…`.

    Raises ConfigError with every problem of every step.
    """
    table = read_table(path := find(recipe))
    given, overrides = _words(words)
    rows: list[RowPlan] = []
    problems: list[str] = []
    names: set[str] = {*_RESERVED}
    sizes: dict[str, Size] = {}
    for row in table.rows:
        wanted = given.get("size", row.size or table.size or DEFAULT_SIZE)
        size = sizes[wanted] = sizes.get(wanted) or read_size(wanted, path)
        names |= {*size.values, *size.steps, *row.values, *row.steps}
        with _collected(problems, f"{row.name}, at size {size.name}"):
            rows.append(RowPlan(row, size, _Maker(row, size, given, overrides).evaluations()))
    problems += [f"{key}={given[key]}: no value and no step of this name{_nearest(key, names)}" for key in given if key not in names]
    checked: set[Path] = set()
    for row_plan in rows:
        for step in row_plan.steps.values():
            if step.folder not in checked:
                checked.add(step.folder)
                with _collected(problems, f"{row_plan.row.name}, at size {row_plan.size.name}"):
                    step.config()
    if problems:
        raise ConfigError(problems)
    return Plan(table, tuple(rows))


@contextmanager
def _collected(problems: list[str], row: str) -> Iterator[None]:
    """Add the problems of a row to those that are known."""
    try:
        yield
    except ConfigError as error:
        problems += [f"{row}: {problem}" for problem in error.problems]


class _Maker:
    """Makes the steps of one row: a name is looked up on the command line, then among its steps, those of the size, and the values."""

    def __init__(self, row: Row, size: Size, given: Mapping[str, str], overrides: Mapping[str, Mapping[str, Json]]) -> None:
        self._row, self._size, self._overrides = row, size, overrides
        own = {name: value for name, value in given.items() if name not in _RESERVED}
        self._values = {**size.values, **row.values, **own}
        self._specs = {name: spec for name, spec in {**size.steps, **row.steps}.items() if name not in own}
        self._seed = given.get("seed", "0")
        self._out = Path(given.get("out", OUT)).resolve() / size.name
        self._made: dict[str, Step] = {}
        self._open: list[str] = []

    def evaluations(self) -> dict[str, Step]:
        """Return an evaluation for each benchmark of the row; one that stands for several is the same step."""
        known = set().union(*map(_known, MADE))
        if unknown := [key for key in self._size.stages.get(ALL, {}) if key not in known]:
            raise ConfigError([f"size {self._size.name}: stages.all: no stage has {key!r}{_nearest(key, known)}" for key in unknown])
        found = {}
        for name in (*self._row.benchmarks, *self._size.also):
            if name not in self._size.benchmarks:
                raise ConfigError(f"benchmarks: got {name!r}; the size {self._size.name} has {', '.join(self._size.benchmarks)}")
            here = self._size.benchmarks[name]
            stages = {**self._size.stages.get(EVALUATE, {}), **here["settings"]}
            asked = {**stages, **self._row.evaluate, "model.path": self._row.model}
            found[name] = self._step(f"{EVALUATE}-{here['is']}", EVALUATE, asked, benchmark=here["is"], data=here.get("data", ""))
        return found

    def _named(self, name: str) -> Step | str:
        """Return the step or the value that `${name}` stands for."""
        if name in self._open:
            raise ConfigError(f"${{{name}}}: needs itself: {' needs '.join([*self._open, name])}")
        if name in self._specs:
            if name not in self._made:
                spec = self._specs[name]
                self._open.append(name)
                self._made[name] = self._step(name, spec.stage, {**self._size.stages.get(spec.stage, {}), **spec.settings})
                self._open.pop()
            return self._made[name]
        if name in self._values:
            return self._values[name]
        known = sorted({*self._specs, *self._values})
        raise ConfigError(f"${{{name}}}: no step and no value of this name; there are {', '.join(known)}")

    def _step(self, name: str, stage: str, stated: Mapping[str, Json], *, benchmark: str = "", data: str = "") -> Step:
        needs: dict[str, Step] = {}
        common = {key: value for key, value in self._size.stages.get(ALL, {}).items() if key in _known(stage)}
        seed = {"seed" if stage == "prepare" else "run.seed": int(self._seed)}
        asked = {**common, **seed, **stated, **self._overrides.get(stage, {})}
        real = {key: self._replaced(value, needs, digests=False) for key, value in asked.items()}
        told = {key: self._replaced(value, needs, digests=True) for key, value in asked.items()}
        files_told = [str(self._replaced(data, needs, digests=True))] if data else []
        content = json.dumps([stage, benchmark, told, *files_told], sort_keys=True, default=str)
        digest = blake2b(content.encode(), digest_size=4).hexdigest()
        files = str(self._replaced(data, needs, digests=False))
        return Step(name, stage, real, tuple(needs.values()), digest, self._out / f"{name}-{digest}", benchmark, files)

    def _replaced(self, value: Json, needs: dict[str, Step], *, digests: bool) -> Json:
        """Return a setting with what its names stand for: paths, or digests of the steps behind them."""
        if isinstance(value, list):
            return [self._replaced(item, needs, digests=digests) for item in value]
        if not isinstance(value, str):
            return value

        def put(found: re.Match[str]) -> str:
            named = self._named(found[1])
            if isinstance(named, Step):
                needs[found[1]] = named
                return f"{{{named.digest}}}" if digests else named.made
            self._open.append(found[1])
            replaced = str(self._replaced(named, needs, digests=digests))
            self._open.pop()
            return replaced

        replaced = _NAME.sub(put, value)
        return parsed(replaced) if replaced != value and _NUMBER.fullmatch(replaced) else replaced


def _in_order(step: Step) -> Iterator[Step]:
    """Yield a step after everything it needs."""
    for each in step.needs:
        yield from _in_order(each)
    yield step


def _known(stage: str) -> set[str]:
    """Return the settings of a stage."""
    return {each.name for each in fields(PrepareSettings)} if stage == "prepare" else set(settings(KINDS[stage]))


def _prepare_settings(stated: Mapping[str, Json]) -> PrepareSettings:
    known = _known("prepare")
    found = {key: value for key, value in stated.items() if key != "inputs"}
    problems = [f"unknown setting {key!r}; known are inputs, {', '.join(sorted(known))}" for key in found if key not in known]
    if not _texts(stated.get("inputs")) or not stated["inputs"]:
        problems.append(f"inputs: got {stated.get('inputs')!r}; write a list of data sets, folders or files")
    usual = {each.name: "" if each.default is None else each.default for each in fields(PrepareSettings)}
    values: dict[str, Any] = {key: tuple(value) if _texts(value) else value for key, value in found.items() if key in known}
    for key, value in values.items():
        if type(value) not in ((int, float) if type(usual[key]) is float else (type(usual[key]),)):
            problems.append(f"{key}: got {value!r}; write it as in {usual[key]!r}")
    if problems:
        raise ConfigError(problems)
    made = PrepareSettings(**values)
    if problems := made.problems():
        raise ConfigError(problems)
    return made


def _texts(value: Json) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _nearest(name: str, known: Iterable[str]) -> str:
    close = get_close_matches(name, sorted(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(sorted(known))}"


def _words(words: Sequence[str]) -> tuple[dict[str, str], dict[str, dict[str, Any]]]:
    """Return values by name, and settings by stage. Raises ConfigError."""
    given: dict[str, str] = {}
    overrides: dict[str, dict[str, Any]] = {}
    for word in words:
        key, equals, text = word.partition("=")
        stage, dot, setting = key.partition(".")
        if not equals:
            raise ConfigError(f"{word}: expected NAME=VALUE, as in size=tiny, or STAGE.section.key=VALUE, as in rl.run.steps=30")
        if not dot:
            given[key] = text
        elif stage in MADE:
            overrides.setdefault(stage, {})[setting] = parsed(text)
        else:
            raise ConfigError(f"{word}: no stage {stage!r}; a setting begins with one of {', '.join(MADE)}")
    if not given.get("seed", "0").isdecimal():
        raise ConfigError(f"seed={given['seed']}: write a whole number")
    return given, overrides
