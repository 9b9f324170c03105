"""Recipe files -> values, checked: a row (steps that end in a model), a table (rows and columns), a size (what steps run on).

row     title, steps: {name: {stage, section: {key: value}}}, model: "${step}"; paper: {column: number}, values, benchmarks, size
table   title, rows: [files], columns: [{name, benchmark, measure, average}]; compare: [[row, row]], paper, size
size    title, values, stages: {stage: settings}, steps, benchmarks: {name: {is, data, settings}}; also, columns, base: another size

`${name}` in a text stands for a value, or for what a step made: a model folder, demonstrations, prepared data. Nothing else is evaluated.
A file may be named as it lies in the package, from any folder: `recipes/table3.yaml`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, Final

from toolrl.config.yamlfile import read_yaml
from toolrl.data.inside import is_inside
from toolrl.errors import ConfigError
from toolrl.pipelines.evaluating.benchmarks import NAMES
from toolrl.pipelines.evaluating.scores import MEASURES
from toolrl.pipelines.recipes.parts import ALL, DEFAULT_BENCHMARK, EVALUATE, SIZES, STAGES, Column, Row, Size, StepSpec, Table
from toolrl.types import Json

_PLAIN: Final = re.compile(r"\w[\w-]*")  # names of steps and sizes, which become names of folders


def find(name: str) -> Path:
    """Return the path of a recipe file, or of the one of that name that ships with the package. Raises ConfigError."""
    path = Path(name)
    if path.is_file():
        return path
    parts = path.parts[path.parts.index("recipes") + 1 :] if "recipes" in path.parts else path.parts
    folder = Path(str(resources.files("toolrl"))) / "_conf" / "recipes"
    packaged = folder.joinpath(*parts)
    if ".." not in path.parts and packaged.is_file():
        return packaged
    known = sorted(str(file.relative_to(folder)) for file in folder.rglob("*.yaml") if SIZES not in file.parts)
    close = difflib.get_close_matches("/".join(parts), known, n=1, cutoff=0.5)
    hint = f"did you mean recipes/{close[0]}?" if close else "give a YAML file, or recipes/table3.yaml"
    raise ConfigError(f"{name}: no such recipe; {hint}")


def read_table(path: Path) -> Table:
    """Return a table; a file of one row is a table of that row. Raises ConfigError."""
    content = _content(path)
    if "rows" not in content:
        row = _row(path, path.stem, content)
        of = path.parent.with_suffix(".yaml")  # the table whose folder it lies in says what is measured
        columns = content.get("columns", _content(of).get("columns", []) if of.is_file() else [])
        return Table(path.stem, row.title, (row,), _columns(path, columns), size=row.size)
    _known(path, content, ("title", "rows", "columns", "compare", "note", "size"))
    names = _texts(path, "rows", content["rows"])
    if not names or len(set(names)) < len(names):
        raise ConfigError(f"{path}: rows: got {names}; name one row or more, each once")
    rows = tuple(_row(beside(path, name), name, _content(beside(path, name))) for name in names)
    pairs = tuple(tuple(_texts(path, "compare", pair)) for pair in content.get("compare", []))
    for pair in pairs:
        if len(pair) != 2 or not set(pair) <= set(names):
            raise ConfigError(f"{path}: compare: got {list(pair)}; name two of {', '.join(names)}")
    return Table(
        name=path.stem,
        title=_text(path, content, "title"),
        rows=rows,
        columns=_columns(path, content.get("columns", [])),
        compare=tuple((pair[0], pair[1]) for pair in pairs),
        note=_text(path, content, "note", ""),
        size=_text(path, content, "size", ""),
    )


def read_size(name: str, near: Path, above: tuple[str, ...] = ()) -> Size:
    """Return a size by name, from the folder of sizes near the recipe `near` or of the package; `above` rest on it. Raises ConfigError."""
    folders = [near.parent / SIZES, near.parent.parent / SIZES, Path(str(resources.files("toolrl"))) / "_conf" / "recipes" / SIZES]
    known = {file.stem: file for folder in reversed(folders) for file in folder.glob("*.yaml")}  # the nearest of a name counts
    if name not in known:
        raise ConfigError(f"size: got {name!r}; choose one of {', '.join(sorted(known))}")
    found = known[name]
    if not found.is_file():
        raise ConfigError(f"{found}: not a file; put the size's own there, or remove it")
    content = _content(found)
    _known(found, content, ("title", "values", "stages", "steps", "benchmarks", "also", "columns", "base"))
    if name in above:
        raise ConfigError(f"{found}: base: {' rests on '.join([*above, name])}; name another")
    base = read_size(_text(found, content, "base"), found, (*above, name)) if "base" in content else Size(name, "", {}, {}, {}, {})
    stated = _mapping(found, "stages", content.get("stages", {}))
    _known(found, stated, (ALL, *STAGES, EVALUATE))
    stages = {stage: {**base.stages.get(stage, {}), **flat(_mapping(found, stage, each))} for stage, each in stated.items()}
    return Size(
        name=name,
        title=_text(found, content, "title"),
        values={**base.values, **_values(found, content)},
        stages={**base.stages, **stages},
        steps={**base.steps, **_steps(found, content.get("steps", {}))},
        benchmarks={**base.benchmarks, **_benchmarks(found, content.get("benchmarks", {}))},
        also=tuple(_texts(found, "also", content.get("also", list(base.also)))),
        columns=_columns(found, content.get("columns", [])) or base.columns,
    )


def beside(path: Path, name: str) -> Path:
    """Return the file of a row named by the table in `path`; one outside the table's folder is no row of it. Raises ConfigError."""
    parts = Path(name).parts
    row = path.parent / f"{name}.yaml"
    if Path(name).is_absolute() or ".." in parts or not row.is_file() or not is_inside(row, path.parent):
        raise ConfigError(f"{path}: rows: no file {row}; name a row below {path.parent}, without .yaml")
    return row


