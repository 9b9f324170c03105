"""The command that puts a run onto a cluster: launch."""

from __future__ import annotations

import argparse
from typing import Any

TARGETS = ("slurm", "ray-job", "k8s")


def add_launch(parsers: Any) -> None:
    """Add `toolrl launch`."""
    about = "put a run onto a cluster: Slurm, a running Ray cluster, or Kubernetes"
    parser = parsers.add_parser("launch", help=about, description=f"{about[0].upper()}{about[1:]}.")
    parser.add_argument("target", choices=TARGETS, metavar="slurm|ray-job|k8s", help="what takes the job")
    given = "YAML files, merged left to right, then overrides as section.name=value"
    parser.add_argument("settings", nargs="+", metavar="CONF|KEY=VALUE", help=given)
    parser.add_argument("--command", default="rl", choices=("rl", "sft"), help="what is run (default: rl)")
    parser.add_argument("--nodes", type=int, default=1, metavar="N", help="machines (default: 1)")
    fewest = "of each machine (default: the fewest that the placement fits on"
    parser.add_argument("--gpus-per-node", type=int, metavar="N", help=f"GPUs {fewest}, up to 8)")
    parser.add_argument("--cpus-per-node", type=int, metavar="N", help=f"CPUs {fewest})")
    parser.add_argument("--time", metavar="LIMIT", help="longest time of one job, as in 24:00:00 or 3-12:00; the run goes on in the next")
    parser.add_argument("--network", metavar="PRESET", help="variables of NCCL: a preset of cluster/nccl/, or a file like those")
    parser.add_argument("--image", help="container image of the pods (k8s)")
    parser.add_argument("--dry-run", action="store_true", help="check everything, print the file, and submit nothing")
    parser.set_defaults(run=_launch)


def _launch(arguments: argparse.Namespace) -> int:
    from toolrl.pipelines.launch import launch
    from toolrl.pipelines.launching.job import Order

    order = Order(
        tuple(arguments.settings),
        command=arguments.command,
        nodes=arguments.nodes,
        gpus=arguments.gpus_per_node,
        cpus=arguments.cpus_per_node,
        time=arguments.time,
        network=arguments.network,
        image=arguments.image,
    )
    return launch(arguments.target, order, dry_run=arguments.dry_run)
