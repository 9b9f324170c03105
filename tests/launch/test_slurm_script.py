"""What slurm.sbatch does with nodes that come, and with SIGTERM: with programs that write down their calls in place of the real ones.

The real ones are in tests/cluster/test_slurm.py.
"""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "launch" / "slurm.sbatch"
WAIT_S = 60

RAY = """
case $1 in
  health-check) [[ -e $T/head ]] ;;
  start)
    env | grep ^RAY_ >> "$T/environment"
    if [[ "$*" != *--head* ]]; then [[ -n ${NO_WORKERS:-} ]] || touch "$T/workers"
    elif [[ -n ${NO_HEAD:-} ]]; then exit 3
    else touch "$T/head"; fi
    [[ -z ${STUBBORN:-} ]] || trap '' TERM
    echo $$ >> "$T/pids"
    exec /bin/sleep 60
    ;;
esac
"""
TOOLRL = """
trap 'echo saved >> "$T/calls"; exit 75' TERM
touch "$T/training"
for _ in {1..100}; do [[ ! -e $T/ends ]] || exit "$(cat "$T/ends")"; /bin/sleep 0.1; done
"""
SRUN = """
while [[ $1 == --* ]]; do shift; done
setsid "$@" & task=$!
trap 'kill -TERM -- -$task' TERM  # to every process of the task, as Slurm does
wait; wait
"""
PROGRAMS = {
    "ray": RAY,
    "toolrl": TOOLRL,
    "srun": SRUN,
    "python": 'if [[ -e $T/workers || $SLURM_NNODES == 1 ]]; then echo "$SLURM_NNODES"; else echo 1; fi',
    "squeue": 'cat "$T/state"',
    "scontrol": ":",
    "sleep": "/bin/sleep 0.05",
}


class Job:
    """The script, started on `nodes` nodes."""

    def __init__(self, folder, nodes, start_s, **settings):
        self.folder = folder
        for name, body in PROGRAMS.items():
            path = folder / name
            path.write_text(f'#!/bin/bash\nT={folder}\necho "{name} $*" >> "$T/calls"\n{body}\n')
            path.chmod(0o755)
        (folder / "state").write_text("RUNNING\n")
        script = folder / "job.sbatch"
        script.write_text(SCRIPT.read_text().replace("BIN=.venv/bin", f"BIN={folder}").replace("START_S=600", f"START_S={start_s}"))
        slurm = {"SLURM_JOB_ID": f"{os.getpid()}", "SLURM_NNODES": str(nodes), "SLURM_CPUS_PER_TASK": "7", "SLURMD_NODENAME": "a"}
        self.files = Path(f"/tmp/toolrl-{os.getpid()}")
        self.process = subprocess.Popen(
            ["bash", script], cwd=folder, env=os.environ | slurm | settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def until(self, name):
        end = time.monotonic() + WAIT_S
        while not (self.folder / name).exists():
            assert self.process.poll() is None, self.process.communicate()
            assert time.monotonic() < end
            time.sleep(0.02)

    def ends(self):
        _, err = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, err

    def calls(self, name):
        return [line for line in (self.folder / "calls").read_text().splitlines() if line.split()[0] == name]


@pytest.fixture
def job(tmp_path):
    started = []

    def start(nodes=1, start_s=600, **settings):
        started.append(Job(tmp_path, nodes, start_s, **settings))
        return started[0]

    yield start
    for each in started:
        each.process.kill()


def test_the_run_starts_on_a_head_and_its_workers_and_its_exit_code_is_the_jobs(job):
    run = job(nodes=3)
    run.until("training")
    assert run.files.stat().st_mode & 0o777 == 0o700
    (run.folder / "ends").write_text("0")
    assert run.ends()[0] == 0
    (head,) = [line for line in run.calls("ray") if "--head" in line]
    (worker,) = [line for line in run.calls("ray") if "--address=" in line and "start" in line]
    assert "--dashboard-host=127.0.0.1" in head
    assert "--num-cpus=7 --num-gpus=0" in head
    assert "--num-cpus=7 --num-gpus=0" in worker
    assert run.calls("srun")[0].startswith("srun --nodes=2 --ntasks=2 --exclude=a bash -c")
    address = worker.partition("--address=")[2].split()[0]
    assert run.calls("toolrl") == [f"toolrl rl conf/tool_n1_7b.yaml cluster.address={address}"]
    assert run.calls("scontrol") == []
    assert not run.files.exists()


def test_every_node_has_the_same_token_and_no_command_line_has_it(job):
    run = job(nodes=2)
    run.until("training")
    (run.folder / "ends").write_text("0")
    run.ends()
    told = {line for line in (run.folder / "environment").read_text().splitlines() if "AUTH" in line}
    assert len(told) == 2
    (token,) = [line.partition("=")[2] for line in told if line.startswith("RAY_AUTH_TOKEN=")]
    assert len(token) == 64
    assert len(set(token)) > 8  # of 16 digits
    assert token not in (run.folder / "calls").read_text()


def test_sigterm_is_handed_to_the_driver_alone_and_a_saved_run_is_queued_again(job):
    run = job()
    run.until("training")
    run.process.send_signal(signal.SIGTERM)
    assert run.ends()[0] == 75
    assert run.calls("saved") == ["saved"]
    assert run.calls("scontrol") == [f"scontrol requeue {os.getpid()}"]


def test_a_node_that_does_not_end_keeps_a_saved_run_from_nothing(job):
    run = job(STUBBORN="1")
    run.until("training")
    began = time.monotonic()
    run.process.send_signal(signal.SIGTERM)
    assert run.ends()[0] == 75
    assert time.monotonic() - began < 45  # that node would go on for 60 s
    assert not [pid for pid in (run.folder / "pids").read_text().split() if Path("/proc", pid, "exe").exists()]
    assert run.calls("scontrol") == [f"scontrol requeue {os.getpid()}"]


def test_a_job_that_somebody_cancels_is_not_queued_again(job):
    run = job()
    run.until("training")
    (run.folder / "state").write_text("COMPLETING\n")
    run.process.send_signal(signal.SIGTERM)
    assert run.ends()[0] == 75
    assert run.calls("scontrol") == []


@pytest.mark.parametrize("code", [1, 2])
def test_a_run_that_fails_is_not_queued_again(job, code):
    run = job()
    (run.folder / "ends").write_text(str(code))
    assert run.ends()[0] == code
    assert run.calls("scontrol") == []


def test_a_head_that_does_not_start_ends_the_job_with_a_message(job):
    run = job(NO_HEAD="1")
    code, err = run.ends()
    assert code == 1
    assert "no head: Ray on the first node has ended" in err
    assert run.calls("toolrl") == []


def test_nodes_that_do_not_come_end_the_job_at_a_deadline(job):
    run = job(nodes=2, start_s=2, NO_WORKERS="1")
    code, err = run.ends()
    assert code == 1
    assert re.search(r"no (head|Ray on 2 nodes) within \d+ s", err)  # on a busy machine the head is late, too
    assert run.calls("toolrl") == []
