"""Upstream's code, asked from here: one request after another, each with a deadline, in a process that holds nothing of ours.

requests ─> judge.py in upstream's folder ─> Answers; what it prints ─> a log

An answer that hangs, or ends the process, is wrong and costs nobody else: the next request has a fresh process. The process sees no more of
this one's environment than it needs: no key, no token. It is ended, children and all, when it is no longer needed.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from toolrl.errors import RunError, UserError
from toolrl.evaluation.confined import end, environment

SCRIPT = Path(__file__).with_name("judge.py")
START_S = 180.0
"""Longest start: upstream may import torch."""
ANSWER_S = 30.0
"""Longest wait for one answer."""
MAX_LOST = 20
"""Processes that may be lost before the whole is given up."""
MAX_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What upstream says to one request."""

    id: str
    right: bool
    why: str
    """Why it is not right, in upstream's words or ours; empty where it is."""


class _EndedError(Exception):
    """The process ended instead of answering."""


class _LateError(Exception):
    """The process did not answer in time."""


class Checkout:
    """Upstream's code in a process of its own; use it as a context manager.

    Args:
        kind: `apibank` or `acebench`.
        root: Upstream's folder.
        python: The interpreter that runs it.
        log: The file that its output is added to.
        answer_s: Longest wait for one answer.

    Raises:
        UserError: It does not start: the folder is another, or the interpreter lacks what it needs.
    """

    def __init__(self, kind: str, root: Path, *, python: str, log: Path, answer_s: float = ANSWER_S) -> None:
        self._command = [python, "-I", "-u", "-X", "utf8", str(SCRIPT), kind, str(root)]
        self._root, self._log, self._answer_s = root, log, answer_s
        self._process: subprocess.Popen[bytes] | None = None
        self._answers = -1
        self._pending = b""
        self._lost = 0
        self.lacking: tuple[str, ...] = ()
        """Packages that upstream asks for and the interpreter has not; what needs them fails."""
        self._start()

    def ask(self, requests: Iterable[Mapping[str, Any]]) -> Iterator[Answer]:
        """Yield the answer to each request, which has an `id` of its own.

        Raises:
            RunError: The process is lost again and again, or says what is no answer.
        """
        for request in requests:
            try:
                yield self._ask(request)
            except _LateError:
                yield self._gone(request, f"no answer within {self._answer_s:g} s")
            except (_EndedError, BrokenPipeError):
                yield self._gone(request, "it ended upstream's process")

    def close(self) -> None:
        """End the process and what it started."""
        if self._process is None:
            return
        end(self._process)
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):  # of a request that nobody read
            self._process.stdin.close()
        os.close(self._answers)
        self._process = None

    def __enter__(self) -> Checkout:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _start(self) -> None:
        self._answers, told = os.pipe()
        self._pending = b""
        try:
            with self._log.open("ab") as out:
                self._process = subprocess.Popen(
                    [*self._command, str(told)],
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=out,
                    cwd=self._root,
                    env=environment("HOME", "HF_HOME", "HF_HUB_OFFLINE"),
                    pass_fds=(told,),
                    start_new_session=True,
                )
        except OSError as error:
            os.close(self._answers)
            raise UserError(f"{self._command[0]}: cannot be started ({error.strerror}); name a Python interpreter") from error
        finally:
            os.close(told)
        try:
            self._greet()
        except BaseException:
            self.close()
            raise

    def _greet(self) -> None:
        """Wait until upstream's code is loaded. Raises UserError."""
        try:
            told = json.loads(self._line(START_S))
        except _LateError:
            told = {"failed": f"not ready within {START_S:g} s"}
        except (_EndedError, ValueError):
            told = {"failed": "it ended at once"}
        if "failed" in told:
            raise UserError(
                f"{self._root}: upstream's code does not start under {self._command[0]} ({told['failed']}); install what it needs there, "
                f"or name another folder or interpreter. Its output: {self._log}"
            )
        self.lacking = tuple(told["lacking"])

    def _ask(self, request: Mapping[str, Any]) -> Answer:
        if self._process is None:
            self._start()
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request, default=float).encode() + b"\n")  # a Decimal is a float to upstream
        self._process.stdin.flush()
        line = self._line(self._answer_s)
        try:
            told = json.loads(line)
            answer = Answer(told["id"], told["right"], told["why"])
        except (ValueError, KeyError, TypeError):
            answer = None
        if answer is None or answer.id != request["id"] or not isinstance(answer.right, bool):
            raise RunError(f"{self._root}: expected upstream's verdict on {request['id']}, got {line[:200]!r}; its output: {self._log}")
        return answer

    def _gone(self, request: Mapping[str, Any], why: str) -> Answer:
        """Leave the process behind and answer in its place. Raises RunError where that happens too often."""
        self.close()
        self._lost += 1
        if self._lost > MAX_LOST:
            raise RunError(
                f"{self._root}: upstream's code was lost {self._lost} times, last on {request['id']}: {why}; its output: {self._log}"
            )
        return Answer(request["id"], False, why)

    def _line(self, seconds: float) -> bytes:
        """Return the next line that the process says. Raises _LateError, _EndedError, and RunError where it does not end."""
        end = time.monotonic() + seconds
        while b"\n" not in self._pending:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._answers], [], [], left)[0]:
                raise _LateError
            got = os.read(self._answers, 1 << 16)
            if not got:
                raise _EndedError
            self._pending += got
            if len(self._pending) > MAX_ANSWER_BYTES:
                raise RunError(f"{self._root}: upstream's process says more than {MAX_ANSWER_BYTES} bytes at once; its output: {self._log}")
        line, _, self._pending = self._pending.partition(b"\n")
        return line
