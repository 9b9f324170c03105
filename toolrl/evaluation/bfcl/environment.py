"""The virtual environment of the official evaluator: made once under the cache folder, found there ever after.

    requirements.txt ─ venv, pip, a check that it imports ─> <name>.making ─ rename ─> $TOOLRL_CACHE/<name>

The name tells the requirements and the Python it is for. It is built aside under a lock, so two processes make one, and one that was cut
short is made again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, LOCK_NB, flock
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from toolrl.errors import DeadlineError, RunError, UserError
from toolrl.evaluation.bfcl.process import last_lines, run_job

REQUIREMENTS = Path(__file__).parent / "requirements.txt"
VENV = ("-m", "venv")
PIP = ("-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-deps", "--only-binary", ":all:")
MAKE_S = 900.0
"""Longest time of each step of making it, and longest wait for another process that makes it."""


@dataclass(frozen=True, slots=True)
class Environment:
    """An environment that holds bfcl-eval."""

    folder: Path

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "bin" / "python"

    @property
    def data(self) -> Path:
        """BFCL's own questions and answers. Raises UserError where they are missing."""
        for found in self.folder.glob("lib/python*/site-packages/bfcl_eval/data"):
            return found
        raise UserError(f"{self.folder}: holds no bfcl_eval; remove the folder, and it is made again")


def cache_folder() -> Path:
    """Return where what is made once is kept: `$TOOLRL_CACHE`, else `$XDG_CACHE_HOME/toolrl`, else `~/.cache/toolrl`."""
    if own := os.environ.get("TOOLRL_CACHE"):
        return Path(own).expanduser().absolute()
    shared = os.environ.get("XDG_CACHE_HOME")
    return (Path(shared) if shared else Path.home() / ".cache") / "toolrl"


def official_environment(tell: Callable[[str], None] = lambda _: None) -> Environment:
    """Return the environment, made if it is not there; `tell` is told before that, since it takes a while.

    Raises:
        UserError: It cannot be made; says what failed, where the output of that is, and what to do.
        DeadlineError: Another process makes it, and does not end.
    """
    cache = cache_folder()
    found = Environment(cache / _name())
    if found.python.exists():
        return found
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _alone(_beside(found, "lock")):
            if not found.python.exists():
                tell(f"making the environment of BFCL's own evaluator, once: {found.folder}")
                _make(found)
    except DeadlineError:  # an OSError, too
        raise
    except OSError as error:
        raise UserError(f"{cache}: cannot be written ({error.strerror}); set TOOLRL_CACHE to a folder of your own") from error
    return found


def _name() -> str:
    digest = sha256(REQUIREMENTS.read_bytes()).hexdigest()[:8]
    return f"bfcl-eval-{digest}-py{sys.version_info[0]}.{sys.version_info[1]}"


def _beside(environment: Environment, kind: str) -> Path:
    return environment.folder.with_name(f"{environment.folder.name}.{kind}")


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold `lock`, which one process can at a time."""
    end = time.monotonic() + MAKE_S
    with lock.open("a") as file:
        while True:
            try:
                flock(file, LOCK_EX | LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > end:
                    raise DeadlineError(f"{lock}: another process has held it for {MAKE_S:.0f} s; end that one and try again") from error
                time.sleep(0.2)
        yield


def _make(wanted: Environment) -> None:
    aside, log = Environment(_beside(wanted, "making")), _beside(wanted, "log")
    for old in (aside.folder, wanted.folder):  # cut short, or made for an interpreter that is gone
        shutil.rmtree(old, ignore_errors=True)
    log.write_text("")
    _run([sys.executable, *VENV, str(aside.folder)], log)
    _run([str(aside.python), *PIP, "-r", str(REQUIREMENTS)], log)
    try:
        with TemporaryDirectory() as scratch:
            run_job(aside.python, {"do": "check"}, folder=Path(scratch), log=log, deadline_s=MAKE_S)
    except RunError as error:
        raise UserError(f"{error}; is this machine's Python one that its packages are built for?") from error
    aside.folder.rename(wanted.folder)


def _run(command: list[str], log: Path) -> None:
    told = f"bfcl-eval: `{' '.join(command[:4])} …`"
    hint = f"let pip reach a package index, or set TOOLRL_CACHE to a folder where this was done before; all the output: {log}"
    with log.open("a") as out:
        try:
            done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, timeout=MAKE_S, check=False)
        except subprocess.TimeoutExpired as error:
            raise UserError(f"{told} took longer than {MAKE_S:.0f} s; {hint}") from error
    if done.returncode:
        raise UserError(f"{told} failed: {last_lines(log)}; {hint}")
