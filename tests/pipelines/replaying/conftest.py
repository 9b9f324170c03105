"""A run folder of three versions, written by the writers of a real run, and a replay of one of its samples."""

import asyncio
import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from toolrl.algo.advantage import trajectories
from toolrl.checkpoint.store import CheckpointStore
from toolrl.config.load import to_yaml
from toolrl.config.schema import DataConfig, LoopConfig, ModelConfig, RlConfig, RunConfig, SamplingConfig
from toolrl.learner.inspection import Inspection, Place, TokenTerms
from toolrl.monitor.prompts import write_prompts
from toolrl.monitor.rollouts import RolloutWriter
from toolrl.types import (
    Batch,
    Completion,
    Draw,
    Group,
    Message,
    Prompt,
    Reason,
    RunState,
    ScoredGroup,
    TrainedGroup,
    Verdict,
    VersionSpan,
)

PROMPTS, GROUP, VERSIONS = 2, 3, 3
CONFIG = RlConfig(
    run=RunConfig(steps=VERSIONS),
    model=ModelConfig(path="m"),
    data=DataConfig(train="t"),
    sampling=SamplingConfig(n=GROUP, max_tokens=8),
    loop=LoopConfig(prompts_per_batch=PROMPTS),
)
REWARDS = ((1.0, 0.0, 0.5), (0.0, None, 1.0))
"""Of the two groups of each version."""


def group_of(number):
    """Draw `number`: prompt of 2 + number tokens, completions of 1, 2 and 3, the last one truncated."""
    prompt = Prompt(f"p{number}", "hand", (Message("user", f"ask {number}"),), (), ())
    draw = Draw(number, prompt, np.arange(2 + number, dtype=np.int32), seed=2**62 + 10 * number)
    version = number // PROMPTS
    completions = tuple(
        Completion(
            token_ids=np.arange(1 + i, dtype=np.int32) + 40,
            logprobs=np.full(1 + i, -0.25 * (i + 1), np.float32),
            loss_mask=np.ones(1 + i, np.bool_),
            text=f"answer {number}.{i}",
            finish_reason="length" if i == 2 else "stop",
            seed=draw.seed + i,
            spans=(VersionSpan(version, 0, 1 + i),),
        )
        for i in range(GROUP)
    )
    return Group(draw, completions)


def scored_of(number):
    group = group_of(number)
    verdicts = tuple(
        Verdict(reward, Reason.VERIFIER_ERROR if reward is None else Reason.CORRECT if reward == 1 else Reason.WRONG_NAME, got=f"g{number}")
        for reward in REWARDS[number % 2]
    )
    return ScoredGroup(group.ref(group, engine="engine-0", sample_s=0.0), verdicts)


def batch_of(version, dropped=()):
    numbers = range((version - 1) * PROMPTS, version * PROMPTS)
    trained = trajectories(CONFIG.algo, [scored_of(n) for n in numbers if n not in dropped], CONFIG.sampling.max_tokens)
    return Batch(version - 1, tuple(trained), tuple(scored_of(n) for n in numbers if n in dropped))


def loss_shares(number):
    """What the run is made to have logged: draw + sample / 8."""
    return tuple(number + i / 8 for i in range(GROUP))


@pytest.fixture
def made():
    return SimpleNamespace(config=CONFIG, batch=batch_of, scored=scored_of, group=group_of, loss_shares=loss_shares, versions=VERSIONS)


@pytest.fixture
def run(tmp_path):
    """Write a run; `checkpoints` are the versions of its whole ones."""

    def write(
        *, config=CONFIG, keep="all", checkpoints=(1, 2, 3), dropped=(), shares=loss_shares, attempts=({},), attempt_of=lambda version: 1
    ):
        folder = tmp_path / "run"
        folder.mkdir()
        (folder / "config.yaml").write_text(to_yaml(config))
        (folder / "versions.json").write_text(json.dumps({"attempts": [{"attempt": i + 1, "changed": c} for i, c in enumerate(attempts)]}))
        write_prompts(folder / "prompts.parquet", {"train": [group_of(n).draw for n in range(PROMPTS * VERSIONS)]})
        store = CheckpointStore(folder / "checkpoints", 99)
        for version in checkpoints:
            store.write(RunState(version=version), lambda path: (path / "weights").write_bytes(b"w"))
        lines = [{"version": version, "learner/step_s": 2.0 * version} for version in range(1, VERSIONS + 1)]
        (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        for version in range(1, VERSIONS + 1):
            batch = batch_of(version, dropped)
            trained = {t.scored.group.draw: TrainedGroup(t.advantages, shares(t.scored.group.draw)) for t in batch.trajectories}
            writer = RolloutWriter(folder / "rollouts", keep=keep, fetch=_identity, attempt=attempt_of(version))
            asyncio.run(writer.write(batch, trained))
        return folder

    return write


@pytest.fixture
def failed():
    """Keep a batch that could not be trained under the attempt 1 of a run; returns its file."""

    def keep(folder, batch, why):
        writer = RolloutWriter(folder / "rollouts", keep="all", fetch=_identity, attempt=1)
        asyncio.run(writer.keep_failed(batch, why))
        (file,) = (folder / "discarded" / "attempt-1").glob(f"version-{batch.version + 1:06d}.parquet")
        return file

    return keep


async def _identity(handles):
    return handles


@pytest.fixture
def inspection():
    """Return an inspection of `num` tokens, the loss of token i being `losses[i]`."""

    def make(losses, **changes):
        flat = np.linspace(-1, 0, len(losses), dtype=np.float32)
        terms = TokenTerms(
            engine_logp=flat, old_logp=flat + np.float32(0.5), logp=flat + np.float32(0.25), reference_logp=None, entropy=flat + 2,
            ratio=np.ones_like(flat), clipped=np.arange(len(losses)) == 1, importance=np.full_like(flat, 1.5), policy=flat, kl=None,
            weight=np.ones_like(flat), loss=np.array(losses, np.float32),
        )  # fmt: skip
        found = Inspection(
            place=Place(2, 1, 0, 0), rank=1, optimizer_steps=2, micro_batches=3, advantage=0.5, tokens=terms, loss_share=2.125,
            denominator=12.0, gradient_norm=3.0, step_gradient_norm=4.0, projection=0.375,
        )  # fmt: skip
        return replace(found, **changes)

    return make
