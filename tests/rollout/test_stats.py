"""Counters of an engine, filled from what vLLM reports."""

import pytest

pytestmark = pytest.mark.stack


def test_counters_add_up_and_gauges_follow():
    from vllm.v1.metrics.stats import IterationStats, SchedulerStats

    from toolrl.rollout.stats import EngineStats

    stats = EngineStats()
    logger = stats.logger(None, 0)
    iteration = IterationStats()
    iteration.num_generation_tokens, iteration.num_preempted_reqs = 5, 1
    logger.record(SchedulerStats(num_running_reqs=3, num_waiting_reqs=2, num_skipped_waiting_reqs=1, kv_cache_usage=0.25), iteration)
    logger.record(SchedulerStats(num_running_reqs=1), iteration)
    logger.record(None, None)
    assert stats == EngineStats(running=1, waiting=0, kv_use=0.0, generated_tokens=10, preempted=2)
