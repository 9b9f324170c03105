"""Files and overrides -> a checked, frozen configuration.

Files are merged left to right, then `key=value` overrides. A setting that is a table (`reward.functions`) is replaced as a
whole by `reward.functions={a: 1}`, and added to by `reward.functions.a=1`. Every problem (unknown key, wrong type,
contradiction) is collected before a ConfigError is raised, so that a user mends all of them at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from toolrl.config import secrets
from toolrl.config.validate import AnyConfig, problems
from toolrl.config.yamlfile import read_yaml
from toolrl.errors import ConfigError

Config = TypeVar("Config", bound=AnyConfig)


def load(kind: type[Config], arguments: Sequence[str]) -> Config:
    """Read `arguments` (YAML files, then `key=value` overrides) into a configuration of `kind`.

    Raises ConfigError with every problem found.
    """
    found: list[str] = []
    values: dict[str, Any] = {}
    known = settings(kind)
    tables = {name: default for name, (_, default) in known.items() if isinstance(default, dict)}
    origins: dict[str, str] = {}
    layers = [(argument, _layer(argument, tables, found)) for argument in arguments]
    _refuse_secrets([setting for _, layer in layers for setting in layer], known)
    for origin, layer in layers:
        for key, value in layer:
            if key in known:
                values[key], origins[key] = value, origin
            elif table := _table_of(key, tables):
                before = values.get(table, tables[table])
                values[table] = {**(before if isinstance(before, dict) else {}), key.removeprefix(f"{table}."): value}
                origins[table] = origin
            else:
                found.append(f"{origin}: unknown setting {key!r}{_nearest(key, known)}")
    empty = [f"{origin}: holds no settings; write some, or leave it out" for origin, layer in layers if not layer and _is_there(origin)]
    return _checked(kind, values, found, origins, empty)


def from_values(kind: type[Config], values: Mapping[str, Any]) -> Config:
    """Return the configuration of settings by `section.key`. Raises ConfigError with every problem found."""
    known = settings(kind)
    _refuse_secrets(list(values.items()), known)
    found = [f"unknown setting {key!r}{_nearest(key, known)}" for key in values if key not in known]
    return _checked(kind, dict(values), found)


def parsed(text: str) -> Any:
    """Return the value behind the equals sign of an override, as YAML reads it. Raises ConfigError."""
    try:
        return _tree(OmegaConf.from_dotlist([f"value={text}"]))["value"]
    except (OmegaConfBaseException, YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"{text[:80]}: not readable as YAML: {' '.join(str(error).split())}; mend it") from error


def _refuse_secrets(given: Sequence[tuple[str, Any]], known: Mapping[str, object]) -> None:
    """Raise ConfigError where a setting holds a key; before all else, because other messages repeat what was got."""
    if found := secrets.told(given, known):
        raise ConfigError(found)


def _checked(
    kind: type[Config], values: dict[str, Any], found: list[str], origins: Mapping[str, str] | None = None, why: Sequence[str] = ()
) -> Config:
    """Return the configuration of values. Raises ConfigError with `found` and what else is wrong; if only that, `why` is told too."""
    wrong: list[str] = []
    config = _typed(kind, values, wrong)
    wrong += problems(config)
    if found or wrong:
        raise ConfigError([*(found or why), *(_placed(problem, origins or {}) for problem in wrong)])
    return config


def _placed(problem: str, origins: Mapping[str, str]) -> str:
    """Put the file before a problem of a setting that a file states; an override names its setting itself."""
    origin = origins.get(problem.partition(":")[0], "=")
    return problem if "=" in origin else f"{origin}: {problem}"


def settings(kind: type[Any]) -> dict[str, tuple[type[Any], Any]]:
    """Return every setting of a configuration as `section.name` -> (type, default)."""
    found: dict[str, tuple[type[Any], Any]] = {}
    for section in fields(kind):
        part = getattr(kind(), section.name)
        hints = get_type_hints(type(part))
        found |= {f"{section.name}.{f.name}": (hints[f.name], getattr(part, f.name)) for f in fields(part)}
    return found


def type_name(wanted: Any) -> str:
    """Return the type of a setting as a person writes it."""
    return wanted.__name__ if isinstance(wanted, type) else str(wanted)


def to_yaml(config: AnyConfig) -> str:
    """Return a resolved configuration as YAML, every setting spelled out."""
    return str(OmegaConf.to_yaml(OmegaConf.structured(config)))


def shipped(name: str) -> Path:
    """Return the path of a configuration that ships with the package, or of `name` itself where it exists."""
    path = Path(name)
    packaged = Path(str(resources.files("toolrl"))) / "_conf" / path.name
    return packaged if not path.exists() and packaged.exists() else path


def _layer(argument: str, tables: Collection[str], found: list[str]) -> list[tuple[str, Any]]:
    """Read one file or one override into (key, value); a problem is appended to `found` and the layer is empty."""
    try:
        if "=" in argument and not _is_there(argument):
            key, _, text = argument.partition("=")
            if _table_of(key, tables):  # what follows is one key, though it may hold dots
                return [(key, _tree(OmegaConf.from_dotlist([f"value={text}"]))["value"])]
            return _flatten(_tree(OmegaConf.from_dotlist([argument])))
        path = shipped(argument)
        if not path.is_file():
            found.append(f"{argument}: no such file; give YAML files first, then key=value overrides")
            return []
        return _flatten(_sections(read_yaml(path, resolve=True)))
    except ConfigError as error:
        found.append(f"{argument}: {error}")
    except TypeError as error:
        found.append(f"{argument}: expected sections of settings, got {error}; see `toolrl config`")
    except (OmegaConfBaseException, YAMLError, ValueError, RecursionError) as error:
        found.append(f"{argument[:80]}: not readable as YAML: {' '.join(str(error).split())}; mend it")
    return []


def _is_there(name: str) -> bool:
    try:
        return Path(name).exists()
    except (OSError, ValueError):  # longer than a name may be, or with a NUL
        return False


def _table_of(key: str, tables: Collection[str]) -> str | None:
    """Return the table that `key` is an entry of, or None."""
    return next((table for table in tables if key.startswith(f"{table}.")), None)


def _tree(node: Any) -> dict[str, Any]:
    """Return a node as sections; raises TypeError with the kind it is instead."""
    return _sections(OmegaConf.to_container(node, resolve=True))


def _sections(parsed: Any) -> dict[str, Any]:
    """Return what was read as sections; raises TypeError with the kind it is instead."""
    if not isinstance(parsed, dict):
        raise TypeError(type(parsed).__name__)
    return {str(key): value for key, value in parsed.items()}


def _flatten(tree: dict[str, Any]) -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for section, part in tree.items():
        if isinstance(part, dict):
            flat += [(f"{section}.{name}", value) for name, value in part.items()]
        else:
            flat.append((str(section), part))
    return flat


def _nearest(key: str, known: dict[str, Any]) -> str:
    names = {name.partition(".")[2]: name for name in known}
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.6)
    close = close or [names[n] for n in difflib.get_close_matches(key.rpartition(".")[2], names, n=1, cutoff=0.6)]
    return f"; did you mean {close[0]!r}?" if close else "; `toolrl config` lists all settings"


def _typed(kind: type[Config], values: dict[str, Any], found: list[str]) -> Config:
    """Give each value its declared type; a value that does not fit is reported and left at its default."""
    base = kind()
    sections = {}
    for section in fields(kind):
        part = getattr(base, section.name)
        assert is_dataclass(part)
        changed = {}
        for item in fields(part):
            key = f"{section.name}.{item.name}"
            if key in values:
                changed[item.name] = values[key]
        sections[section.name] = _section(section.name, part, changed, found)
    return kind(**sections)


def _section(name: str, part: Any, changed: dict[str, Any], found: list[str]) -> Any:
    hints = get_type_hints(type(part))
    kept = {f.name: getattr(part, f.name) for f in fields(part)}
    if not changed:
        return part
    node = OmegaConf.structured(type(part))  # takes milliseconds, so once for all values of the section
    OmegaConf.set_readonly(node, False)
    for field_name, value in changed.items():
        wanted = hints[field_name]
        try:
            if isinstance(kept[field_name], dict):
                kept[field_name] = _weights(value)
                continue
            node[field_name] = _plain(wanted, value)
            if node[field_name] is None:
                raise ValueError("null")
            kept[field_name] = node[field_name]
        except (OmegaConfBaseException, ValueError):
            found.append(f"{name}.{field_name}: got {value!r}; expected {type_name(wanted)}")
    return type(part)(**kept)


def _plain(wanted: Any, value: Any) -> Any:
    """Return what YAML read as what was meant: a bare `off` is false to it, nothing null, `nan` a word, a name may be a number.

    Raises ValueError.
    """
    if wanted is str and value is None:
        return ""
    if wanted is str and type(value) is bool:
        if value:
            raise ValueError("no word")
        return "off"
    if wanted in (float, str) and type(value) in (int, float, str):
        return wanted(value)
    return value


def _weights(value: Any) -> dict[str, float]:
    """Return a table of numbers by name. Raises ValueError."""
    if not isinstance(value, dict) or not all(type(number) in (int, float) for number in value.values()):
        raise ValueError("no table of numbers")
    return {str(name): float(number) for name, number in value.items()}
