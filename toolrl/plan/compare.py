"""One configuration on clusters of several sizes, and with models of several sizes.

    engines and learner in turns: a rank on every GPU, engines of the same width          apart: the same ratio of engines to ranks

The settings that must follow do, and all others stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from toolrl.config.schema import RlConfig
from toolrl.plan.advice import changed
from toolrl.plan.hardware import GIB, Cluster
from toolrl.plan.plan import Plan
from toolrl.plan.shapes import Shape
from toolrl.plan.workload import Workload

NODES = (1, 2, 4, 8)
"""Sizes compared, in nodes."""
_HOUR = 3600


def compared(plan: Plan, shapes: Sequence[Shape]) -> Iterator[Plan]:
    """Yield the plan of each model on each number of nodes, where the model's engines fit the ranks."""
    for shape in shapes:
        for nodes in NODES:
            cluster = replace(plan.load.cluster, nodes=nodes)
            if (config := scaled(plan.load.config, cluster)) is not None:
                load = Workload(config, shape, cluster, plan.load.prompt_tokens, plan.load.completion_tokens)
                yield Plan(load, plan.efficiencies)


def scaled(config: RlConfig, cluster: Cluster) -> RlConfig | None:
    """Return a configuration that uses all GPUs of a cluster; None where they are too few."""
    width, gpus = config.engine.tensor_parallel, cluster.gpus
    if config.cluster.colocated:
        return changed(config, {"learner.num_ranks": gpus, "engine.num": gpus // width}) if gpus % width == 0 else None
    asked = config.engine.num * width + config.learner.num_ranks
    engines = max(round(gpus * config.engine.num * width / asked) // width, 1)
    ranks = gpus - engines * width
    ranks -= ranks % config.learner.sequence_parallel
    return changed(config, {"learner.num_ranks": ranks, "engine.num": engines}) if ranks > 0 else None


def table(plans: Sequence[Plan]) -> str:
    """Return plans as a table of text, one a line."""
    head = ("model", "GPUs", "GPU", "fits", "micro-batch", "in flight", "sample s", "learn s", "push s", "step s", "run h", "GPU-hours")
    rows = [head, *map(_row, plans)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(head))]
    return "\n".join("  ".join(f"{cell:<{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows)


def _row(plan: Plan) -> tuple[str, ...]:
    load, seconds = plan.load, plan.seconds
    start = (load.shape.name, str(load.gpus), load.cluster.gpu)
    if not plan.fits:
        worst = max(plan.tight, key=lambda phase: phase.used / phase.capacity)
        return (*start, f"no: {worst.where}, {worst.name}, {worst.used / GIB:,.0f} of {worst.capacity / GIB:,.0f} GiB", *[""] * 8)
    return (
        *start,
        "yes",
        f"{plan.largest_micro_batch:,}",
        f"{plan.engine.in_flight:,}",
        f"{seconds.sampling:.1f}",
        f"{seconds.learning:.1f}",
        f"{seconds.push:.1f}",
        f"{plan.step_s:.1f}",
        f"{plan.run_s / _HOUR:.1f}",
        f"{plan.gpu_hours:,.0f}",
    )
