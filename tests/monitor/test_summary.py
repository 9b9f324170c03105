"""summary.json from the files, by hand numbers, and after a resume as without one."""

import asyncio
import json

import pytest

from toolrl.algo.advantage import trajectories
from toolrl.config.learning import AlgoConfig
from toolrl.config.load import load
from toolrl.config.schema import CheckpointConfig, EvalConfig, LoopConfig, RlConfig
from toolrl.controller.loop import Controller
from toolrl.errors import LearnerError
from toolrl.monitor.lines import JsonlSink
from toolrl.monitor.rollouts import RolloutWriter
from toolrl.monitor.rundir import RunFolder
from toolrl.monitor.summary import summarise, summarise_supervised
from toolrl.testing.fakes import World, as_trained
from toolrl.types import Batch, GroupRef, Reason, RunState, Sampling, ScoredGroup, Verdict

ALGO = AlgoConfig(advantage_eps=0.0)
CONFIG = load(RlConfig, ["model.path=demo://start", "data.train=demo://train"])


async def identity(handles):
    return handles


def step(version, reward, **more):
    return {
        "version": version,
        "reward/mean": reward,
        "loop/step_s": 2.0,
        "loop/wait_generation_s": 1.0,
        "loop/learner_s": 0.5,
        "loop/push_s": 0.25,
        "loop/eval_s": 0.0,
        "loop/checkpoint_s": 0.0,
        "loop/completions": 64.0,
        "loop/tokens": 640.0,
        "loop/staleness_max": 1.0,
        "weights/parity_max_abs_dlogp": 1e-6,
        **more,
    }


