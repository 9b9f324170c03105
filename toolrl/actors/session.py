"""The cluster that one command needs, or many stages of a recipe one after the other.

    Session ─ stage(cluster, bundles) ─> Stage ─ actors come and go ─┐      joined at the first stage, left at the end
                └── keep: engines stay, in a room of their own <─────┘      an engine takes half a minute to start, and a push to change

Engines are kept where the next stage asks for the same ones: bundles, settings, and a model of the same shape. Their weights are then those
of the stage before, until a push or a load. A stage that fails leaves no engine behind: nobody knows what it was doing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType

import ray
from ray.exceptions import RayError

from toolrl.actors.cluster import LOCAL, connected, granted, live_nodes, local_nodes
from toolrl.actors.engine import EngineHandle
from toolrl.actors.placement import Bundle, fit
from toolrl.actors.start import Stage
from toolrl.config.schema import ClusterConfig, EngineConfig
from toolrl.rollout.settings import EngineSettings, interchangeable

END_S = 30.0
"""Longest wait for an engine to end by itself."""


class Session:
    """Use it as a context manager.

    Args:
        keep: Whether engines outlive their stage.
    """

    def __init__(self, *, keep: bool = False) -> None:
        self._keep = keep
        self._cluster: ClusterConfig | None = None
        self._joined = ExitStack()
        self._room: _Room | None = None

    @contextmanager
    def stage(self, cluster: ClusterConfig, bundles: Sequence[Bundle], run: str = "") -> Iterator[Stage]:
        """Hold `bundles` for one stage; `run` is what its actors say they belong to.

        Raises:
            PlacementError: The cluster cannot be reached, or is too small: a local one before it is started.
            DeadlineError: Others hold what is needed.
        """
        try:
            self._join(cluster, bundles)
            room, rest = self._split(cluster, bundles)
            on_gpu = cluster.device == "cuda"
            if room and not rest:
                yield Stage(room.placement, room.group, on_gpu=on_gpu, room=room, run=run)
                return
            placement = fit(rest, live_nodes())
            with granted(placement, timeout_s=cluster.placement_timeout_s) as group:
                yield Stage(placement, group, on_gpu=on_gpu, room=room, run=run)
        except BaseException:
            self._leave_room()
            raise

    def close(self) -> None:
        """Give everything back."""
        self._leave_room()
        self._joined.close()
        self._cluster = None

    def __enter__(self) -> Session:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()

    def _join(self, cluster: ClusterConfig, bundles: Sequence[Bundle]) -> None:
        """Join the cluster, if it is not the one that is joined already, and see that `bundles` fit."""
        if self._cluster == cluster:
            fit(bundles, live_nodes()).require_fit()
            return
        self.close()
        if cluster.address == LOCAL:
            fit(bundles, local_nodes(cluster)).require_fit()
        self._joined.enter_context(connected(cluster))
        self._cluster = cluster
        fit(bundles, live_nodes()).require_fit()

    def _split(self, cluster: ClusterConfig, bundles: Sequence[Bundle]) -> tuple[_Room | None, tuple[Bundle, ...]]:
        """Return the room of the engines, if they are kept, and the bundles of everybody else."""
        alone = [bundle for bundle in bundles if all(role.startswith("engine-") for role in bundle.roles)]  # colocated ones are not
        engines = tuple(alone) if self._keep else ()
        rest = tuple(bundle for bundle in bundles if bundle not in engines)
        if self._room and (self._room.bundles != engines if engines else not fit([*self._room.bundles, *rest], live_nodes()).fits):
            self._leave_room()
        if engines and self._room is None:
            self._room = _Room(cluster, engines)
        return self._room if engines else None, rest

    def _leave_room(self) -> None:
        if self._room is not None:
            self._room.close()
            self._room = None


class _Room:
    """The bundles of engines that outlive their stage, and the engines; an `EngineRoom`."""

    def __init__(self, cluster: ClusterConfig, bundles: tuple[Bundle, ...]) -> None:
        self.bundles = bundles
        self._granted = ExitStack()
        self.placement = fit(bundles, live_nodes())
        self.group = self._granted.enter_context(granted(self.placement, timeout_s=cluster.placement_timeout_s))
        self._stage = Stage(self.placement, self.group, on_gpu=cluster.device == "cuda")
        self._settings: tuple[EngineSettings, ...] = ()
        self._engines: list[EngineHandle] = []

    def engines(self, settings: Sequence[EngineSettings], config: EngineConfig, *, timeout_s: float, run: str) -> list[EngineHandle]:
        """Return engines of these settings for `run`, the kept ones where they will do."""
        self._stage.run = run
        same = len(settings) == len(self._settings) and all(map(interchangeable, settings, self._settings))
        if same and all(engine.started for engine in self._engines):
            kept = [engine.actor for engine in self._engines]
            self._engines = [
                EngineHandle(each, self._stage.engine_maker(each, config), timeout_s=timeout_s, kept=actor)
                for each, actor in zip(settings, kept, strict=True)
            ]
            for actor in kept:
                actor.serve.remote(run)
        else:
            for engine in self._engines:
                _end(engine)
            self._engines = self._stage.engines(settings, config, timeout_s=timeout_s)
        self._settings = tuple(settings)
        return self._engines

    def close(self) -> None:
        """End the engines; they go with their placement."""
        self._granted.close()


def _end(engine: EngineHandle) -> None:
    """End an engine whose place another takes: by itself first, so that its own processes have left the GPU when the other comes."""
    with suppress(RayError):  # it died before, or does not end in time: it is killed in any case
        ray.get(engine.actor.call.remote("shutdown"), timeout=END_S)
    ray.kill(engine.actor)
