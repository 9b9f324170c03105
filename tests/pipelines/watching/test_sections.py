"""The upper parts of the screen, from files written by hand."""

from dataclasses import replace

import pytest

from toolrl.monitor.status import Failure
from toolrl.pipelines.watching import sections
from toolrl.pipelines.watching.doing import Doing
from toolrl.pipelines.watching.watched import WatchedRun


@pytest.fixture
def run(rl_run):
    return WatchedRun(rl_run())


def test_actors_are_counted_by_role_and_those_that_are_not_well_are_named(run, status):
    engine = status.actors[0]
    reward = replace(engine, name="reward-0", role="reward", state="up", calls=0)
    run.status = replace(status, actors=(engine, replace(engine, name="engine-1", state="stale", calls=2), reward))
    lines = [line.plain for line in sections.actors(run, 2003.0)]
    assert lines == [
        "engine  1 healthy 1 stale · 6 calls open · answered 3s ago",
        "  engine-1 stale on here",
        "reward  1 up · answered 3s ago",
    ]


def test_the_same_actors_in_one_line(run, status):
    engine = status.actors[0]
    run.status = replace(
        status, actors=(engine, replace(engine, name="engine-1", state="stale"), replace(engine, role="learner", state="up"))
    )
    assert sections.actors_in_a_line(run).plain == "engine 1 healthy · engine 1 stale · learner 1 up"


def test_without_a_status_the_metrics_count_them(run):
    assert [line.plain for line in sections.actors(run, 2003.0)] == ["engine  2 up"]
    run.seen.newest["engine/replaced"] = 3.0
    assert [line.plain for line in sections.actors(run, 2003.0)] == ["engine  2 up · 3 replaced"]


def test_failures_that_the_run_got_over_are_told(run, status):
    run.status = replace(status, failures=(Failure(1.0, "engine-1 has died", (), 3),))
    assert [line.plain for line in sections.notices(run)] == ["engine-1 has died (3 times)"]


def test_the_bar_of_a_stage_begins_where_the_one_before_ended(run, drawn):
    lines = drawn(sections.stages(run, 6), 80)
    bars = [line[line.rindex("  ") :] for line in lines[1:] if "█" in line]
    assert len(bars) == 3  # waiting 0.5 of 2 s, learner 1, push 0.25
    starts = [line.index("█") for line in lines[1:] if "█" in line]
    assert starts == sorted(starts)
    widths = [line.count("█") for line in lines[1:] if "█" in line]
    assert widths[1] == pytest.approx(2 * widths[0], abs=1)


def test_the_same_in_one_line(run):
    assert sections.stages_in_a_line(run).plain == "step 2 s (mean of 2) · gen 0.5 · learn 1 · push 0.25"


def test_figures_are_those_of_the_newest_line_and_the_newest_measurement(run):
    run.seen.heldout = {"version": 1, "heldout/reward": 0.5, "heldout/stderr": 0.05}
    assert sections.figures(run).plain == "reward 0.200 · held out 0.500 ± 0.050 (version 1) · tokens/s 1,000"


def test_an_error_has_several_lines_and_no_more_than_it_may():
    state = Doing("failed", "bold red", "engine-0 has died: " + "x" * 40)
    assert [line.plain for line in sections.told(state, 30, 5)] == ["failed · engine-0 has died: xx", "x" * 30, "x" * 8]
    two = sections.told(state, 30, 2)
    assert [line.plain for line in two] == ["failed · engine-0 has died: xx", "x" * 38]
    assert all(line.overflow == "ellipsis" for line in two)  # so that the last says that there is more
