"""Ways to break a file. Each is a function of the file and a random stream, so a seed makes the same file again.

`certain`: what comes of it is no file of its kind, whatever the random stream said; whoever reads it must say so. The others may hit a word
of a text, and leave a valid file that says something else.
"""

import copy
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

Bytes = Callable[[bytes, Random], bytes]
BIG = "9" * 5000
DEEP = 20_000
LFS = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
OTHERS = (
    None,
    True,
    -1,
    0,
    3.5,
    10**30,
    "",
    "x",
    "\x00",
    "../../etc/passwd",
    [],
    [None],
    [[]],
    {},
    {"x": None},
    ["x"] * 3,
    "é\u2028\U0001f4e6",
)


@dataclass(frozen=True)
class Mutation:
    """One way to break a file."""

    name: str
    apply: Callable[[Path, Random], None]
    certain: bool = False


def of_bytes(name: str, change: Bytes, *, certain: bool = False) -> Mutation:
    """Return a mutation of a file's content; the file is replaced, since it may be a link to another."""

    def apply(path: Path, random: Random) -> None:
        content = change(path.read_bytes(), random)
        path.unlink()
        path.write_bytes(content)

    return Mutation(name, apply, certain)


def _cut(data: bytes, random: Random) -> bytes:
    return data[: random.randrange(len(data))]


