"""`toolrl sft`: trains on demonstrations with the learner of `toolrl rl`, and ends with a Hugging Face folder.

    demonstrations ─> token ids ─> (copying warm-up, then) batches by step number ─> learner group ─> final/

Each batch is a function of the seed and the step alone. The loss is on the completion only.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from toolrl.actors.cluster import LOCAL, local_nodes
from toolrl.actors.learner import LearnerGroup
from toolrl.actors.placement import fit, learner_bundles
from toolrl.actors.session import Session
from toolrl.actors.start import Stage
from toolrl.config.load import load, to_yaml
from toolrl.config.sft import SftConfig
from toolrl.data.contamination import training_hits
from toolrl.data.demonstrations import load_demonstrations
from toolrl.data.draws import permutation
from toolrl.data.template import PromptTemplate
from toolrl.data.tokenizer import ChatTokenizer
from toolrl.errors import DataError, RunFolderError
from toolrl.learner.packing import Demonstration
from toolrl.monitor.durable import replace_text
from toolrl.monitor.lines import JsonlSink
from toolrl.pipelines.inputs import require_trainable, start_model
from toolrl.pipelines.store import export_final
from toolrl.types import Prompt, WeightVersion

SHOW_EVERY = 25
"""Steps between two lines at the terminal."""
COPY_LENGTHS = (4, 16)
"""Fewest and most tokens of a sequence to copy."""


def sft(arguments: Sequence[str], *, dry_run: bool, as_json: bool) -> int:
    """Run `toolrl sft` and return its exit code. Raises ToolRLError."""
    config = load(SftConfig, arguments)
    run = Path(config.run.dir).resolve()
    if run.exists() and (not run.is_dir() or any(run.iterdir())):
        raise RunFolderError(f"run.dir: {run} is there already and is not empty; name another folder, or remove it")
    on_gpu = config.cluster.device == "cuda"
    bundles = learner_bundles(config.learner, on_gpu=on_gpu)
    with start_model(config.model.path, seed=config.run.seed) as model_path:
        require_trainable(config.learner, model_path)
        template = PromptTemplate.load(config.prompt.template, model_path=model_path)
        loaded = load_demonstrations(config.data.train)
        rows = demonstrations(loaded, config, model_path, template)
        print(f"{len(rows)} demonstrations, {sum(len(row.token_ids) for row in rows)} tokens; model: {config.model.path}", flush=True)
        if contamination := training_hits(prompt for prompt, _ in loaded):
            print(contamination, flush=True)
        if dry_run:
            if config.cluster.address == LOCAL:
                fit(bundles, local_nodes(config.cluster)).require_fit()
            print(to_yaml(config) + "everything checked; nothing was started")
            return 0
        with Session() as session, session.stage(config.cluster, bundles) as stage:
            run.mkdir(parents=True, exist_ok=True)
            replace_text(run / "config.yaml", to_yaml(config))
            summary = asyncio.run(_train(config, model_path, template, rows, stage, run))
    print(json.dumps(summary) if as_json else f"loss {summary['loss_first']:.3f} -> {summary['loss_last']:.3f}; model: {summary['model']}")
    return 0


def demonstrations(
    loaded: Sequence[tuple[Prompt, str]], config: SftConfig, model_path: str, template: PromptTemplate
) -> list[Demonstration]:
    """Return prompts and completions as token ids, without those over `data.max_tokens`. Raises DataError where none is left."""
    tokenizer = ChatTokenizer(model_path, template.chat)
    rows, left_out = [], 0
    for prompt, completion in loaded:
        before, after = tokenizer.encode_prompt(prompt, template), tokenizer.encode_completion(completion)
        if len(before) + len(after) <= config.data.max_tokens:
            rows.append(Demonstration(np.concatenate([before, after]), prompt_tokens=len(before)))
        else:
            left_out += 1
    if left_out:
        print(f"{left_out} demonstrations longer than data.max_tokens={config.data.max_tokens} left out", flush=True)
    if not rows:
        raise DataError(f"data.max_tokens: every demonstration is longer than {config.data.max_tokens} tokens; raise it")
    return rows


def batch_of(step: int, rows: Sequence[Demonstration], config: SftConfig, vocabulary: int) -> list[Demonstration]:
    """Return the demonstrations of optimizer step `step`, counted from 0."""
    if step < config.data.copy_warmup_steps:
        random = np.random.default_rng((config.run.seed, step))
        return [_copying(random, vocabulary) for _ in range(config.data.copy_warmup_rows)]
    size = config.loop.rows_per_batch
    first = (step - config.data.copy_warmup_steps) * size
    return [_row(first + i, rows, config.run.seed) for i in range(size)]


def _row(number: int, rows: Sequence[Demonstration], seed: int) -> Demonstration:
    epoch, entry = divmod(number, len(rows))
    return rows[int(permutation(seed, epoch, len(rows))[entry])]


def _copying(random: np.random.Generator, vocabulary: int) -> Demonstration:
    """Return random tokens, a separator (token 0), and the same tokens again: the loss is on the repetition."""
    ids = random.integers(1, vocabulary, size=random.integers(*COPY_LENGTHS, endpoint=True), dtype=np.int32)
    return Demonstration(np.concatenate([ids, np.zeros(1, np.int32), ids]), prompt_tokens=len(ids) + 1)


async def _train(
    config: SftConfig, model_path: str, template: PromptTemplate, rows: Sequence[Demonstration], stage: Stage, run: Path
) -> dict[str, Any]:
    arguments = {
        "model": replace(config.model, path=model_path),
        "learner": config.learner,
        "device": config.cluster.device,
        "seed": config.run.seed,
        "total_steps": config.run.steps,
    }
    learner = LearnerGroup(stage.learners(config.learner, arguments, None), config.learner)
    await learner.start()
    vocabulary = ChatTokenizer(model_path).size
    sink = JsonlSink(run / "metrics.jsonl")
    losses = []
    try:
        for step in range(config.run.steps):
            report = await learner.sft_step(batch_of(step, rows, config, vocabulary))
            losses.append(report.metrics["learner/loss"])
            sink.write(WeightVersion(step + 1), report.metrics)
            if (step + 1) % SHOW_EVERY == 0 or step + 1 == config.run.steps:
                print(f"step {step + 1}/{config.run.steps}  loss {np.mean(losses[-SHOW_EVERY:]):.4f}", flush=True)
    finally:
        sink.close()
    final = await export_final(learner, template, run, timeout_s=config.learner.start_timeout_s)
    summary = {"steps": config.run.steps, "loss_first": losses[0], "loss_last": float(np.mean(losses[-SHOW_EVERY:])), "model": str(final)}
    replace_text(run / "summary.json", json.dumps(summary, indent=2) + "\n")
    return summary
