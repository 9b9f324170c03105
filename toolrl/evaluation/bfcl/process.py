"""One job of the official evaluator, in its own interpreter and process: the only place where anything of a model's output may be run.

    job (JSON, on its standard input) ─> foreign/run_official.py in `folder` ─> files there; its output ─> log

The process sees no more of this one's environment than it needs: no key, no token. It is ended, children and all, when its time is up or
this process is interrupted.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolrl.errors import DeadlineError, RunError
from toolrl.evaluation.confined import end, environment

SCRIPT = Path(__file__).parent / "foreign" / "run_official.py"


def run_job(python: Path, job: Mapping[str, Any], *, folder: Path, log: Path, deadline_s: float) -> None:
    """Do a job and return when it is done; its output is added to `log`.

    Raises:
        RunError: It failed; holds the last lines of its output and names the log.
        DeadlineError: It took longer than `deadline_s` seconds.
    """
    with log.open("ab") as out:
        process = subprocess.Popen(
            [str(python), "-I", "-X", "utf8", str(SCRIPT)],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env={**environment(), "BFCL_PROJECT_ROOT": str(folder), "HOME": str(folder), "OMP_NUM_THREADS": "1"},
            start_new_session=True,
        )
        try:
            process.communicate(json.dumps(job).encode(), timeout=deadline_s)
        except subprocess.TimeoutExpired as error:
            message = f"BFCL's own evaluator took longer than {deadline_s:.0f} s to {job['do']}: {last_lines(log)}; its whole output: {log}"
            raise DeadlineError(message) from error
        finally:
            end(process)
    if process.returncode:
        message = (
            f"BFCL's own evaluator ended with {process.returncode} when asked to {job['do']}: {last_lines(log)}; its whole output: {log}"
        )
        raise RunError(message)


def last_lines(log: Path, lines: int = 3) -> str:
    """Return the last lines of a file as one line."""
    found = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    return " | ".join(found[-lines:])
