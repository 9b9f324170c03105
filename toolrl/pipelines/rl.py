"""`toolrl rl`: checks everything, then trains by reinforcement learning in a run folder, resuming what is there.

settings ─> inputs (model, prompts, audit) ─> placement ─> run folder ─> cluster ─> actors ─> loop ─> export, plots, summary
            └────────────── a user's mistake ends here: one message, nothing written ──────────┘

A run that is killed goes on from its newest checkpoint when the same command is given again.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from toolrl.actors.cluster import LOCAL, local_nodes
from toolrl.actors.placement import Placement, bundles_of, fit
from toolrl.actors.pool import EnginePool
from toolrl.actors.reward import ScorerPool
from toolrl.actors.session import Session
from toolrl.actors.start import Stage
from toolrl.actors.wait import objects
from toolrl.calls.render import render_completion
from toolrl.checkpoint.store import Checkpoint, CheckpointStore
from toolrl.config.load import load, to_yaml
from toolrl.config.remarks import remarks
from toolrl.config.schema import RlConfig
from toolrl.controller.loop import Controller
from toolrl.data.template import FILE_NAME
from toolrl.errors import RolloutError
from toolrl.evaluation.heldout import HeldoutEvaluator
from toolrl.monitor.prompts import write_prompts
from toolrl.monitor.rollouts import RolloutWriter
from toolrl.monitor.rundir import RunFolder, check
from toolrl.pipelines import closing
from toolrl.pipelines.fleet import Fleet
from toolrl.pipelines.inputs import Inputs, load_inputs
from toolrl.pipelines.preemption import Preemption
from toolrl.pipelines.sinks import open_sinks
from toolrl.pipelines.store import RunStore, export_final
from toolrl.types import RunState, Sampling

PROBE_TOKENS = 1024
"""Most tokens of a probe sequence: enough to meet every weight, few enough to run after each push."""


def rl(arguments: Sequence[str], *, dry_run: bool, as_json: bool) -> int:
    """Run `toolrl rl` and return its exit code. Raises ToolRLError."""
    config = load(RlConfig, arguments)
    if dry_run:
        check(Path(config.run.dir).resolve(), config)
        local = config.cluster.address == LOCAL
        print(_plan(config, load_inputs(config), fit(bundles_of(config), local_nodes(config.cluster)) if local else None))
        return 0
    with Session() as session:
        summary = train(config, session)
    print(json.dumps(summary) if as_json else closing.text(config, summary))
    return 0


def train(config: RlConfig, session: Session) -> dict[str, Any]:
    """Train a run to its end, from wherever it stands, and return its summary. Raises ToolRLError."""
    run = Path(config.run.dir).resolve()
    check(run, config)
    inputs = load_inputs(config)
    with RunFolder(run, config) as folder:  # first: nobody else may repair or prune the checkpoints meanwhile
        folder.keep(FILE_NAME, inputs.template.source)
        store = CheckpointStore(folder.checkpoints, config.checkpoint.keep)
        newest = store.newest()
        if newest is None or newest.state.version < config.run.steps or not folder.summary.exists():
            folder.summary.unlink(missing_ok=True)  # it is written last: a run that has one has ended
            print(closing.opening(config, inputs, newest), flush=True)
            with session.stage(config.cluster, bundles_of(config)) as stage:
                preemption = Preemption(config.checkpoint.preempt_timeout_s)
                asyncio.run(preemption.watch(_train(config, inputs, folder, stage, store, newest, preemption)))
            closing.finish(folder, store)
        summary: dict[str, Any] = json.loads(folder.summary.read_text())
    return summary


async def _train(
    config: RlConfig,
    inputs: Inputs,
    folder: RunFolder,
    stage: Stage,
    store: CheckpointStore,
    newest: Checkpoint | None,
    preemption: Preemption,
) -> None:
    """Start the actors, bring them to where the run stands, and train to its end."""
    start = time.monotonic()
    fleet = await Fleet.create(config, stage, inputs.model_path, inputs.tokenizer.stop_ids)
    scorer = ScorerPool(lambda i: stage.reward_worker(i, inputs.verifier, config.reward), config.reward)
    await asyncio.gather(fleet.start(), scorer.start())
    state = newest.state if newest else RunState()
    if newest:
        await fleet.group.load(newest.path, timeout_s=config.checkpoint.timeout_s)
    print(closing.started(time.monotonic() - start, folder.rewind(state.version)), flush=True)
    write_prompts(folder.prompts, {"train": map(inputs.train.draw, range(len(inputs.train))), "heldout": inputs.heldout})
    sinks = open_sinks(config, folder, state.version)
    publisher = fleet.publisher(probes(inputs, config.weights.probe_prompts, config.max_model_len - 1))
    try:
        controller = Controller(
            loop=config.loop,
            evaluation=config.eval,
            checkpoint=config.checkpoint,
            sampling=sampling_of(config),
            algo=config.algo,
            prompts=inputs.train,
            engines=fleet.pool,
            scorer=scorer,
            learner=fleet.learner,
            weights=publisher,
            evaluator=_evaluator(config, inputs, fleet.pool, scorer),
            store=fleet.store(RunStore(store, fleet.group, inputs.template, config.checkpoint), publisher),
            rollout_log=RolloutWriter(
                folder.rollouts,
                keep=config.monitor.rollouts,
                fetch=lambda handles: objects("groups to log", handles, timeout_s=config.engine.sample_timeout_s, error=RolloutError),
                attempt=folder.attempt,
            ),
            sink=sinks,
            state=state,
        )
        preemption.ask(controller.preempt)
        await controller.run(config.run.steps)
        await export_final(fleet.group, inputs.template, folder.path, timeout_s=config.checkpoint.timeout_s)
    finally:
        sinks.close()
        await scorer.stop()
        await fleet.pool.stop()


def sampling_of(config: RlConfig) -> Sampling:
    """Return how training completions are sampled."""
    section = config.sampling
    return Sampling(n=section.n, temperature=section.temperature, top_p=section.top_p, max_tokens=section.max_tokens)


def probes(inputs: Inputs, number: int, max_tokens: int) -> list[NDArray[np.int32]]:
    """Return the fixed sequences of the parity probe: prompts of the run, each with its right answer, of at most `max_tokens`."""
    sequences = []
    for draw in map(inputs.train.draw, range(min(number, len(inputs.train)))):
        answer = inputs.tokenizer.encode_completion(render_completion(draw.prompt.reference, "probe"))
        sequences.append(np.concatenate([draw.token_ids, answer])[: min(PROBE_TOKENS, max_tokens)])
    return sequences


def _evaluator(config: RlConfig, inputs: Inputs, pool: EnginePool, scorer: ScorerPool) -> HeldoutEvaluator | None:
    if not inputs.heldout:
        return None
    return HeldoutEvaluator(
        inputs.heldout, engines=pool, scorer=scorer, temperature=config.eval.temperature, max_tokens=config.sampling.max_tokens
    )


def _plan(config: RlConfig, inputs: Inputs, placement: Placement | None) -> str:
    """Return what `--dry-run` prints. Raises PlacementError where this machine is too small."""
    lines = [to_yaml(config).rstrip(), "", *closing.facts(inputs), *remarks(config), "placement:"]
    if placement is None:
        lines += [f"  {', '.join(b.roles)}: {b.cpus:g} CPU, {b.gpus} GPU" for b in bundles_of(config)]
        lines.append(f"  on the cluster at {config.cluster.address}, which a dry run does not ask")
    else:
        lines.append(placement.table())
        placement.require_fit()
    return "\n".join([*lines, "everything checked; nothing was started"])
