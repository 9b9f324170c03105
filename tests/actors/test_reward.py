"""Reward workers as real processes: hangs, deaths, exceptions and memory without end are contained, and no group is judged twice."""

import asyncio
import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import ray

sys.path.insert(0, str(Path(__file__).parent))
from reward_verifiers import Absent, Misbehaving

from toolrl.actors.reward import ScorerPool
from toolrl.actors.reward_worker import RewardActor, RewardHandle
from toolrl.config.task import RewardConfig
from toolrl.errors import RolloutError, ScoringError
from toolrl.reward.verifier import make_verifier
from toolrl.testing.fakes import FakePrompts, World
from toolrl.types import Completion, Group, Reason, VersionSpan, WeightVersion

pytestmark = pytest.mark.stack


def put(number, *texts):
    ids = np.zeros(1, np.int32)
    spans = (VersionSpan(WeightVersion(0), 0, 1),)
    members = tuple(Completion(ids, ids.astype(np.float32), ids == 0, text, "stop", i, spans) for i, text in enumerate(texts))
    group = Group(FakePrompts(World()).draw(number), members)
    return group.ref(ray.put(group), engine="e", sample_s=0.0)


def score(groups, verifier=None, *, own=False, env=None, **settings):
    """Score `groups` at once; `own` verifiers are found without this folder on the path. Returns the outcomes and the pool's metrics."""
    config = RewardConfig(**{"workers": 2, "deadline_s": 1.0, "memory_gib": 0.25, **settings})
    env = ({} if own else {"PYTHONPATH": str(Path(__file__).parent)}) | (env or {})

    async def run():
        def make(index):
            actor = ray.remote(RewardActor).options(num_cpus=0.1, runtime_env={"env_vars": env})
            return RewardHandle(f"reward-{index}", lambda: actor.remote(verifier or Misbehaving(), config), config)

        pool = ScorerPool(make, config)
        await pool.start()
        try:
            async with asyncio.timeout(60):
                outcomes = await asyncio.gather(*map(pool.score, groups), return_exceptions=True)
                while pool.metrics()["reward/workers"] < config.workers:  # noqa: ASYNC110 the last one is still being replaced
                    await asyncio.sleep(0.05)
            return outcomes, pool.metrics()
        finally:
            await pool.stop()

    return asyncio.run(run())


def test_verdicts_come_back_for_the_group_they_belong_to(ray_cluster):
    scored, metrics = score([put(i, "right" if i % 2 else "wrong", "right") for i in range(40)])
    assert [s.group.draw for s in scored] == list(range(40))
    assert [s.verdicts[0].reward for s in scored] == [float(i % 2) for i in range(40)]
    assert metrics == {"reward/workers": 2.0, "reward/workers_replaced": 0.0, "reward/quarantined_prompts": 0.0}


def test_a_reward_of_ones_own_is_found_by_the_workers_too(ray_cluster, tmp_path, monkeypatch):
    (tmp_path / "only_in_this_folder.py").write_text("def length(prompt, text): return len(text)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    verifier = make_verifier("strict", functions={"only_in_this_folder:length": 0.5})
    monkeypatch.undo()
    (scored,), metrics = score([put(0, "four", "six")], verifier, own=True)
    assert [verdict.reward for verdict in scored.verdicts] == [2.0, 1.5]
    assert metrics["reward/workers_replaced"] == 0.0


FAULTS = {
    "hang": (Reason.VERIFIER_TIMEOUT, "no verdict within 1 s"),
    "never": (Reason.VERIFIER_TIMEOUT, "no verdict within 1 s"),
    "die": (Reason.VERIFIER_ERROR, "scoring groups: reward-"),
    "raise": (Reason.VERIFIER_ERROR, "ValueError: a verifier's own mistake"),
    "swell": (Reason.VERIFIER_ERROR, "MemoryError: the verifier wanted more than 0.25 GiB (reward.memory_gib)"),
}


def test_whatever_a_verifier_does_its_group_gets_no_reward_and_the_others_keep_theirs(ray_cluster):
    texts = [text for fault in FAULTS for text in ("right", fault, "wrong")]
    scored, metrics = score([put(i, "right", text) for i, text in enumerate(texts)], groups_per_call=3)
    for each, text in zip(scored, texts, strict=True):
        bad = each.verdicts[1]
        if text in FAULTS:
            reason, got = FAULTS[text]
            assert (bad.reward, bad.reason, bad.got[: len(got)]) == (None, reason, got)
        else:
            assert [verdict.reward for verdict in each.verdicts] == [1.0, float(text == "right")]
    # Once for each of the two that the worker tells itself; twice for a death; once or, in company at first, twice for what hears no alarm.
    assert 5 <= metrics["reward/workers_replaced"] <= 6


def test_a_group_that_is_gone_from_the_object_store_is_no_fault_of_the_verifiers(ray_cluster):
    class Owner:
        def put(self, group):
            return [ray.put(group)]

    gone = put(0, "right")
    owner = ray.remote(Owner).options(num_cpus=0).remote()
    gone = dataclasses.replace(gone, handle=ray.get(owner.put.remote(gone.handle))[0])
    ray.kill(owner)
    (lost, kept), metrics = score([gone, put(1, "right")])
    assert isinstance(lost, RolloutError)
    assert kept.verdicts[0].reward == 1.0
    assert metrics["reward/workers_replaced"] == 0.0


def test_a_verifier_that_the_workers_cannot_make_again_ends_the_start_with_its_own_words(ray_cluster):
    with pytest.raises(ScoringError, match="ImportError: no module named my_rewards"):
        score([put(0, "right")], Absent(), env={"TOOLRL_TEST_ABSENT": "1"})
