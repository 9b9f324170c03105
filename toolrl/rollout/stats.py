"""What an engine is doing, counted where vLLM reports it: after every step of its core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase
from vllm.v1.metrics.stats import IterationStats, SchedulerStats


@dataclass
class EngineStats:
    """Counters and gauges of one engine, filled in place."""

    running: int = 0
    """Sequences being decoded."""
    waiting: int = 0
    """Sequences queued in the engine, preempted ones included."""
    kv_use: float = 0.0
    """Share of the key-value cache in use."""
    generated_tokens: int = 0
    """Tokens sampled since the start."""
    preempted: int = 0
    """Sequences preempted since the start; their key-value cache was computed again."""

    def logger(self, *_: Any) -> StatLoggerBase:
        """Make a vLLM stat logger that fills this; a factory in vLLM's sense."""
        return _Logger(self)


class _Logger(StatLoggerBase):  # type: ignore[misc]
    def __init__(self, stats: EngineStats) -> None:
        self._stats = stats

    def record(self, scheduler_stats: SchedulerStats | None, iteration_stats: IterationStats | None, *_: Any, **__: Any) -> None:
        stats = self._stats
        if scheduler_stats is not None:
            stats.running = scheduler_stats.num_running_reqs
            stats.waiting = scheduler_stats.num_waiting_reqs + scheduler_stats.num_skipped_waiting_reqs
            stats.kv_use = scheduler_stats.kv_cache_usage
        if iteration_stats is not None:
            stats.generated_tokens += iteration_stats.num_generation_tokens
            stats.preempted += iteration_stats.num_preempted_reqs

    def log_engine_initialized(self) -> None:
        """Say nothing."""
