"""The reward pool: hangs, deaths and exceptions are contained, and no group waits for ever or is judged twice."""

import asyncio
import sys
from pathlib import Path

import numpy as np
import pytest
import ray

sys.path.insert(0, str(Path(__file__).parent))
from reward_verifiers import Misbehaving

from toolrl.actors.reward import RewardActor, ScorerPool
from toolrl.config.task import RewardConfig
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


def score(groups, verifier=None, **settings):
    config = RewardConfig(workers=2, deadline_s=2.0, **settings)
    path = str(Path(__file__).parent)

    async def run():
        def make(index):
            env = {} if verifier else {"PYTHONPATH": path}
            worker = ray.remote(RewardActor).options(num_cpus=0.1, runtime_env={"env_vars": env})
            return worker.remote(verifier or Misbehaving(), 5.0)

        pool = ScorerPool(make, config)
        await pool.start()
        try:
            return await asyncio.wait_for(asyncio.gather(*map(pool.score, groups)), 60), pool.replaced
        finally:
            await pool.stop()

    return asyncio.run(run())


def test_verdicts_come_back_for_the_group_they_belong_to(ray_cluster):
    scored, replaced = score([put(i, "right" if i % 2 else "wrong", "right") for i in range(40)])
    assert [s.group.draw for s in scored] == list(range(40))
    assert [s.verdicts[0].reward for s in scored] == [float(i % 2) for i in range(40)]
    assert replaced == 0


def test_a_reward_of_ones_own_is_found_by_the_workers_too(ray_cluster, tmp_path, monkeypatch):
    (tmp_path / "only_in_this_folder.py").write_text("def length(prompt, text): return len(text)")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    verifier = make_verifier("strict", functions={"only_in_this_folder:length": 0.5})
    monkeypatch.undo()
    (scored,), replaced = score([put(0, "four", "six")], verifier)
    assert [verdict.reward for verdict in scored.verdicts] == [2.0, 1.5]
    assert replaced == 0


@pytest.mark.parametrize(
    ("text", "reason", "replaced"),
    [("hang", Reason.VERIFIER_TIMEOUT, 2), ("die", Reason.VERIFIER_ERROR, 2), ("raise", Reason.VERIFIER_ERROR, 0)],
)
def test_one_bad_group_gets_no_reward_and_its_neighbours_keep_theirs(ray_cluster, text, reason, replaced):
    scored, times = score([put(0, "right"), put(1, "right", text), put(2, "right"), put(3, "wrong")], groups_per_call=4)
    bad = scored[1].verdicts
    assert bad[1].reward is None
    assert bad[1].reason is reason
    assert [s.verdicts[0].reward for s in (scored[0], scored[2], scored[3])] == [1.0, 1.0, 0.0]
    assert times <= replaced
