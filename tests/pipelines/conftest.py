"""Small run folders, written by the writers of a real run."""

import asyncio
import sys
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
import real_run as real_runs

from toolrl.algo.advantage import trajectories
from toolrl.config.learning import AlgoConfig
from toolrl.config.load import to_yaml
from toolrl.config.schema import DataConfig, ModelConfig, RewardConfig, RlConfig
from toolrl.monitor.prompts import write_prompts
from toolrl.monitor.rollouts import RolloutWriter
from toolrl.reward.judge import judge
from toolrl.reward.verifier import make_verifier
from toolrl.testing.fakes import as_trained
from toolrl.types import Batch, Completion, Draw, Group, Message, Prompt, ScoredGroup, Tool, ToolCall, VersionSpan

ALGO = AlgoConfig(advantage_eps=0.0)
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer", "default": 3}},
    "required": ["city"],
}
STRICT = RewardConfig()
WEATHER = Prompt(
    id="weather",
    source="hand",
    messages=(Message("system", "Be brief."), Message("user", "Weather in Oslo, three days?")),
    tools=(Tool("forecast", "Weather.", SCHEMA), Tool("other", "", {})),
    reference=(ToolCall("forecast", {"city": "Oslo", "days": 3}),),
)
SMALL_TALK = replace(WEATHER, id="small talk", messages=(Message("user", "How are you?"),), reference=())


def completion(calls):
    return f"<think>\nhm\n</think>\n<tool_call>\n{calls}\n</tool_call>"


TEXTS = SimpleNamespace(
    right=completion('[{"name": "forecast", "arguments": {"city": "Oslo", "days": 3}}]'),
    no_list=completion('{"name": "forecast", "arguments": {"city": "Oslo", "days": 3}}'),  # paper: right
    wrong=completion('[{"name": "forecast", "arguments": {"city": "Rome", "days": 3}}]'),
    default=completion('[{"name": "forecast", "arguments": {"city": "Oslo"}}]'),  # paper: wrong
)
DEFAULT_GROUPS = (
    (1, 0, WEATHER, (TEXTS.right, TEXTS.no_list, TEXTS.wrong, TEXTS.default)),
    (1, 1, WEATHER, (TEXTS.wrong,) * 4),
    (2, 8, SMALL_TALK, ("<think>hm</think>Fine!", TEXTS.right, TEXTS.right, "")),
)
"""(version, draw, prompt, texts)"""


@pytest.fixture(scope="session")
def real_run(tmp_path_factory):
    """The folder of a real run that has ended: see `real_run.py`. Only for tests of the stack."""
    return real_runs.make(tmp_path_factory.mktemp("rl"))


@pytest.fixture
def weather():
    return SimpleNamespace(texts=TEXTS, prompt=WEATHER, completion=completion, groups=DEFAULT_GROUPS)


@pytest.fixture
def make_run(tmp_path):
    """Write a run of the given groups; returns its folder."""

    def make(groups=DEFAULT_GROUPS, *, keep="all", reward=STRICT, verdicts=None, dropped=(), name="run"):
        run = tmp_path / name
        run.mkdir()
        config = RlConfig(model=ModelConfig(path="m"), data=DataConfig(train="t"), reward=reward)
        (run / "config.yaml").write_text(to_yaml(config))
        prompts = {prompt.id: prompt for _, _, prompt, _ in groups}.values()
        write_prompts(run / "prompts.parquet", {"train": [_draw(0, prompt) for prompt in prompts], "heldout": [_draw(0, SMALL_TALK)]})
        verifier = make_verifier(reward.mode, reward.no_call, reward.functions)
        by_version = defaultdict(list)
        for version, number, prompt, texts in groups:
            group = Group(_draw(number, prompt), tuple(_completion(text, i, version) for i, text in enumerate(texts)))
            said = verdicts or tuple(judge(verifier, prompt, text) for text in texts)
            by_version[version].append(ScoredGroup(group.ref(group, engine="engine-0", sample_s=0.5), said))
        for version, scored in by_version.items():
            asyncio.run(_write(run / "rollouts", keep, version, scored, dropped))
        return run

    return make


def _draw(number, prompt):
    return Draw(number, prompt, np.array([1, 2], np.int32), seed=7)


def _completion(text, i, version):
    return Completion(
        token_ids=np.arange(4, dtype=np.int32),
        logprobs=np.zeros(4, np.float32),
        loss_mask=np.ones(4, np.bool_),
        text=text,
        finish_reason="stop",
        seed=100 + i,
        spans=(VersionSpan(max(version - 2, 0), 0, 2), VersionSpan(version - 1, 2, 4)),
    )


async def _write(folder, keep, version, scored, dropped):
    async def fetch(handles):
        return handles

    trained = trajectories(ALGO, [each for each in scored if each.group.draw not in dropped], 0)
    batch = Batch(version - 1, trained, tuple(each for each in scored if each.group.draw in dropped))
    await RolloutWriter(folder, keep=keep, fetch=fetch, attempt=1).write(batch, as_trained(batch))
