"""One mutated file at a time, read by the real command in this process: what came of it, and what is wrong with that.

    world ─ mutate ─> command ─> exit code, output, files ─ judge ─> Outcome ─ restore ─> world

Nothing of Ray is started: where a command would begin to, it is stopped, and that counts as going on.
"""

import io
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from types import FrameType, ModuleType
from typing import Any
from unittest.mock import patch

from mutator.mutations import Mutation, mutations_of
from mutator.originals import build
from mutator.readers import KINDS, Command, Kind
from toolrl.actors.session import Session
from toolrl.cli.main import main

LIMIT_S = 20.0
"""Longest time of one command."""
LONGEST_MESSAGE = 4000
_PLACED = re.compile(r"(?m)^(toolrl: )?(.+: )?[a-z]+\.[a-z_]+: (got |.+ holds no run)|: no such file or folder; |: no tokenizer there; ")
"""What a message about a setting says in place of the file's name: the setting, or the place where nothing is."""
REFUSED, WENT_ON, WOULD_START = "refused", "went on", "would start"


class WouldStartError(BaseException):
    """A command has checked everything and would now start Ray, or torch."""


class HungError(BaseException):
    """A command takes too long."""


@dataclass(frozen=True)
class Case:
    """A mutated file and who reads it; the seed makes it again."""

    kind: Kind
    file: str
    mutation: Mutation
    command: Command
    seed: int

    def __str__(self) -> str:
        return f"{self.kind.name}: {self.mutation.name} in {self.file} (seed {self.seed}), `toolrl {' '.join(self.command.words)}`"


@dataclass(frozen=True)
class Outcome:
    """What came of a case."""

    case: Case
    what: str
    message: str
    out: str
    problems: tuple[str, ...]
    seconds: float


def cases(seed: int, rounds: int) -> Iterator[Case]:
    """Yield the cases of a seed: in each round every mutation of every file, each read by one of its commands in turn."""
    for number in range(rounds):
        for kind in KINDS:
            for file in kind.files:
                for at, mutation in enumerate(mutations_of(file, folder=kind.folder)):
                    random = Random(f"{seed} {number} {kind.name} {file} {mutation.name}")
                    command = kind.commands[(at + number + seed) % len(kind.commands)]
                    yield Case(kind, file, mutation, command, random.randrange(2**31))


