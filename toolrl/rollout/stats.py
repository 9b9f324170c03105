"""What an engine is doing, counted where vLLM reports it: after every step of its core.

Two ask: `take` is for each version, `totals` for whoever looks on in between, from another thread.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import IterationStats, SchedulerStats

SUMS = ("generated_tokens", "preempted", "busy_s")


@dataclass
class EngineStats:
    """What one engine did since `take` was last called, filled in place."""

    running_max: int = 0
    """Most sequences decoded at once."""
    waiting_max: int = 0
    """Most sequences queued in the engine, preempted ones included."""
    kv_use_max: float = 0.0
    """Largest share of the key-value cache in use."""
    generated_tokens: int = 0
    """Tokens sampled."""
    preempted: int = 0
    """Sequences preempted; their key-value cache was computed again."""
    busy_s: float = 0.0
    """Seconds in which something was being sampled; those of a pause are none."""

    def __post_init__(self) -> None:
        self.now = {"running": 0.0, "waiting": 0.0, "kv_use": 0.0}
        """What vLLM reported last: sequences decoded, sequences queued, share of the key-value cache in use."""
        self._taken = dict.fromkeys(SUMS, 0.0)
        self._busy_since: float | None = None

    def take(self) -> dict[str, float]:
        """Return all of it by name, and start again from nothing."""
        taken = {item.name: float(getattr(self, item.name)) for item in fields(self)}
        for item in fields(self):
            setattr(self, item.name, item.default)
        for name in SUMS:
            self._taken[name] += taken[name]
        return taken

    def totals(self) -> dict[str, float]:
        """Return the sums since the engine started, by name; while `take` is under way they may be those of before."""
        return {name: self._taken[name] + getattr(self, name) for name in SUMS}

    def pause(self) -> None:
        """Count no time as busy from now until the next step."""
        self._count_time()
        self._busy_since = None

    def record(self, scheduler: SchedulerStats | None, step: IterationStats | None) -> None:
        """Count what vLLM reports after a step."""
        self._count_time()
        if scheduler is not None:
            waiting = scheduler.num_waiting_reqs + scheduler.num_skipped_waiting_reqs
            self.running_max = max(self.running_max, scheduler.num_running_reqs)
            self.waiting_max = max(self.waiting_max, waiting)
            self.kv_use_max = max(self.kv_use_max, scheduler.kv_cache_usage)
            self.now = {"running": float(scheduler.num_running_reqs), "waiting": float(waiting), "kv_use": scheduler.kv_cache_usage}
            self._busy_since = time.monotonic() if scheduler.num_running_reqs else None
        if step is not None:
            self.generated_tokens += step.num_generation_tokens
            self.preempted += step.num_preempted_reqs

    def logger(self, *_: Any) -> StatLoggerBase:
        """Make a vLLM stat logger that fills this; a factory in vLLM's sense."""
        return _Logger(self)

    def _count_time(self) -> None:
        if self._busy_since is not None:
            now = time.monotonic()
            self.busy_s += now - self._busy_since
            self._busy_since = now


class _Logger(StatLoggerBase):  # type: ignore[misc]
    def __init__(self, stats: EngineStats) -> None:
        self._stats = stats

    def record(self, scheduler_stats: SchedulerStats | None, iteration_stats: IterationStats | None, *_: Any, **__: Any) -> None:
        self._stats.record(scheduler_stats, iteration_stats)

    def log_engine_initialized(self) -> None:
        """Say nothing."""
