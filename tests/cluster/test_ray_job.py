"""A run as a job of a real Ray cluster with a token and its dashboard: logged, stopped, started again, audited: `make cluster-test`."""

import os
import re
import secrets
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from toolrl.cli.main import main
from toolrl.monitor.lines import read_lines
from toolrl.pipelines.serve import free_port

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(900)]
ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
STEPS = 6
SETTINGS = (
    "conf/demo.yaml", f"run.steps={STEPS}", "checkpoint.every=50", "eval.prompts=8", "loop.prompts_per_batch=8", "sampling.n=4",
)  # fmt: skip
LONGEST_S = 240


class Head:
    """A Ray head of 3 CPUs; clients find it by its dashboard, and its token in a file."""

    def __init__(self, folder):
        token = folder / "token"
        token.touch(mode=0o600)
        token.write_text(secrets.token_hex(32))
        self.dashboard = free_port("127.0.0.1", 0)
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RAY_")}
        self.environment = clean | {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN_PATH": str(token),
            "RAY_API_SERVER_ADDRESS": f"http://127.0.0.1:{self.dashboard}",
        }
        self.log = folder / "head.log"
        options = ("--dashboard-host=127.0.0.1", f"--dashboard-port={self.dashboard}", f"--temp-dir={folder / 'ray'}", "--num-cpus=3")
        command = [BIN / "ray", "start", "--head", f"--port={free_port('127.0.0.1', 0)}", "--disable-usage-stats", "--block", *options]
        with self.log.open("w") as out:
            self.process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env=self.environment)

    def run(self, *command, **changes):
        return subprocess.run(command, env=self.environment | changes, cwd=ROOT, capture_output=True, text=True, timeout=120)

    def status(self, job):
        return self.run(BIN / "ray", "job", "status", job).stdout

    def wait(self, what, there):
        end = time.monotonic() + LONGEST_S
        while not there():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, what
            time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


@pytest.fixture(scope="module")
def head():
    folder = Path("/tmp") / f"rj-{uuid.uuid4().hex[:6]}"  # Ray's sockets want a short path
    folder.mkdir(mode=0o700)
    cluster = Head(folder)
    cluster.wait("no answer of the job server", lambda: cluster.run(BIN / "ray", "job", "list").returncode == 0)
    yield cluster
    cluster.stop()
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def run():
    folder = ROOT / "runs" / f"job-{uuid.uuid4().hex[:8]}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def submitted(head, run, *more):
    done = head.run(BIN / "toolrl", "launch", "ray-job", *SETTINGS, f"run.dir={run.relative_to(ROOT)}", *more)
    assert done.returncode == 0, done.stderr
    return next(word for word in done.stdout.replace("'", " ").split() if word.startswith(f"{run.name}-"))


def versions(run):
    return [line["version"] for line in read_lines(run / "metrics.jsonl")]


def test_a_job_is_logged_stopped_with_a_checkpoint_and_goes_on(head, run, capsys):
    job = submitted(head, run)
    head.wait("no second version", lambda: max(versions(run), default=-1) >= 2 or "FAILED" in head.status(job))
    logs = head.run(BIN / "ray", "job", "logs", job).stdout
    assert re.search(r"^ +1/6 +0\.\d+", logs, flags=re.MULTILINE), logs  # a line for each version: number, reward, …
    stopped = head.run(BIN / "ray", "job", "stop", job)
    assert stopped.returncode == 0, stopped.stdout + stopped.stderr
    assert "STOPPED" in head.status(job) or "stopped" in head.status(job)
    saved = max(versions(run))
    assert saved < STEPS
    assert [path.name for path in (run / "checkpoints").iterdir() if path.name.startswith("version-")], (
        "checkpoint.every would have made none"
    )
    assert "saving, for up to 300 s" in head.run(BIN / "ray", "job", "logs", job).stdout
    time.sleep(1)  # a job's name has the second in it
    again = submitted(head, run)
    assert again != job
    head.wait("the job does not end", lambda: any(word in head.status(again).lower() for word in ("succeeded", "failed")))
    assert "succeeded" in head.status(again).lower(), head.run(BIN / "ray", "job", "logs", again).stdout[-4000:]
    assert versions(run) == list(range(STEPS + 1))
    assert not (run / "discarded").exists(), "it went on from the version that was live when it was stopped"
    assert main(["audit", str(run)]) == 0, capsys.readouterr().out


def test_without_the_token_there_is_no_answer(head):
    nothing = head.run(BIN / "ray", "job", "list", RAY_AUTH_TOKEN_PATH="/dev/null", RAY_AUTH_MODE="disabled")
    assert nothing.returncode != 0
    assert "authentication is enabled" in nothing.stderr