def flat(settings: Mapping[str, Json]) -> dict[str, Json]:
    """Return settings by `section.key`.

    >>> flat({"data": {"subset": "0-50"}, "model.path": "m"})
    {'data.subset': '0-50', 'model.path': 'm'}
    """
    found: dict[str, Json] = {}
    for key, value in settings.items():
        found |= {f"{key}.{name}": each for name, each in value.items()} if isinstance(value, dict) and "." not in key else {key: value}
    return found


def _row(path: Path, name: str, content: Mapping[str, Any]) -> Row:
    _known(path, content, ("title", "model", "steps", "values", "evaluate", "paper", "benchmarks", "size", "columns"))
    paper = content.get("paper", {})
    benchmarks = _texts(path, "benchmarks", content.get("benchmarks", [DEFAULT_BENCHMARK]))
    if not benchmarks:
        raise ConfigError(f"{path}: benchmarks: got none; name what the row is measured on")
    if not isinstance(paper, dict) or not all(type(number) in (int, float) for number in paper.values()):
        raise ConfigError(f"{path}: paper: got {paper!r}; write numbers by column")
    return Row(
        name=name,
        title=_text(path, content, "title"),
        model=_text(path, content, "model"),
        steps=_steps(path, content.get("steps", {})),
        values=_values(path, content),
        evaluate=flat(_mapping(path, "evaluate", content.get("evaluate", {}))),
        paper={str(column): float(number) for column, number in paper.items()},
        benchmarks=tuple(benchmarks),
        size=_text(path, content, "size", ""),
    )


def _steps(path: Path, content: Any) -> dict[str, StepSpec]:
    found = {}
    for name, step in _mapping(path, "steps", content).items():
        stage = step.get("stage") if isinstance(step, dict) else None
        if stage not in STAGES:
            raise ConfigError(f"{path}: steps.{name}.stage: got {stage!r}; choose one of {', '.join(STAGES)}")
        if not _PLAIN.fullmatch(str(name)):
            raise ConfigError(f"{path}: steps: got {name!r}; write a name of letters, digits, _ and -, which becomes that of a folder")
        settings = {key: value for key, value in step.items() if key != "stage"}
        found[str(name)] = StepSpec(stage, settings if stage == "prepare" else flat(settings))
    return found


def _columns(path: Path, content: Any) -> tuple[Column, ...]:
    wanted = ("name", "benchmark", "measure", "average")
    if not isinstance(content, list):
        raise ConfigError(f"{path}: columns: got {content!r}; write a list")
    for column in content:
        if not isinstance(column, dict) or set(column) != set(wanted) or column["measure"] not in MEASURES:
            raise ConfigError(f"{path}: columns: got {column!r}; give each {', '.join(wanted)}, a measure being {', '.join(MEASURES)}")
    return tuple(Column(**{key: str(column[key]) for key in wanted}) for column in content)


def _benchmarks(path: Path, content: Any) -> dict[str, dict[str, Any]]:
    found = {}
    for name, here in _mapping(path, "benchmarks", content).items():
        stated = _mapping(path, f"benchmarks.{name}", here)
        _known(path, stated, ("is", "data", "settings"))
        if stated.get("is") not in NAMES or not isinstance(stated.get("data", ""), str):
            raise ConfigError(f"{path}: benchmarks.{name}: got {stated}; write `is` ({', '.join(NAMES)}), and as `data` a folder")
        found[str(name)] = {**stated, "settings": flat(_mapping(path, f"benchmarks.{name}.settings", stated.get("settings", {})))}
    return found


def _mapping(path: Path, key: str, content: Any) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: {key}: got {content!r}; write names with values")
    return content


def _values(path: Path, content: Mapping[str, Any]) -> dict[str, str]:
    values = content.get("values", {})
    if not isinstance(values, dict) or not all(type(value) in (str, int, float) for value in values.values()):
        raise ConfigError(f"{path}: values: got {values!r}; write texts or numbers by name")
    return {str(name): str(value) for name, value in values.items()}


def _content(path: Path) -> dict[str, Any]:
    try:
        content = read_yaml(path, resolve=False)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: expected a recipe, got a {type(content).__name__}; write names with values, as in recipes/table3.yaml")
    return {str(key): value for key, value in content.items()}


def _known(path: Path, content: Iterable[str], known: Sequence[str]) -> None:
    """Raise ConfigError for keys that mean nothing."""
    problems = []
    for key in content:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(known)}"
            problems.append(f"{path}: unknown key {key!r}; {hint}")
    if problems:
        raise ConfigError(problems)


def _text(path: Path, content: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = content.get(key, default)
    if not isinstance(value, str):
        raise ConfigError(f"{path}: {key}: got {value!r}; write a text")
    return value


def _texts(path: Path, key: str, content: Any) -> list[str]:
    if not isinstance(content, list) or not all(isinstance(item, str) for item in content):
        raise ConfigError(f"{path}: {key}: got {content!r}; write a list of texts")
    return content
