"""A run as a job of a real Slurm: told to save, queued again, requeued in the middle, ended, audited: `make cluster-test`."""

import json
import shutil
import sys
import time
import uuid
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "launch"))
sys.path.insert(0, str(Path(__file__).parent))
from slurm import MARKS, Slurm
from test_slurm_script import PROGRAMS

from toolrl.cli.main import main
from toolrl.monitor.lines import read_lines
from toolrl.pipelines.launching.template import filled

pytestmark = MARKS
ROOT = Path(__file__).parents[2]
STEPS = 8
SETTINGS = (
    "conf/demo.yaml", f"run.steps={STEPS}", "checkpoint.every=3", "eval.prompts=8", "loop.prompts_per_batch=8", "sampling.n=4",
)  # fmt: skip
LONGEST_S = 300
CLEAN_S = 8
"""What a node takes to end all of a job before it may have it again."""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    cluster = Slurm(tmp_path_factory.mktemp("slurm"), nodes=2, cpus=2)
    yield cluster
    cluster.stop()


@pytest.fixture
def run():
    """A run folder in the checkout: temporary folders are refused, since other nodes would not see them."""
    folder = ROOT / "runs" / f"slurm-{uuid.uuid4().hex[:8]}"
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    for log in ROOT.glob(f"{folder.name}-*.log"):
        log.unlink()


def submitted(slurm, run):
    toolrl = Path(sys.executable).with_name("toolrl")
    # the engine has room on one node, the ranks and the reward workers on the other
    done = slurm.run(
        toolrl, "launch", "slurm", *SETTINGS, f"run.dir={run.relative_to(ROOT)}", "--nodes", "2", "--time", "20", cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()[-1]


def versions(run):
    return [line["version"] for line in read_lines(run / "metrics.jsonl")]


def wait(slurm, number, run, there):
    """Wait until `there(what Slurm knows of the job, newest version)`; a job that was queued again need not wait for two minutes."""
    end, pending_since = time.monotonic() + LONGEST_S, None
    while True:
        job = slurm.job(number)
        if there(job, max(versions(run), default=-1)):
            return job
        pending_since = (pending_since or time.monotonic()) if job["Reason"] == "BeginTime" else None
        if pending_since and time.monotonic() > pending_since + CLEAN_S:
            slurm.run("scontrol", "update", f"JobId={number}", "StartTime=now", check=False)
        if job["JobState"] not in ("PENDING", "CONFIGURING", "RUNNING", "COMPLETING") or time.monotonic() > end:
            logs = "\n".join(path.read_text(errors="replace")[-4000:] for path in ROOT.glob(f"{run.name}-*.log"))
            pytest.fail(f"{job}\nsays: {logs}\nSlurm says: {slurm.log()}")
        time.sleep(0.3)


def test_sbatch_takes_the_file_as_it_ships(slurm):
    smaller = ("--nodes=1", "--cpus-per-task=1", "--gpus-per-node=0")  # this Slurm has no GPUs
    slurm.run("sbatch", "--test-only", *smaller, ROOT / "launch" / "slurm.sbatch")


def test_a_run_that_is_stopped_and_requeued_ends_without_a_gap(slurm, run, capsys):
    number = submitted(slurm, run)
    wait(slurm, number, run, lambda job, newest: newest >= 1)
    slurm.run("scancel", "--batch", "--signal=TERM", number)
    wait(slurm, number, run, lambda job, newest: job["Restarts"] == "1")
    saved = max(versions(run))
    wait(slurm, number, run, lambda job, newest: newest >= 4)
    assert not (run / "discarded").exists(), "the run was saved at the version that was live"
    slurm.run("scontrol", "requeue", number)
    wait(slurm, number, run, lambda job, newest: job["Restarts"] == "2")
    end = wait(slurm, number, run, lambda job, newest: job["JobState"] == "COMPLETED")
    assert end["ExitCode"] == "0:0"
    assert 1 <= saved < STEPS
    assert versions(run) == list(range(STEPS + 1))
    assert len(json.loads((run / "versions.json").read_text())["attempts"]) == 3
    assert main(["audit", str(run)]) == 0, capsys.readouterr().out
    assert not Path(f"/tmp/toolrl-{number}").exists()


@pytest.fixture
def idle(slurm, tmp_path):
    """The script as a job whose Ray and toolrl only write down that they were called, and its number."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, body in {**PROGRAMS, "python": 'echo "$SLURM_NNODES"'}.items():
        if name in ("ray", "toolrl", "python"):
            (programs / name).write_text(f'#!/bin/bash\nT={tmp_path}\necho "$SLURMD_NODENAME {name} $*" >> "$T/calls"\n{body}\n')
            (programs / name).chmod(0o755)
    script = filled(
        (ROOT / "launch" / "slurm.sbatch").read_text(),
        {
            "#SBATCH --nodes=": "#SBATCH --nodes=2", "#SBATCH --gpus-per-node=": None,
            "#SBATCH --cpus-per-task=": "#SBATCH --cpus-per-task=2", "BIN=": f"BIN={programs}",
        },
    )  # fmt: skip
    done = slurm.run("sbatch", input=script, cwd=tmp_path)
    return done.stdout.split()[-1]


def until(what, there):
    end = time.monotonic() + 60
    while not there():
        assert time.monotonic() < end, what
        time.sleep(0.1)


def test_ray_runs_on_each_node_once_and_toolrl_on_the_first(slurm, idle, tmp_path):
    until("toolrl is not called", (tmp_path / "training").exists)
    (tmp_path / "ends").write_text("0")
    until(slurm.job(idle), lambda: slurm.job(idle)["JobState"] == "COMPLETED")
    calls = [line.split() for line in (tmp_path / "calls").read_text().splitlines()]
    first = slurm.job(idle)["BatchHost"]
    started = [(node, "--head" in words) for node, name, *words in calls if name == "ray" and words[0] == "start"]
    assert sorted(started) == sorted([(first, True), ({"n1": "n2", "n2": "n1"}[first], False)])
    assert [node for node, name, *_ in calls if name == "toolrl"] == [first]
    until("Ray's folder stays", lambda: not Path(f"/tmp/toolrl-{idle}").exists())


def test_a_job_that_is_cancelled_stays_so(slurm, idle, tmp_path):
    until("toolrl is not called", (tmp_path / "training").exists)
    slurm.run("scancel", idle)
    until(slurm.job(idle), lambda: not slurm.run("squeue", "-h", "-j", idle).stdout)
    assert "saved" in (tmp_path / "calls").read_text()
    job = slurm.job(idle)
    assert (job["JobState"], job["Restarts"]) == ("CANCELLED", "0")


def test_a_run_that_fails_is_not_queued_again(slurm, idle, tmp_path):
    (tmp_path / "ends").write_text("2")
    until(slurm.job(idle), lambda: slurm.job(idle)["JobState"] == "FAILED")
    job = slurm.job(idle)
    assert (job["ExitCode"], job["Restarts"]) == ("2:0", "0")
