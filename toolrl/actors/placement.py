"""What a run asks of a cluster, as a list of bundles, and whether a cluster can grant it.

configuration ─> bundles (CPUs, GPUs, roles) ─> fit onto nodes ─> asked / there / short ─> Ray placement group

A bundle is never split over nodes, so an engine's tensor-parallel devices share one. Disaggregated and colocated
placement differ only in which roles a bundle carries: a colocated bundle holds the GPUs of one engine and the learner
ranks that share them, one rank for each of its workers. Ray decides which node a bundle gets; bundles that ask for the same
are then given their roles anew, node by node, so that the learner ranks of a node have consecutive numbers. What works within
a node (a second copy of the parameters, ranks that share a sequence, NCCL's rings) relies on that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from toolrl.config.asking import DistillConfig, EvaluateConfig
from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.errors import PlacementError

_ROUNDING = 1e-6
"""Ray counts CPUs in steps of 1e-4; sums of fractions must not fail by less."""


@dataclass(frozen=True)
class Bundle:
    """Resources on one node, and the actors that share them."""

    cpus: float
    gpus: int
    roles: tuple[str, ...]
    """Actor names such as `engine-0`, `learner-3`, `reward-1`."""


@dataclass(frozen=True)
class Node:
    """What one machine of the cluster has."""

    name: str
    cpus: float
    gpus: float


@dataclass(frozen=True)
class Placement:
    """Where each bundle goes, or what is short."""

    bundles: tuple[Bundle, ...]
    nodes: tuple[Node, ...]
    node_of: tuple[int | None, ...] = field(default=())
    """Index into `nodes` for each bundle; None where no node has room."""

    @property
    def fits(self) -> bool:
        """Whether every bundle has its node."""
        return None not in self.node_of

    def table(self) -> str:
        """Return asked, there and short as text, then one line for each bundle."""
        rows = []
        for what, asked, there in (
            ("CPUs", sum(b.cpus for b in self.bundles), sum(n.cpus for n in self.nodes)),
            ("GPUs", float(sum(b.gpus for b in self.bundles)), sum(n.gpus for n in self.nodes)),
        ):
            rows.append(f"  {what}: asked {asked:g}, there {there:g}, short {max(asked - there, 0):g}")
        for bundle, node in zip(self.bundles, self.node_of, strict=True):
            place = "no room on any node" if node is None else f"on {self.nodes[node].name}"
            rows.append(f"  {', '.join(bundle.roles)}: {bundle.cpus:g} CPU, {bundle.gpus} GPU, {place}")
        return "\n".join(rows)

    def require_fit(self) -> None:
        """Raise PlacementError with the table where something is short."""
        if not self.fits:
            raise PlacementError(
                f"the cluster is too small for this run:\n{self.table()}\n"
                "ask for less (engine.num, engine.cpus, learner.num_ranks, learner.cpus_per_rank, reward.workers) or use a larger cluster"
            )


def bundles_of(config: RlConfig | SftConfig) -> tuple[Bundle, ...]:
    """Return what a run with engines asks for."""
    engine, learner = config.engine, config.learner
    on_gpu = config.cluster.device == "cuda"
    rewards = [Bundle(config.reward.cpus_per_worker, 0, (f"reward-{i}",)) for i in range(config.reward.workers)]
    if config.cluster.colocated:
        width = engine.tensor_parallel
        shared = [
            Bundle(
                engine.cpus + width * learner.cpus_per_rank,
                width,
                (f"engine-{i}", *(f"learner-{rank}" for rank in range(i * width, (i + 1) * width))),
            )
            for i in range(engine.num)
        ]
        return (*shared, *rewards)
    return (*engine_bundles(config), *learner_bundles(learner, on_gpu=on_gpu), *rewards)


def engine_bundles(config: RlConfig | SftConfig | DistillConfig | EvaluateConfig) -> tuple[Bundle, ...]:
    """Return what engines by themselves ask for."""
    engine, gpus = config.engine, config.engine.tensor_parallel if config.cluster.device == "cuda" else 0
    return tuple(Bundle(engine.cpus, gpus, (f"engine-{i}",)) for i in range(engine.num))


def learner_bundles(learner: LearnerConfig, *, on_gpu: bool) -> tuple[Bundle, ...]:
    """Return what a learner group by itself asks for."""
    return tuple(Bundle(learner.cpus_per_rank, int(on_gpu), (f"learner-{i}",)) for i in range(learner.num_ranks))


def fit(bundles: Sequence[Bundle], nodes: Sequence[Node]) -> Placement:
    """Fit `bundles` onto `nodes`, the largest first, each onto the first node with room."""
    free = [[node.cpus, node.gpus] for node in nodes]
    node_of: list[int | None] = [None] * len(bundles)
    for index in sorted(range(len(bundles)), key=lambda i: (-bundles[i].gpus, -bundles[i].cpus, i)):
        bundle = bundles[index]
        for node, room in enumerate(free):
            if room[0] + _ROUNDING >= bundle.cpus and room[1] >= bundle.gpus:
                room[0] -= bundle.cpus
                room[1] -= bundle.gpus
                node_of[index] = node
                break
    return Placement(tuple(bundles), tuple(nodes), tuple(node_of))


def arranged(placement: Placement, granted_on: Sequence[str]) -> Placement:
    """Return `placement` with its roles dealt node by node, among the bundles that ask for the same and carry the same kinds of actor.

    Args:
        placement: What was asked.
        granted_on: The node that each bundle was really given.
    """
    order = {node: i for i, node in reversed(list(enumerate(granted_on)))}  # nodes by the first bundle on them
    alike: dict[tuple[float, int, tuple[str, ...]], list[int]] = {}
    for index, bundle in enumerate(placement.bundles):
        kinds = tuple(role.partition("-")[0] for role in bundle.roles)
        alike.setdefault((bundle.cpus, bundle.gpus, kinds), []).append(index)
    roles = [bundle.roles for bundle in placement.bundles]
    for members in alike.values():
        by_node = sorted(members, key=lambda index: (order[granted_on[index]], index))
        for index, given in zip(by_node, [placement.bundles[member].roles for member in members], strict=True):
            roles[index] = given
    return replace(placement, bundles=tuple(replace(b, roles=r) for b, r in zip(placement.bundles, roles, strict=True)))
