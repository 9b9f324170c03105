"""The machines that a job asks a scheduler for: nodes of one size, the smallest that hold the run's placement.

bundles, nodes ─> GPUs per node (if not given: the fewest up to 8) ─> CPUs per node (likewise) ─> placement, or what is short
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from toolrl.actors.placement import Bundle, Node, Placement, fit
from toolrl.errors import ConfigError, PlacementError

USUAL_GPUS = 8
"""Most GPUs that a node is taken to have where nobody says more."""
DRIVER_CPUS = 1
"""Of each node, beside what actors ask for: the driver, and Ray's own processes."""
MOST_NODES = 10_000


@dataclass(frozen=True)
class Machines:
    """Nodes of one size, and where on them each bundle has room."""

    nodes: int
    gpus: int
    """Of each node."""
    cpus: int
    """Of each node; all of them are Ray's."""
    placement: Placement

    def table(self) -> str:
        """Return what is asked and what there is, and how many of each kind of bundle go on each node."""
        head = self.placement.table().splitlines()[:2]
        loads: dict[str, list[str]] = {}
        for node in range(self.nodes):
            on = [bundle for bundle, where in zip(self.placement.bundles, self.placement.node_of, strict=True) if where == node]
            loads.setdefault(_load(on), []).append(self.placement.nodes[node].name)
        return "\n".join([*head, *(f"  {_names(names)}: {load}" for load, names in loads.items())])

    @property
    def idle(self) -> int:
        """Nodes that nothing is put on."""
        return self.nodes - len({node for node in self.placement.node_of if node is not None})


def machines_for(bundles: Sequence[Bundle], nodes: int, *, gpus: int | None, cpus: int | None) -> Machines:
    """Return `nodes` machines for `bundles`, of the size that is given or the smallest that will do.

    Raises:
        ConfigError: A number makes no sense.
        PlacementError: They do not fit; has the table of what is asked and what is short.
    """
    wrong = [
        f"{option}: got {number}; give {least} to {most}"
        for option, number, least, most in (
            ("--nodes", nodes, 1, MOST_NODES), ("--gpus-per-node", gpus, 0, 1000), ("--cpus-per-node", cpus, 1 + DRIVER_CPUS, 100_000)
        )
        if number is not None and not least <= number <= most
    ]  # fmt: skip
    if wrong:
        raise ConfigError(wrong)
    if gpus is None:
        gpus = next((each for each in range(USUAL_GPUS) if _placed(bundles, nodes, each, None).fits), USUAL_GPUS)
    given = cpus
    if cpus is None:
        cpus = DRIVER_CPUS + next(
            (each for each in range(_fewest_cpus(bundles, nodes), _all_cpus(bundles)) if _placed(bundles, nodes, gpus, each).fits),
            _all_cpus(bundles),
        )
    placement = _placed(bundles, nodes, gpus, cpus - DRIVER_CPUS)
    if not placement.fits:
        raise PlacementError(_short(placement, nodes, gpus, given))
    return Machines(nodes, gpus, cpus, placement)


def _short(placement: Placement, nodes: int, gpus: int, cpus: int | None) -> str:
    left = [", ".join(b.roles) for b, node in zip(placement.bundles, placement.node_of, strict=True) if node is None]
    each = "" if cpus is None else f" and {cpus} CPUs, of which {DRIVER_CPUS} is the driver's and Ray's"
    size = f"{nodes} × {gpus} GPUs{each}"
    return "\n".join(
        [
            f"too small for this run: {size}",
            *placement.table().splitlines()[1 if cpus is None else 0 : 2],
            f"  no room for {len(left)} of {len(placement.bundles)} bundles: {'; '.join(left[:3])}{' …' if len(left) > 3 else ''}",
            "give more --nodes, --gpus-per-node or --cpus-per-node; or ask for less (engine.num, learner.num_ranks, reward.workers)",
        ]
    )


def _placed(bundles: Sequence[Bundle], nodes: int, gpus: int, cpus: int | None) -> Placement:
    each = float(_all_cpus(bundles) if cpus is None else cpus)
    return fit(bundles, [Node(f"node {i}", each, float(gpus)) for i in range(nodes)])


def _all_cpus(bundles: Sequence[Bundle]) -> int:
    return math.ceil(round(sum(b.cpus for b in bundles), 4))


def _fewest_cpus(bundles: Sequence[Bundle], nodes: int) -> int:
    return max(1, math.ceil(round(sum(b.cpus for b in bundles) / nodes, 4)))


def _load(bundles: Sequence[Bundle]) -> str:
    """Say what is on a node, as in `4 × (engine, 2 learners), 4 rewards`."""
    kinds: dict[str, int] = {}
    for bundle in bundles:
        roles = [role.partition("-")[0] for role in bundle.roles]
        what = ", ".join(_counted(role, roles.count(role)) for role in dict.fromkeys(roles))
        kinds[what] = kinds.get(what, 0) + 1
    words = [f"{number} × ({what})" if "," in what else _counted(what, number) for what, number in kinds.items()]
    return ", ".join(words) or "nothing"


def _counted(what: str, number: int) -> str:
    return what if number == 1 else f"{number} {what}s"


def _names(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{names[0]} to {names[-1].removeprefix('node ')}"
