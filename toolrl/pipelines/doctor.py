"""`toolrl doctor [RUN | --cluster ADDRESS]`: finds what is wrong, and says who, why, and what to do next.

    nothing given   this machine before a run: versions, GPUs, disk, shared memory, limits, hub cache, network, open Ray
    --cluster       the nodes of a Ray cluster: clocks, versions, ports, disk, shared memory, an all-reduce between them
    RUN             a run in progress or ended: which stage, which actor, its process and stack; of a dead one, its folder alone

Reads only, but for temporary files of a few bytes. Exit code 0: nothing is wrong; 1: something was found; 2: the command must change.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from toolrl.errors import ConfigError
from toolrl.monitor.environment import count_gpus
from toolrl.pipelines.doctoring import page
from toolrl.pipelines.doctoring.findings import Report, as_json
from toolrl.pipelines.doctoring.live import check_live
from toolrl.pipelines.doctoring.machine import check_machine
from toolrl.pipelines.doctoring.stack import check_gpus, check_stack, installed
from toolrl.pipelines.doctoring.standing import (
    check_checkpoints,
    check_end,
    check_history,
    check_room,
    check_versions,
    look,
)

RUNS = Path("runs")


def doctor(run: Path | None, cluster: str, *, json_wanted: bool, width: int, say: Callable[[str], None], out: TextIO | None = None) -> int:
    """Look around, write the report to `out` (None: standard output), and return the exit code. `say` is told progress.

    Raises RunFolderError where `run` is no run, ConfigError where both are given, PlacementError where the cluster cannot be joined.
    """
    if run is not None and cluster:
        raise ConfigError("RUN and --cluster: both given; one at a time")
    report = of_run(run, say) if run is not None else of_cluster(cluster, say) if cluster else of_machine()
    print(json.dumps(as_json(report)) if json_wanted else page.text(report, width), file=out, flush=True)
    return 1 if report.wrong else 0


def of_machine() -> Report:
    """Return what is to say of this machine."""
    report = Report(f"this machine, {socket.gethostname()}")
    gpus, found = count_gpus(), installed()
    check_stack(report, found, gpus=gpus)
    check_gpus(report, os.environ, found, gpus=gpus)
    check_machine(report, os.environ, runs=RUNS.absolute())
    if "ray" in found:  # else it was told that it is missing
        from toolrl.pipelines.doctoring.head import check_ray

        check_ray(report, os.environ)
    return report


def of_run(path: Path, say: Callable[[str], None]) -> Report:
    """Return what is to say of a run. Raises RunFolderError."""
    report = Report(str(path))
    found = look(path, report)
    if found.driver:
        check_live(found, report)
    else:
        if not found.ended:
            check_end(found, report)
            check_versions(found, report)
        check_checkpoints(found, report, say)
    check_room(found, report)
    check_history(found, report)
    return report


def of_cluster(address: str, say: Callable[[str], None]) -> Report:
    """Return what is to say of a cluster. Raises PlacementError."""
    from toolrl.pipelines.doctoring.cluster import check_cluster

    report = Report(f"the Ray cluster at {address}")
    check_cluster(report, address, say)
    return report
