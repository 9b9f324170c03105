"""`toolrl replay RUN DRAW:SAMPLE`: one sample of a run from tokens to loss, by training it again as it was trained.

run folder ─> plan ─> the learner's ranks, without engines ─> checkpoint ─> batches in between ─> the sample's own batch ─> page or JSON

The same actors, shards and loss code as in the run. Nothing is written into the run folder.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import ray

from toolrl.actors.learner import LearnerGroup
from toolrl.actors.placement import learner_bundles
from toolrl.actors.session import Session
from toolrl.actors.start import Stage
from toolrl.data.template import FILE_NAME, PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.learner.inspection import Inspection
from toolrl.monitor.prompts import read_tokens
from toolrl.pipelines.inputs import resolve_model
from toolrl.pipelines.ranks import rank_arguments
from toolrl.pipelines.replaying import replay_json, replay_page
from toolrl.pipelines.replaying.plan import Plan, plan
from toolrl.pipelines.replaying.rebuild import rebuild
from toolrl.pipelines.replaying.replayed import Check, Replayed, check

Say = Callable[[str], None]
"""Where progress is told."""


def replay(path: Path, sample: str, overrides: Sequence[str], *, attempt: int | None, as_json: bool, width: int, say: Say) -> str:
    """Return what `toolrl replay` prints, `width` columns wide. Raises UserError kin where it cannot be replayed, or RunError kin."""
    found = plan(path, sample, overrides, attempt=attempt)
    config, row = found.config, found.row
    model_path = resolve_model(config.model.path)
    tokenizer = ChatTokenizer(model_path, PromptTemplate.load(str(path / FILE_NAME), model_path=model_path).chat)
    prompt, prompt_ids = found.run.prompt(row["prompt_id"]), read_tokens(path / "prompts.parquet", {row["prompt_id"]})[row["prompt_id"]]
    say(found.opening())
    bundles = learner_bundles(config.learner, on_gpu=config.cluster.device == "cuda")
    with Session() as session, session.stage(config.cluster, bundles) as stage:
        inspection, checks = asyncio.run(_train(found, model_path, stage, say))
    replayed = Replayed(found, prompt, prompt_ids, tuple(tokenizer.pieces(row["tokens"])), inspection, checks)
    return json.dumps(replay_json.report(replayed)) if as_json else replay_page.text(replayed, width)


async def _train(found: Plan, model_path: str, stage: Stage, say: Say) -> tuple[Inspection, tuple[Check, ...]]:
    """Bring a learner group to the sample's batch, and look into it there."""
    start = time.monotonic()
    config = found.config
    ranks = stage.learners(config.learner, rank_arguments(config, model_path), None)
    learner = LearnerGroup(ranks, config.learner, algo=config.algo, max_tokens=config.sampling.max_tokens)
    await learner.start()
    if found.checkpoint is not None:
        await learner.load(found.checkpoint, timeout_s=config.checkpoint.timeout_s)
    say(f"started in {time.monotonic() - start:.0f} s")
    checks = []
    for version in found.again:
        batch, stored = await asyncio.to_thread(rebuild, found.run, config, found.files[version], ray.put)
        report = await learner.step(batch)
        checks.append(check(version, report.trained, stored))
        say(f"version {version} trained again; largest difference of a loss share from the logged one {checks[-1].max_difference:.1e}")
    batch, _ = await asyncio.to_thread(rebuild, found.run, config, found.files[found.version], ray.put)
    return await learner.inspect(batch, found.draw, found.sample), tuple(checks)
