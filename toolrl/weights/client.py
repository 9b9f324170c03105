"""The learner's line to the engines' weight-transfer methods, with a deadline on every call.

vLLM's trainer-side engines drive a push through four methods of a client. Its own client for Ray waits without a limit, so an engine that
dies in a push hangs the learner for ever, and it gives every engine the same rank offset, so two engines would claim the same ranks. This
one does neither.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass
from typing import Any

from toolrl.errors import DeadlineError, WeightSyncError


@dataclass(frozen=True)
class EngineLink:
    """An engine as the sending rank sees it."""

    name: str
    workers: int
    """Worker processes of the engine, each a rank of the transfer group."""
    submit: Callable[..., Future[Any]]
    """`submit(method, *args)` starts a method of the engine and returns at once."""


class SyncClient:
    """Calls a weight-transfer method on every engine at once and waits for all of them.

    Raises:
        DeadlineError: An engine did not answer in `timeout_s`; names the method and the engines.
        WeightSyncError: An engine failed; carries its own exception.
    """

    def __init__(self, engines: Sequence[EngineLink], timeout_s: float) -> None:
        self._engines = tuple(engines)
        self._timeout_s = timeout_s

    @property
    def num_workers(self) -> int:
        """Workers of all engines together."""
        return sum(engine.workers for engine in self._engines)

    def init_weight_transfer_engine(self, init_info: dict[str, Any]) -> None:
        """Let every engine's workers join the transfer group, each engine at its own ranks; a transport without ranks (ipc) has none."""
        if "rank_offset" not in init_info:
            self._call("init_weight_transfer_engine", [init_info] * len(self._engines))
            return
        infos, offset = [], int(init_info["rank_offset"])
        for engine in self._engines:
            infos.append({**init_info, "rank_offset": offset})
            offset += engine.workers
        self._call("init_weight_transfer_engine", infos)

    def start_weight_update(self) -> None:
        """Make the engines ready to be loaded. They must be paused: otherwise this kills their core."""
        self._call("start_weight_update")

    def update_weights(self, update_info: dict[str, Any] | list[dict[str, Any]]) -> None:
        """Let the engines receive; returns once they have loaded everything."""
        self._call("update_weights", [update_info] * len(self._engines))

    def finish_weight_update(self, weight_version: str | None = None) -> None:
        """End the load. The version is committed elsewhere, after verification, so none is accepted."""
        if weight_version is not None:
            raise ValueError(f"weights are committed after they are verified, got weight_version={weight_version!r} with the load")
        self._call("finish_weight_update")

    def shutdown_weight_transfer_engine(self) -> None:
        """Let the engines leave the transfer group."""
        self._call("shutdown_weight_transfer_engine")

    def _call(self, method: str, args: Sequence[Any] | None = None) -> None:
        each = [()] * len(self._engines) if args is None else [(arg,) for arg in args]
        futures = {engine.submit(method, *values): engine.name for engine, values in zip(self._engines, each, strict=True)}
        done, late = wait(futures, self._timeout_s, FIRST_EXCEPTION)
        for future in done:
            if error := future.exception():
                raise WeightSyncError(f"{futures[future]}: {method} failed: {error!r}") from error
        if late:
            names = ", ".join(sorted(futures[future] for future in late))
            raise DeadlineError(f"{method}: no answer from {names} within {self._timeout_s:g} s")