def _flip(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + bytes([data[at] ^ (1 << random.randrange(8))]) + data[at + 1 :]


def _block(data: bytes, random: Random) -> bytes:
    at = random.randrange(len(data))
    return data[:at] + b"\x00" * len(data[at : at + 64]) + data[at + 64 :]


def _insert(piece: bytes) -> Bytes:
    def change(data: bytes, random: Random) -> bytes:
        at = random.randrange(len(data) + 1)
        return data[:at] + piece + data[at:]

    return change


def _without_line(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    del lines[random.randrange(len(lines))]
    return b"".join(lines)


def _line_twice(data: bytes, random: Random) -> bytes:
    lines = data.splitlines(keepends=True)
    at = random.randrange(len(lines))
    return b"".join([*lines[: at + 1], lines[at], *lines[at + 1 :]])


def _joined(data: bytes, random: Random) -> bytes:
    ends = [found.start() for found in re.finditer(b"\n", data)][:-1]
    at = random.choice(ends) if ends else len(data)
    return data[:at] + data[at + 1 :]


def _gone(path: Path, random: Random) -> None:
    path.unlink()


def _folder(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def _linked(to: Callable[[Path], str]) -> Callable[[Path, Random], None]:
    def apply(path: Path, random: Random) -> None:
        path.unlink()
        path.symlink_to(to(path))

    return apply


def _pipe(path: Path, random: Random) -> None:
    path.unlink()
    os.mkfifo(path)


def _locked(path: Path, random: Random) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content)
    path.chmod(0)


PLACES = (
    Mutation("gone", _gone, certain=True),
    Mutation("a folder", _folder, certain=True),
    Mutation("link to itself", _linked(lambda path: path.name), certain=True),
    Mutation("link to nothing", _linked(lambda path: "nowhere"), certain=True),
    Mutation("a pipe", _pipe, certain=True),
    *([Mutation("unreadable", _locked, certain=True)] if os.geteuid() else []),  # root reads everything
)
BYTES = (
    of_bytes("empty", lambda data, random: b"", certain=True),
    of_bytes("blank", lambda data, random: b" \n\n", certain=True),
    of_bytes("cut", _cut),
    of_bytes("bit flipped", _flip),
    of_bytes("block of zeros", _block),
    of_bytes("noise", lambda data, random: random.randbytes(512), certain=True),
    of_bytes("a page of HTML", lambda data, random: b"<!DOCTYPE html>\n<html><body>404: Not {Found}</body></html>\n", certain=True),
    of_bytes("a pointer of Git LFS", lambda data, random: LFS, certain=True),
)
TEXTS = (
    of_bytes("NUL inside", _insert(b"\x00")),
    of_bytes("Latin-1 inside", _insert(b"\xe9")),
    of_bytes("byte order mark", lambda data, random: b"\xef\xbb\xbf" + data),
    of_bytes("UTF-16", lambda data, random: data.decode("utf-8").encode("utf-16"), certain=True),
    of_bytes("line deleted", _without_line),
    of_bytes("line twice", _line_twice),
    of_bytes("lines joined", _joined),
    of_bytes("Windows lines", lambda data, random: data.replace(b"\n", b"\r\n")),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        yield from _places(item, (*path, key))


def _changed(value: Any, path: Sequence[Any], change: Callable[[Any], Any]) -> Any:
    """Return `value` with what is at `path` changed."""
    value = copy.deepcopy(value)
    if not path:
        return change(value)
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = change(inner[path[-1]])
    return value


def other_type(value: Any, random: Random) -> Any:
    """Put another kind of value at a random place."""
    path = random.choice([each for each in _places(value) if each] or [()])
    return _changed(value, path, lambda old: random.choice([each for each in OTHERS if type(each) is not type(old)]))


def without_key(value: Any, random: Random) -> Any:
    """Take a random key out of a random object."""

    def change(inner: dict[str, Any]) -> dict[str, Any]:
        gone = random.choice(sorted(inner, key=str))
        return {key: item for key, item in inner.items() if key != gone}

    objects = [path for path in _places(value) if isinstance(_at(value, path), dict) and _at(value, path)]
    return _changed(value, random.choice(objects), change) if objects else value


def _at(value: Any, path: Sequence[Any]) -> Any:
    for key in path:
        value = value[key]
    return value


def _json(name: str, change: Callable[[Any, Random], Any]) -> Mutation:
    """Return a mutation of a file of JSON, or of one of its lines."""

    def apply(data: bytes, random: Random) -> bytes:
        text = data.decode()
        try:
            return json.dumps(change(json.loads(text), random), default=str).encode()
        except ValueError:
            lines = text.splitlines()
            at = random.randrange(len(lines))
            lines[at] = json.dumps(change(json.loads(lines[at]), random), default=str)
            return ("\n".join(lines) + "\n").encode()

    return of_bytes(name, apply)


def _raw(name: str, piece: str, *, certain: bool = False) -> Mutation:
    """Return a mutation that writes `piece` where a random value of JSON begins and ends."""

    def apply(data: bytes, random: Random) -> bytes:
        text = data.decode()
        spots = [found.span(1) for found in re.finditer(r'": (-?\d[\d.e+-]*|"[^"\\]*"|true|false|null)', text)]
        start, end = random.choice(spots) if spots else (0, len(text))
        return (text[:start] + piece + text[end:]).encode()

    return of_bytes(name, apply, certain=certain)


def _key_twice(data: bytes, random: Random) -> bytes:
    text = data.decode()
    found = random.choice(list(re.finditer(r'\{\s*("[^"\\]+"): ', text)))
    return (text[: found.end()] + "1, " + found[1] + ": " + text[found.end() :]).encode()


JSONS = (
    _json("other type", other_type),
    _json("key missing", without_key),
    _json("a list around", lambda value, random: [value]),
    _json("a number instead", lambda value, random: 7),
    _json("null instead", lambda value, random: None),
    _json("unknown key", lambda value, random: {**value, "no such key": 1} if isinstance(value, dict) else [*value, {"no such key": 1}]),
    _raw("NaN", "NaN"),
    _raw("1e999", "1e999"),
    _raw("5,000 digits", BIG),
    _raw("nested 20,000 deep", "[" * DEEP + "]" * DEEP),
    _raw("half a pair", '"\\ud800"'),
    of_bytes("key twice", _key_twice),
)


def _line(name: str, text: str, *, certain: bool = True) -> Mutation:
    """Return a mutation that adds lines to a file of YAML."""
    return of_bytes(name, lambda data, random: data + text.encode(), certain=certain)


def _bomb() -> str:
    levels = ["b0: &b0 [x, x, x, x, x, x, x, x, x]"]
    return "\n".join([*levels, *(f"b{i}: &b{i} [{', '.join([f'*b{i - 1}'] * 9)}]" for i in range(1, 10))]) + "\n"


def _yaml_value(name: str, piece: str, *, certain: bool = False) -> Mutation:
    """Return a mutation that writes `piece` in place of a random scalar."""

    def apply(data: bytes, random: Random) -> bytes:
        text = data.decode()
        spots = [found.span(1) for found in re.finditer(r"(?m): (\S.*)$", text)]
        start, end = random.choice(spots)
        return (text[:start] + piece + text[end:]).encode()

    return of_bytes(name, apply, certain=certain)


def _indented(data: bytes, random: Random) -> bytes:
    return data.replace(b"\n  ", b"\n\t", 1) if b"\n  " in data else b"\t" + data


def _renamed(data: bytes, random: Random) -> bytes:
    spots = [found.span(1) for found in re.finditer(r"(?m)^ *([a-z_]+):", data.decode())]
    start, end = random.choice(spots)
    return data[:start] + data[start:end] + b"z" + data[end:]


def _twice(data: bytes, random: Random) -> bytes:
    lines = [line for line in data.splitlines(keepends=True) if line[:1].isalpha()]
    return data + random.choice(lines).split(b":")[0] + b": {}\n"


YAMLS = (
    _line("unknown section", "nosuchsection: {steps: 3}\n"),
    of_bytes("key misspelt", _renamed),
    of_bytes("section twice", _twice, certain=True),
    _line("anchor bomb", _bomb()),
    _line("anchor in itself", "zz: &a [*a]\n"),
    _line("nested 20,000 deep", "zz: " + "[" * DEEP + "]" * DEEP + "\n"),
    _line("a Python object", "zz: !!python/object/apply:os.system ['touch owned']\n"),
    _line("no such date", "zz: 2024-99-99\n"),
    _line("interpolation of nothing", "zz: {a: '${nope.nope}'}\n"),
    _line("a second document", "---\nrun: {steps: 3}\n"),
    of_bytes("indented by a tab", _indented, certain=True),
    of_bytes("a list", lambda data, random: b"- a\n- b\n", certain=True),
    of_bytes("a word", lambda data, random: b"word\n", certain=True),
    of_bytes("a number", lambda data, random: b"7\n", certain=True),
    _yaml_value("a list as value", "[1, [2]]"),
    _yaml_value("a section as value", "{a: {b: c}}"),
    _yaml_value("null as value", "null"),
    _yaml_value("5,000 digits", BIG),
    _yaml_value("1e999", "1e999"),
    _yaml_value("31 digits", str(10**30)),
    _yaml_value("not a number", ".nan"),
    _yaml_value("a negative number", "-5"),
    _yaml_value("a word as value", "word"),
    _yaml_value("a control character", '"\\0\\a"'),
    _yaml_value("interpolation as value", "${oc.env:HOME}"),
    _yaml_value("unclosed", '"abc'),
)


def _table(name: str, change: Callable[[pa.Table, Random], pa.Table], *, certain: bool = False) -> Mutation:
    """Return a mutation of a Parquet file that is written anew: sound as Parquet, and another table."""

    def apply(path: Path, random: Random) -> None:
        table = change(pq.ParquetFile(path).read(), random)
        path.unlink()
        pq.write_table(table, path)

    return Mutation(name, apply, certain)


def _any_column(table: pa.Table, random: Random) -> int:
    return random.randrange(table.num_columns)


def _of_other_type(table: pa.Table, random: Random) -> pa.Table:
    at = _any_column(table, random)
    values: list[Any] = [random.choice([7, 2**40, -1])] * table.num_rows
    if not pa.types.is_string(table.schema.field(at).type):
        values = ["x"] * table.num_rows
    return table.set_column(at, table.schema.field(at).name, pa.array(values))


def _with_value(pick: Callable[[pa.DataType, Random], Any]) -> Callable[[pa.Table, Random], pa.Table]:
    """Return a change that puts a value of the column's own type into one cell."""

    def change(table: pa.Table, random: Random) -> pa.Table:
        at, row = _any_column(table, random), random.randrange(table.num_rows)
        field = table.schema.field(at)
        values = table.column(at).to_pylist()
        values[row] = pick(field.type, random)
        return table.set_column(at, field, pa.array(values, field.type))

    return change


def _strange(kind: pa.DataType, random: Random) -> Any:
    """Return a value that no writer of ours would write."""
    if pa.types.is_floating(kind):
        return random.choice([float("nan"), float("inf"), -1e308])
    if pa.types.is_integer(kind):
        return random.choice([-1, 2**31 - 1, -(2**31)])
    if pa.types.is_string(kind):
        return random.choice(["", "x", "[", "{}", "[1]", "null", "[[]]", '[{"name": 1}]', "\x00", "[" * 5000, "NaN", '{"a": NaN}'])
    if pa.types.is_boolean(kind):
        return random.choice([True, False])
    return random.choice([None, []])


TABLES = (
    _table("column missing", lambda table, random: table.remove_column(_any_column(table, random))),
    _table("column of another type", _of_other_type),
    _table("null in a cell", _with_value(lambda kind, random: None)),
    _table("strange value in a cell", _with_value(_strange)),
    _table("no rows", lambda table, random: table.slice(0, 0)),
    _table("row missing", lambda table, random: table.slice(1)),
    _table("row twice", lambda table, random: pa.concat_tables([table, table.slice(0, 1)])),
    _table("rows turned round", lambda table, random: table.take(list(range(table.num_rows))[::-1])),
    _table("column added", lambda table, random: table.append_column("no such column", pa.array([1] * table.num_rows))),
    _table("another table", lambda table, random: pa.table({"a": [1, 2], "b": ["x", "y"]}), certain=True),
    _table("column twice", lambda table, random: table.append_column(table.schema.field(0), table.column(0))),
)


def _beside(path: Path, random: Random) -> None:
    path.with_name("stranger.bin").write_bytes(b"?")


BESIDE = (Mutation("a stranger beside", _beside, certain=True),)


def mutations_of(path: str, *, folder: bool = False) -> tuple[Mutation, ...]:
    """Return the ways to break a file, told by its name; `folder`: what lies beside it counts, too."""
    own = {".yaml": (*TEXTS, *YAMLS), ".json": (*TEXTS, *JSONS), ".jsonl": (*TEXTS, *JSONS), ".parquet": TABLES}
    suffix = Path(path).suffix
    texts = TEXTS if suffix in (".template", ".fingerprints", ".jinja") else JSONS if path.endswith("COMPLETE") else ()
    return (*PLACES, *BYTES, *own.get(suffix, texts), *(BESIDE if folder else ()))