def test_the_numbers_of_a_run_by_hand(tmp_path):
    heldout = {"heldout/reward": 0.3, "heldout/greedy": 0.7, "heldout/content_right": 0.6, "heldout/format_right": 0.5}
    lines = [
        {"version": 0, **heldout, "loop/step_s": 0.5, "loop/push_s": 0.5, "loop/eval_s": 7.0, "weights/parity_max_abs_dlogp": 3e-6},
        *(step(v, v / 10) for v in range(1, 7)),
        step(7, None, **{"loop/staleness_max": 2.0}),
        step(8, 0.9, **{"heldout/reward": 0.6, "heldout/greedy": 0.75, "heldout/content_right": 0.8, "heldout/format_right": 0.9}),
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    verdicts = [Verdict(1.0, Reason.CORRECT), Verdict(0.0, Reason.WRONG_NAME), Verdict(0.0, Reason.WRONG_NAME)]
    group = ScoredGroup(GroupRef(1, "p", 1, (1,) * 3, (0,) * 3, (False,) * 3, "e", 0.1, None), tuple(verdicts))
    batch = Batch(0, trajectories(ALGO, [group], 0), (group,))
    asyncio.run(RolloutWriter(tmp_path / "rollouts", keep="share", fetch=identity, attempt=1).write(batch, as_trained(batch)))
    summary = summarise(path, tmp_path / "rollouts", "checkpoints/version-000008")
    expected = {
        "steps": 8,
        "heldout_reward_before": 0.3,
        "heldout_reward_after": 0.6,
        "heldout_greedy_before": 0.7,
        "heldout_greedy_after": 0.75,
        "content_right_before": 0.6,
        "content_right_after": 0.8,
        "format_right_before": 0.5,
        "format_right_after": 0.9,
        "train_reward_first": pytest.approx(0.3),  # 0.1 … 0.5
        "train_reward_last": pytest.approx((0.3 + 0.4 + 0.5 + 0.6 + 0.9) / 5),  # version 7 had none
        "parity_max_abs_dlogp": 3e-6,
        "max_staleness_seen": 2,
        "completions": 512,
        "completions_per_s": 512 / 16,
        "tokens_per_s": 5120 / 16,
        "seconds_by_stage": {
            "wait_generation": 8.0,
            "learner": 4.0,
            "push": 2.5,
            "eval": 7.0,
            "checkpoint": 0.0,
            "other": pytest.approx(8 * 0.25),
        },
        "reasons": {"wrong_name": 4, "correct": 2},
        "checkpoint": "checkpoints/version-000008",
    }
    assert {key: summary[key] for key in expected} == expected
    json.dumps(summary, allow_nan=False)


def test_a_run_that_measured_nothing_has_a_summary_too(tmp_path):
    summary = summarise(tmp_path / "metrics.jsonl", tmp_path / "rollouts", None)
    assert summary["steps"] == 0
    assert summary["heldout_reward_before"] is None
    assert summary["reasons"] == {}
    json.dumps(summary, allow_nan=False)


def run(folder, world, state):
    sink = JsonlSink(folder.metrics)
    parts = world.parts | {
        "sink": sink,
        "rollout_log": RolloutWriter(folder.rollouts, keep="all", fetch=identity, attempt=folder.attempt),
    }
    loop = Controller(
        loop=LoopConfig(prompts_per_batch=3, max_staleness=1, refill=True),
        evaluation=EvalConfig(every=3),
        checkpoint=CheckpointConfig(every=2),
        sampling=Sampling(n=4, temperature=1.0, top_p=1.0, max_tokens=3),
        algo=AlgoConfig(advantage_eps=0.0),
        state=state,
        **parts,
    )
    asyncio.run(loop.run(8))
    sink.close()


def dull(number, version):
    return number % 4 == 1


def test_the_summary_and_the_draws_of_a_resumed_run_are_those_of_one_that_was_not(tmp_path):
    with RunFolder(tmp_path / "whole", CONFIG) as whole:
        run(whole, World(seed=1, dull=dull), RunState())
    world = World(seed=2, dull=dull, failures={("step", 5): LearnerError("killed")})
    with RunFolder(tmp_path / "cut", CONFIG) as cut, pytest.raises(LearnerError):
        run(cut, world, RunState())
    with RunFolder(tmp_path / "cut", CONFIG) as cut:
        state = world.store.states[-1]
        assert state.version == 4
        cut.rewind(state.version)
        run(cut, World(seed=3, dull=dull), state)
    whole_summary, cut_summary = (summarise(f.metrics, f.rollouts, None) for f in (whole, cut))
    timing = {"seconds_by_stage", "completions_per_s", "tokens_per_s", "max_staleness_seen"}
    assert {k: v for k, v in whole_summary.items() if k not in timing} == {k: v for k, v in cut_summary.items() if k not in timing}
    assert drawn(whole) == drawn(cut)
    assert sorted(n for n, sample in drawn(cut) if sample == 0) == list(range(len(drawn(cut)) // 4))


def drawn(folder):
    from toolrl.monitor import rollouts

    table = rollouts.read(folder.rollouts, ["draw", "sample"])
    return list(zip(table.column("draw").to_pylist(), table.column("sample").to_pylist(), strict=True))


def test_the_numbers_of_a_supervised_run_by_hand(tmp_path):
    taken = {"loop/step_s": 2.0, "loop/learner_s": 1.5, "loop/push_s": 0.0, "loop/eval_s": 0.0, "loop/checkpoint_s": 0.25}
    lines = [
        {"version": 0, "heldout/loss": 7.0, "heldout/greedy": 0.0, "loop/step_s": 0.5, "loop/push_s": 0.5, "loop/eval_s": 3.0},
        *({"version": v, "learner/loss": 10.0 - v / 10, "learner/tokens": 30.0, **taken} for v in range(1, 31)),
        {
            "version": 31, "learner/loss": 1.0, "learner/tokens": 40.0, **taken, "heldout/loss": 0.5, "heldout/loss_stderr": 0.02,
            "heldout/greedy": 0.75, "weights/parity_max_abs_dlogp": 2e-6,
        },
    ]  # fmt: skip
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    summary = summarise_supervised(path, checkpoint="checkpoints/version-00000031", best_step=31)
    expected = {
        "steps": 31,
        "loss_first": 9.9,
        "loss_last": pytest.approx((sum(10 - v / 10 for v in range(7, 31)) + 1) / 25),
        "heldout_loss_before": 7.0,
        "heldout_loss_after": 0.5,
        "heldout_loss_stderr_after": 0.02,
        "heldout_greedy_before": 0.0,
        "heldout_greedy_after": 0.75,
        "heldout_greedy_content_right_after": None,
        "best_step": 31,
        "tokens": 940,
        "tokens_per_s": 940 / 62,
        "parity_max_abs_dlogp": 2e-6,
        "checkpoint": "checkpoints/version-00000031",
    }
    assert {name: summary[name] for name in expected} == expected
    assert summary["seconds_by_stage"] == pytest.approx({"learner": 46.5, "push": 0.5, "eval": 3.0, "checkpoint": 7.75, "other": 7.75})


def test_a_supervised_run_that_measured_nothing_has_a_summary_too(tmp_path):
    summary = summarise_supervised(tmp_path / "metrics.jsonl", checkpoint=None, best_step=None)
    assert (summary["steps"], summary["loss_last"], summary["heldout_loss_before"], summary["tokens_per_s"]) == (0, None, None, None)
