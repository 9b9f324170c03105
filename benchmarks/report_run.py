"""A run of any size, written by the real writers: prompts of the demo task, completions that get better, verdicts of the real verifier."""

import asyncio
import json
from itertools import count
from pathlib import Path
from random import Random

import numpy as np

from toolrl.algo.advantage import trajectories
from toolrl.calls.render import render_completion
from toolrl.config.learning import AlgoConfig
from toolrl.config.load import to_yaml
from toolrl.config.schema import DataConfig, LoopConfig, ModelConfig, RlConfig, RunConfig, SamplingConfig
from toolrl.data.demo.generate import demo_prompts
from toolrl.monitor.metrics import METRICS
from toolrl.monitor.prompts import write_prompts
from toolrl.monitor.rollouts import RolloutWriter
from toolrl.reward.judge import judge
from toolrl.reward.verifier import make_verifier
from toolrl.testing.fakes import as_trained
from toolrl.types import Batch, Completion, Draw, Group, ScoredGroup, ToolCall, VersionSpan

PROMPTS_PER_BATCH, SIBLINGS = 16, 16
DRAWN_TIMES = 5
"""How often each prompt comes in the run."""
CHARACTERS_PER_TOKEN = 4
FILLING = ("the", "tool", "wants", "so", "because", "value", "first", "then")


def write_run(folder: Path, completions: int, tokens: int) -> None:
    """Write a run with about `completions` completions of about `tokens` tokens each."""
    folder.mkdir(parents=True)
    versions = max(1, completions // (PROMPTS_PER_BATCH * SIBLINGS))
    config = RlConfig(
        run=RunConfig(dir=str(folder), steps=versions),
        model=ModelConfig(path="benchmark"),
        data=DataConfig(train="demo://train"),
        sampling=SamplingConfig(n=SIBLINGS, max_tokens=4 * tokens),
        loop=LoopConfig(prompts_per_batch=PROMPTS_PER_BATCH, max_staleness=1),
    )
    (folder / "config.yaml").write_text(to_yaml(config))
    (folder / "versions.json").write_text(json.dumps({"attempts": [{"attempt": 1, "started": "2026-01-01T00:00:00+00:00", "changed": {}}]}))
    prompts = list(demo_prompts("train", max(1, versions * PROMPTS_PER_BATCH // DRAWN_TIMES)))
    draws = [
        Draw(number, prompts[number % len(prompts)], np.arange(90, dtype=np.int32), number)
        for number in range(versions * PROMPTS_PER_BATCH)
    ]
    write_prompts(folder / "prompts.parquet", {"train": draws[: len(prompts)], "heldout": []})
    asyncio.run(_write(folder, draws, versions, tokens))
    _write_metrics(folder / "metrics.jsonl", versions)


async def _write(folder: Path, draws, versions: int, tokens: int) -> None:
    random, verifier, numbers = Random(0), make_verifier("strict"), count()

    async def fetch(handles):
        return handles

    writer = RolloutWriter(folder / "rollouts", keep="all", fetch=fetch, attempt=1)
    for version in range(1, versions + 1):
        scored = []
        for draw in draws[(version - 1) * PROMPTS_PER_BATCH : version * PROMPTS_PER_BATCH]:
            skill = 0.3 + 0.6 * version / versions
            texts = [_text(draw.prompt, skill, tokens, random) for _ in range(SIBLINGS)]
            group = Group(draw, tuple(_completion(text, next(numbers), version) for text in texts))
            scored.append(
                ScoredGroup(
                    group.ref(group, engine=f"engine-{version % 2}", sample_s=1.0),
                    tuple(judge(verifier, draw.prompt, text) for text in texts),
                )
            )
        batch = Batch(version - 1, trajectories(AlgoConfig(), scored, 0), ())
        await writer.write(batch, as_trained(batch))


def _text(prompt, skill: float, tokens: int, random: Random) -> str:
    words = [*FILLING, *(word for message in prompt.messages for word in message.content.split())]
    length, think = random.gauss(tokens, tokens / 5) * CHARACTERS_PER_TOKEN, ["I"]
    while sum(map(len, think)) + len(think) < length:
        think.append(random.choice(words))
    calls = [_spoilt(call, random) if random.random() > skill else call for call in prompt.reference]
    text = render_completion(calls, " ".join(think))
    return text if random.random() < skill + 0.2 else text.replace("</think>", "", 1)


def _spoilt(call: ToolCall, random: Random) -> ToolCall:
    names = list(call.arguments)
    if not names or random.random() < 0.2:
        return ToolCall("other_tool", call.arguments)
    name = random.choice(names)
    if random.random() < 0.3:
        return ToolCall(call.name, {key: value for key, value in call.arguments.items() if key != name})
    return ToolCall(call.name, {**call.arguments, name: f"{call.arguments[name]}s"})


def _completion(text: str, seed: int, version: int) -> Completion:
    length = max(1, len(text) // CHARACTERS_PER_TOKEN)
    random = np.random.default_rng(seed)
    return Completion(
        token_ids=random.integers(0, 150_000, length, dtype=np.int32),
        logprobs=-random.exponential(0.3, length).astype(np.float32),
        loss_mask=np.ones(length, np.bool_),
        text=text,
        finish_reason="stop",
        seed=seed,
        spans=(VersionSpan(max(0, version - 1 - seed % 2), 0, length),),
    )


def _write_metrics(path: Path, versions: int) -> None:
    random = Random(1)
    names = [metric.name for metric in METRICS if not metric.name.endswith("/*") and not metric.name.startswith("heldout/")]
    reasons = ("correct", "wrong_value", "wrong_name", "missing_argument", "unclosed_think", "no_think")
    with path.open("w") as file:
        for version in range(1, versions + 1):
            shares = [random.random() for _ in reasons]
            line = {"version": version, "time": float(version), **{name: random.random() for name in names}}
            line |= {f"reward/reason/{reason}": share / sum(shares) for reason, share in zip(reasons, shares, strict=True)}
            line |= {
                "loop/step_s": 10.0,
                "loop/learner_s": 4.0,
                "loop/wait_generation_s": 3.0,
                "loop/push_s": 1.0,
                "loop/eval_s": 0.0,
                "loop/checkpoint_s": 0.5,
            }
            line |= {"heldout/reward": 0.3 + 0.5 * version / versions} if version % 20 == 0 else {}
            file.write(json.dumps(line) + "\n")
