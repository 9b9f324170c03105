"""The two shell scripts, slurm.sbatch and ray_job.sh, filled in for a job."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from toolrl.pipelines.launching import network, timelimit
from toolrl.pipelines.launching.job import Job
from toolrl.pipelines.launching.template import filled, template


def slurm(job: Job) -> str:
    """Return the batch script of a job."""
    machines = job.machines
    lines = {
        "#SBATCH --job-name=": f"#SBATCH --job-name={job.name}",
        "#SBATCH --nodes=": f"#SBATCH --nodes={machines.nodes}",
        "#SBATCH --gpus-per-node=": f"#SBATCH --gpus-per-node={machines.gpus}" if machines.gpus else None,
        "#SBATCH --cpus-per-task=": f"#SBATCH --cpus-per-task={machines.cpus}",
        "#SBATCH --signal=": f"#SBATCH --signal=B:TERM@{job.stop_s}",
        "BIN=": f"BIN={shlex.quote(str(Path(sys.executable).parent))}",
        **_run(job),
    }
    if job.limit_s is not None:
        lines["#SBATCH --time="] = f"#SBATCH --time={timelimit.text_of(job.limit_s)}"
    if job.order.network is not None:
        lines["NETWORK="] = f"NETWORK={shlex.quote(str(network.preset(job.order.network).resolve()))}"
    return filled(template("slurm.sbatch"), lines)


def ray_job(job: Job) -> str:
    """Return the script that submits a job to a running cluster."""
    environment = {"RAY_JOB_STOP_WAIT_TIME_S": str(job.stop_s), **job.network}
    lines = {
        "TOOLRL=": f"TOOLRL={shlex.quote(str(Path(sys.executable).with_name('toolrl')))}",
        "WORK=": f"WORK={shlex.quote(str(Path.cwd()))}",
        "ID=": f"ID={job.name}-$(date +%Y%m%d-%H%M%S)",
        "ENVIRONMENT=": f"ENVIRONMENT={shlex.quote(json.dumps(environment))}",
        **_run(job),
    }
    return filled(template("ray_job.sh"), lines)


def _run(job: Job) -> dict[str, str | None]:
    return {"COMMAND=": f"COMMAND={job.order.command}", "SETTINGS=": f"SETTINGS=({_words(job.order.settings)})"}


def _words(settings: Sequence[str]) -> str:
    return " ".join(shlex.quote(each) for each in settings)
