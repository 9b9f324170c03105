"""Accelerator time by cause, by hand numbers."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolrl.config.learning import LearnerConfig
from toolrl.config.schema import RlConfig
from toolrl.config.sft import SftConfig
from toolrl.monitor.waste import Accelerators, WasteSink, wasted

LINE = {
    "loop/step_s": 10.0,
    "loop/wait_generation_s": 4.0,
    "loop/learner_s": 3.0,
    "loop/push_s": 1.0,
    "loop/checkpoint_s": 1.5,
    "loop/eval_s": 2.0,
    "loop/dull_share": 0.25,
    "learner/step_s": 2.8,
    "learner/forward_s": 1.0,
    "learner/backward_s": 1.2,
    "learner/optimizer_s": 0.3,
    "engine/busy_sum_s": 8.0,
    "engine/serving": 2.0,
}


def test_engines_and_ranks_of_their_own():
    found = wasted(LINE, Accelerators(of_an_engine=2, of_engines=6, of_learner=4, shared=False))
    assert found == pytest.approx(
        {
            "run/accelerator_s": 120,  # (6 + 4) for 10 s and 2 s of evaluation
            "waste/no_groups": 16,  # 4 ranks for 4 s
            "waste/evaluation": 8,  # 4 ranks for 2 s
            "waste/checkpoint": 6,  # 4 ranks for 1.5 s
            "waste/push": 10,  # all 10 for 1 s
            "waste/learner_overhead": 2,  # 4 ranks for 3 s less 2.5 s of passes
            "waste/driver": 2,  # 4 ranks for the half second that no stage has
            "waste/lost_engines": 22,  # one engine of 2 for 11 s that are no push
            "waste/no_slots": 28,  # 6 for 11 s, less 8 s of engines of 2, less the lost one
            "waste/dull_groups": 4,  # a quarter of those 16
            "waste/turns": 0,
        }
    )


def test_shared_accelerators_wait_for_nobody_in_the_turn_of_the_other():
    found = wasted(LINE | {"learner/turn_s": 0.25}, Accelerators(of_an_engine=2, of_engines=4, of_learner=4, shared=True))
    assert found == pytest.approx(
        {
            "run/accelerator_s": 48,
            "waste/no_groups": 8,  # 4 for 4 s and 2 s of evaluation, of which 8 s of engines of 2 are sampling
            "waste/checkpoint": 6,
            "waste/push": 4,
            "waste/learner_overhead": 1,
            "waste/driver": 2,
            "waste/dull_groups": 4,
            "waste/turns": 1,
        }
    )


def test_of_a_supervised_run_the_learner_counts_alone():
    config = SftConfig(learner=LearnerConfig(num_ranks=4))
    of_engines = ("engine/busy_sum_s", "engine/serving", "loop/dull_share", "loop/wait_generation_s")
    line = {name: seconds for name, seconds in LINE.items() if name not in of_engines}
    assert wasted(line, Accelerators.of(config)) == pytest.approx(
        {
            "run/accelerator_s": 48,  # 4 ranks for 10 s and 2 s of evaluation
            "waste/evaluation": 8,
            "waste/checkpoint": 6,
            "waste/push": 4,
            "waste/learner_overhead": 2,
            "waste/driver": 18,  # 4 ranks for the 4.5 s that no stage has
            "waste/turns": 0,
        }
    )


SECONDS = st.floats(0, 1e4)


SHARES = st.floats(0, 1)


@given(stages=st.tuples(*[SECONDS] * 6), shares=st.tuples(*[SHARES] * 3), serving=st.integers(0, 3))
def test_the_causes_are_never_more_than_there_was(stages, shares, serving):
    wait, learner, push, checkpoint, evaluation, other = stages
    passes, busy, dull = shares
    line = {
        "loop/step_s": wait + learner + push + checkpoint + other,
        "loop/wait_generation_s": wait,
        "loop/learner_s": learner,
        "loop/push_s": push,
        "loop/checkpoint_s": checkpoint,
        "loop/eval_s": evaluation,
        "loop/dull_share": dull,
        "learner/step_s": learner,
        "learner/forward_s": learner * passes,
        "engine/busy_sum_s": busy * serving * (wait + learner + checkpoint + other + evaluation),
        "engine/serving": float(serving),
    }
    found = wasted(line, Accelerators(of_an_engine=2, of_engines=6, of_learner=4, shared=False))
    total = found.pop("run/accelerator_s")
    assert all(seconds >= 0 for seconds in found.values())
    assert sum(found.values()) <= total * (1 + 1e-9) + 1e-6


def test_a_version_that_trained_nothing_has_none():
    assert wasted({"loop/step_s": 1.0, "loop/eval_s": 0.0}, Accelerators(1, 1, 2, False)) == {}


def test_what_a_run_has_is_read_off_its_settings():
    assert Accelerators.of(RlConfig()) == Accelerators(of_an_engine=1, of_engines=1, of_learner=1, shared=False)


def test_the_sink_passes_on_both():
    seen, closed = {}, []
    behind = SimpleNamespace(write=lambda version, metrics: seen.update({version: metrics}), close=lambda: closed.append(1))
    sink = WasteSink(behind, Accelerators(2, 6, 4, False))
    sink.write(3, LINE)
    sink.close()
    assert seen[3].items() >= LINE.items()
    assert seen[3]["waste/push"] == 10
    assert closed == [1]
