"""Names on the endpoint: made from the table, with the unit, one for each metric."""

import re

import pytest

from toolrl.monitor.exported import all_scraped, description, exported_name, label_of, labels_of, scraped_names, series
from toolrl.monitor.metrics import LIVE, METRICS, Kind, describe


@pytest.mark.parametrize(
    ("metric", "name"),
    [
        ("loop/step_s", "ray_toolrl_loop_step_seconds"),
        ("rollout/sample_s_mean", "ray_toolrl_rollout_sample_mean_seconds"),
        ("loop/tokens_per_s", "ray_toolrl_loop_tokens_per_second"),
        ("loop/groups_in_flight", "ray_toolrl_loop_groups_in_flight"),  # the unit is in it already
        ("loop/dull_share", "ray_toolrl_loop_dull_ratio"),
        ("reward/mean", "ray_toolrl_reward_mean"),  # a reward has no unit
        ("drift/completion_tokens", "ray_toolrl_drift_completion_tokens_ratio"),
        ("weights/parity_max_abs_dlogp", "ray_toolrl_weights_parity_max_abs_dlogp_nats"),
        ("reward/reason/wrong_name", "ray_toolrl_reward_reason_ratio"),
        ("weights/send_s", "ray_toolrl_weights_phase_seconds"),
        ("weights/push_s", "ray_toolrl_weights_push_seconds"),
        ("engine/sampled_tokens", "ray_toolrl_engine_sampled_tokens_total"),
    ],
)
def test_a_name_says_the_unit_as_prometheus_does(metric, name):
    assert scraped_names(describe(metric)) == (name,)


def test_a_histogram_has_three_names():
    assert scraped_names(describe("reward/scoring_s")) == tuple(
        f"ray_toolrl_reward_scoring_seconds_{part}" for part in ("bucket", "count", "sum")
    )


def test_no_two_metrics_share_a_name_and_each_name_is_valid():
    metrics = [*METRICS, *LIVE]
    assert len(all_scraped()) == sum(len(scraped_names(metric)) for metric in metrics)
    assert len({metric.name for metric in metrics}) == len(metrics)
    assert all(re.fullmatch(r"toolrl_[a-z][a-z0-9_]*[a-z0-9]", exported_name(metric)) for metric in metrics)
    assert not [metric.name for metric in metrics if "__" in exported_name(metric)]


def test_members_of_a_family_are_told_apart_by_a_label():
    found = {(each.metric.name, *each.labels.items()): each.value for each in series({"reward/reason/correct": 0.5, "weights/send_s": 2.0})}
    assert found == {("reward/reason/*", ("reason", "correct")): 0.5, ("weights/*", ("phase", "send")): 2.0}
    assert labels_of(describe("weights/send_s")) == ("run", "phase")


def test_what_is_not_in_the_table_is_not_exported():
    assert list(series({"unheard/of": 1.0})) == []


def test_only_what_grows_is_a_counter():
    assert {metric.name for metric in METRICS if metric.kind is not Kind.GAUGE} == set()


def test_ray_takes_the_help_of_every_metric_as_ascii():
    told = [description(metric) for metric in (*METRICS, *LIVE)]
    assert all(help.isascii() and "?" not in help for help in told)
    assert description(describe("weights/parity_max_abs_dlogp")).startswith("Largest |delta log p| between")


def test_runs_of_any_name_are_told_apart_in_ascii():
    assert [label_of(run) for run in ("demo", "läufe", "lüufe")] == ["demo", "l\\xe4ufe", "l\\xfcufe"]
