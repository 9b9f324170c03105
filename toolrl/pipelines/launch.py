"""`toolrl launch slurm|ray-job|k8s CONF…`: a file of launch/, filled in from a configuration's placement, checked, printed or submitted.

order ─> checks (settings, run folder, folders, machines, times) ─> the file, filled in ─> standard output, or the scheduler
         └── a mistake ends here, before anything waits in a queue ──┘
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from toolrl.errors import ConfigError, RunError
from toolrl.pipelines.launching import kubernetes, scripts
from toolrl.pipelines.launching.job import Job, Order, checked

_SUBMIT = {
    "slurm": ("sbatch",),
    "ray-job": ("bash", "-s", "--", "--no-wait"),
    "k8s": ("kubectl", "create", "-f", "-"),
}
"""What takes the file on its standard input."""
_SCHEDULER = {"slurm": "sbatch", "ray-job": "ray", "k8s": "kubectl"}
"""The program that must be there, and that answers."""
_LONGEST_SUBMIT_S = 120


def launch(target: str, order: Order, *, dry_run: bool) -> int:
    """Run `toolrl launch` and return its exit code. Raises ToolRLError."""
    if order.image is not None and target != "k8s":
        raise ConfigError(f"--image: {target} starts no containers; leave it out")
    if target == "k8s" and order.image is None and not dry_run:
        raise ConfigError("--image: name the image that the pods run, made from cluster/Dockerfile; --dry-run needs none")
    job = checked(order, everywhere=kubernetes.sees if target == "k8s" else None)
    text = {"slurm": scripts.slurm, "ray-job": scripts.ray_job, "k8s": kubernetes.manifest}[target](job)
    print(_summary(target, job), file=sys.stderr, flush=True)
    if dry_run:
        print(text, end="")
        return 0
    return _submit(target, job, text)


def _summary(target: str, job: Job) -> str:
    machines = job.machines
    size = f"{machines.gpus} GPUs and {machines.cpus} CPUs" if machines.gpus else f"{machines.cpus} CPUs"
    verb = "wants a cluster of" if target == "ray-job" else "asks for"
    return "\n".join(
        [
            f"{job.name}: {verb} {machines.nodes} × {size}; may save for {job.stop_s} s after SIGTERM",
            machines.table(),
            *(f"note: {remark}" for remark in job.remarks),
        ]
    )


def _submit(target: str, job: Job, text: str) -> int:
    command = _SUBMIT[target]
    needed = _SCHEDULER[target]
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}"}
    if shutil.which(needed, path=environment["PATH"]) is None:
        raise ConfigError(f"{needed}: not on this machine; `toolrl launch {target} … --dry-run` prints the file for one that has it")
    try:
        done = subprocess.run(command, input=text, text=True, capture_output=True, timeout=_LONGEST_SUBMIT_S, env=environment, check=False)
    except subprocess.TimeoutExpired as late:
        raise RunError(f"{needed} did not answer within {_LONGEST_SUBMIT_S} s; see whether the job is there before you try again") from late
    if done.returncode:
        told = (done.stderr or done.stdout).strip()
        if target == "ray-job" and done.returncode == ConfigError.exit_code:  # the script's own word, before it asked Ray
            raise ConfigError(told)
        where = "; its dashboard is looked for where RAY_API_SERVER_ADDRESS says" if target == "ray-job" else ""
        raise RunError(f"{needed} did not take the job: {_last_lines(told)}{where}")
    print(done.stdout.strip())
    print(_next(target, job, done.stdout.split()), file=sys.stderr)
    return 0


def _last_lines(told: str) -> str:
    """Return the end of what a program says when it fails: of a traceback the last line, which says why."""
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    return "\n".join(lines[-1:] if "Traceback (most recent call last):" in lines else lines[-3:])


def _next(target: str, job: Job, told: list[str]) -> str:
    """Return how to look after a job that was just submitted, from what the scheduler told."""
    if target == "slurm":
        number = next((word for word in told if word.isdigit()), "JOB")  # the name of a cluster may follow
        return (
            f"watch: tail -F {job.name}-{number}.log; save and queue again: scancel --batch --signal=TERM {number}; end: scancel {number}"
        )
    if target == "ray-job":
        return "save and end: ray job stop ID; go on: the same command again"
    name = next((word.rpartition("/")[2] for word in told if word.startswith("rayjob")), "NAME")
    return f"watch: kubectl get rayjob {name}, then kubectl logs -f of its submitter; end: kubectl delete rayjob {name}"