def selection(seed: int, files: int) -> list[Case]:
    """Return about so many cases of a seed, spread evenly over those of one round: of every kind, and of every mutation."""
    found = list(cases(seed, 1))
    step = max(len(found) // files, 1)
    return found[seed % step :: step]


class World:
    """A folder of sound files, in which one at a time is broken."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        build(folder)
        self._plain = next(path.name for path in sorted((folder / "done" / "small").iterdir()) if path.is_dir())
        self._kept = folder.with_name(f"{folder.name}-kept")
        shutil.copytree(folder, self._kept, symlinks=True, copy_function=os.link)
        self._files = _snapshot(folder)

    def sound(self, kind: Kind) -> Iterator[tuple[str, str]]:
        """Yield the commands of a kind that do not go on although every file is as it was made, each with its message."""
        for command in kind.commands:
            for file in kind.files:
                words = tuple(word.replace("FILE", file) for word in command.words)
                code, _, err = _command(self.folder, words)
                self._mend()
                if code not in (0, None):
                    yield " ".join(words), err

    def run(self, case: Case) -> Outcome:
        """Break the file, run the command, judge, and mend the world again."""
        file = case.file.replace("PLAIN", self._plain)
        words = tuple(word.replace("FILE", file) for word in case.command.words)
        case = replace(case, file=file, command=replace(case.command, words=words))
        case.mutation.apply(self.folder / file, Random(case.seed))
        before = _snapshot(self.folder)
        broken = case.mutation.certain or (case.kind.exact and before.get(file) != self._files[file])
        start = time.monotonic()
        code, out, err = _command(self.folder, words)
        seconds = time.monotonic() - start
        what = {2: REFUSED, 0: WENT_ON, None: WOULD_START}.get(code, f"exit {code}")
        problems = list(_problems(case, broken, what, out, err))
        problems += [
            f"left {name} {how}" for name, how in _differing(before, _snapshot(self.folder), () if code == 2 else case.command.makes)
        ]
        self._mend()
        return Outcome(case, what, err, out, tuple(problems), seconds)

    def _mend(self) -> None:
        now = _snapshot(self.folder)
        for name in sorted(now.keys() - self._files.keys(), reverse=True):
            path = self.folder / name
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        for name, content in sorted(self._files.items()):
            if now.get(name) != content or (content is not None and not (self.folder / name).samefile(self._kept / name)):
                path = self.folder / name
                if content is None:
                    path.unlink(missing_ok=True)
                    path.mkdir()
                    continue
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                path.unlink(missing_ok=True)
                os.link(self._kept / name, path)


def _command(folder: Path, words: Sequence[str]) -> tuple[int | None, str, str]:
    """Run a command in this process; the code is None where it would have started Ray."""
    out, err = io.StringIO(), io.StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err), _unstarted(), _limited(LIMIT_S):
        try:
            code: int | None = main(list(words))
        except WouldStartError:
            code = None
        except SystemExit as error:
            code = int(error.code or 0)
        except HungError:
            code, _ = -1, err.write("hung")
        except Exception as error:  # noqa: BLE001 - it is what is looked for
            code, _ = -2, err.write(f"{type(error).__name__}: {error}\n{_where(error)}")
    return code, out.getvalue(), err.getvalue()


@contextmanager
def _unstarted() -> Iterator[None]:
    """Stop a command where everything is checked: before Ray starts, and before shards are put together with torch."""
    shards = ModuleType("toolrl.learner.consolidate")
    shards.consolidate = _stop  # type: ignore[attr-defined]
    with patch.object(Session, "stage", _stop):
        sys.modules[shards.__name__] = shards  # not by patch.dict, which would forget every module imported meanwhile
        try:
            yield
        finally:
            del sys.modules[shards.__name__]


def _stop(*_: Any, **__: Any) -> Any:
    raise WouldStartError


def _where(error: BaseException) -> str:
    """Return the innermost lines of ours that an error came through."""
    found, trace = [], error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if f"{os.sep}toolrl{os.sep}" in code.co_filename:
            found.append(f"{code.co_filename.rpartition('toolrl' + os.sep)[2]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return " < ".join(reversed(found[-4:]))


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Stop what takes too long; a timer that somebody else has set goes on afterwards."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise HungError

    handler = signal.signal(signal.SIGALRM, stop)
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    start = time.monotonic()
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - start), 0.01) if left else 0)
        signal.signal(signal.SIGALRM, handler)


def _snapshot(folder: Path) -> dict[str, Any]:
    """Return what is in each file by its name, None for a folder; where a file is large, its size and time."""
    found: dict[str, Any] = {}
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            key = str(path.relative_to(folder))
            if path.name != ".lock":  # says who has the folder, and is left when nobody has
                found[key] = _content(path)
    return found


def _content(path: Path) -> Any:
    if path.is_symlink():
        return ("link", os.readlink(path))
    if path.is_dir():
        return None
    status = path.stat()
    if not path.is_file():
        return ("no file", status.st_mode)
    return path.read_bytes() if status.st_size < 2**17 and os.access(path, os.R_OK) else (status.st_size, status.st_mtime_ns)


def _differing(before: dict[str, Any], after: dict[str, Any], allowed: Sequence[str]) -> Iterator[tuple[str, str]]:
    for name in sorted(before.keys() | after.keys()):
        if any(name == each or name.startswith(f"{each}/") for each in allowed):
            continue
        if name not in after or name not in before:
            yield name, "removed" if name not in after else "behind"
        elif before[name] != after[name]:
            yield name, "changed"


def _problems(case: Case, broken: bool, what: str, out: str, err: str) -> Iterator[str]:
    """Yield what is wrong with an outcome; `broken`: what is read is certainly no file of its kind."""
    if what not in (REFUSED, WENT_ON, WOULD_START):
        yield f"{what}: {err[-600:]}"
        return
    harmless, instead = case.command.harmless, case.command.instead
    if what != REFUSED:
        told = instead and all(part in out + err for part in instead)
        if broken and not told and case.mutation.name not in harmless and "*" not in harmless:
            yield f"{what}, though what it read is no such file" + (f", and does not say {instead}" if instead else "")
        if "toolrl: " in err or "Traceback" in err:
            yield f"{what}, with {err[:600]!r}"
        return
    if out and not case.command.tells:
        yield f"refused, but printed {out[:300]!r}"
    lines = err.splitlines()
    if not lines or not lines[0].startswith("toolrl: ") or sum(line.startswith("toolrl: ") for line in lines) != 1:
        yield f"not one message: {err[:600]!r}"
    if len(err) > LONGEST_MESSAGE:
        yield f"a message of {len(err):,} characters: {err[:200]!r}"
    names = (Path(case.file).name, *case.command.named)
    if not any(name in err for name in names) and not (case.kind.settings and _PLACED.search(err)):
        yield f"the message does not name the file: {err[:600]!r}"
    if ";" not in err:
        yield f"the message does not say what to do: {err[:600]!r}"
    if any((ord(char) < 32 and char not in "\n") or 127 <= ord(char) < 160 for char in err):
        yield f"the message holds control characters: {err[:300]!r}"
