"""Counters of an engine, filled from what vLLM reports."""

import pytest

pytestmark = pytest.mark.stack


@pytest.fixture
def reported():
    """Stats to which two steps and an idle report were recorded: three sequences, then one, then none."""
    from vllm.v1.metrics.stats import IterationStats, SchedulerStats

    from toolrl.rollout.stats import EngineStats

    stats = EngineStats()
    logger = stats.logger(None, 0)
    step = IterationStats()
    step.num_generation_tokens, step.num_preempted_reqs = 5, 1
    logger.record(SchedulerStats(num_running_reqs=3, num_waiting_reqs=2, num_skipped_waiting_reqs=1, kv_cache_usage=0.25), step)
    logger.record(SchedulerStats(num_running_reqs=1), step)
    logger.record(None, None)
    return stats


def test_counters_add_up_and_gauges_keep_their_largest(reported):
    taken = reported.take()
    seconds = taken.pop("busy_s")
    assert taken == {"running_max": 3, "waiting_max": 3, "kv_use_max": 0.25, "generated_tokens": 10, "preempted": 2}
    assert seconds > 0


def test_what_was_taken_is_gone(reported):
    reported.take()
    assert set(reported.take().values()) == {0}
