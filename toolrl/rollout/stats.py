"""What an engine is doing, counted where vLLM reports it: after every step of its core."""

from __future__ import annotations

import time
from dataclasses import dataclass, fields
from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import IterationStats, SchedulerStats


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
    """Seconds in which something was being sampled."""

    def take(self) -> dict[str, float]:
        """Return all of it by name, and start again from nothing."""
        taken = {item.name: float(getattr(self, item.name)) for item in fields(self)}
        for item in fields(self):
            setattr(self, item.name, item.default)
        return taken

    def logger(self, *_: Any) -> StatLoggerBase:
        """Make a vLLM stat logger that fills this; a factory in vLLM's sense."""
        return _Logger(self)


class _Logger(StatLoggerBase):  # type: ignore[misc]
    def __init__(self, stats: EngineStats) -> None:
        self._stats = stats
        self._busy_since: float | None = None

    def record(self, scheduler_stats: SchedulerStats | None, iteration_stats: IterationStats | None, *_: Any, **__: Any) -> None:
        stats, now = self._stats, time.monotonic()
        if self._busy_since is not None:
            stats.busy_s += now - self._busy_since
        if scheduler_stats is not None:
            stats.running_max = max(stats.running_max, scheduler_stats.num_running_reqs)
            stats.waiting_max = max(stats.waiting_max, scheduler_stats.num_waiting_reqs + scheduler_stats.num_skipped_waiting_reqs)
            stats.kv_use_max = max(stats.kv_use_max, scheduler_stats.kv_cache_usage)
            self._busy_since = now if scheduler_stats.num_running_reqs else None
        if iteration_stats is not None:
            stats.generated_tokens += iteration_stats.num_generation_tokens
            stats.preempted += iteration_stats.num_preempted_reqs

    def log_engine_initialized(self) -> None:
        """Say nothing."""
