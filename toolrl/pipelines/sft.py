"""`toolrl sft`: trains on demonstrations with the learner of `toolrl rl`, in a run folder, resuming what is there.

settings ─> inputs (model, demonstrations, prompts) ─> run folder ─> cluster ─> actors ─> loop ─> export, plots, summary
            └─────── a user's mistake ends here: one message, nothing written ───────┘

A run that is killed goes on from its newest checkpoint when the same command is given again, to the same weights as if it had not been.
Engines and reward workers are started only where `eval.heldout` names prompts to answer.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolrl.actors.cluster import LOCAL, local_nodes
from toolrl.actors.placement import fit
from toolrl.actors.session import Session
from toolrl.checkpoint.store import Checkpoint, CheckpointStore
from toolrl.config.load import load, to_yaml
from toolrl.config.sft import SftConfig
from toolrl.data.template import FILE_NAME
from toolrl.monitor.readable import require_readable
from toolrl.monitor.rundir import CHECKPOINTS, RunFolder, check
from toolrl.pipelines.inputs import start_model
from toolrl.pipelines.live_status import Reporter
from toolrl.pipelines.preemption import Preemption
from toolrl.pipelines.started_from import STARTED_FROM, model_facts, require_same
from toolrl.pipelines.supervised import closing
from toolrl.pipelines.supervised.batches import DIGEST, digest_of
from toolrl.pipelines.supervised.crew import bundles
from toolrl.pipelines.supervised.inputs import SupervisedInputs, load_supervised
from toolrl.pipelines.supervised.training import SupervisedRun


def sft(arguments: Sequence[str], *, dry_run: bool, as_json: bool) -> int:
    """Run `toolrl sft` and return its exit code. Raises ToolRLError."""
    config = load(SftConfig, arguments)
    if dry_run:
        run = Path(config.run.dir).resolve()
        check(run, config)
        require_readable(run)
        with start_model(config.model.path, seed=config.run.seed) as model_path:
            print(_plan(load_supervised(config, model_path)))
        return 0
    with Session() as session:
        summary = train(config, session)
    print(json.dumps(summary) if as_json else closing.text(config, summary))
    return 0


def train(config: SftConfig, session: Session) -> dict[str, Any]:
    """Train a run to its end, from wherever it stands, and return its summary. Raises ToolRLError."""
    run = Path(config.run.dir).resolve()
    check(run, config)
    with start_model(config.model.path, seed=config.run.seed) as model_path:
        inputs = load_supervised(config, model_path)
        facts = {"model.path": model_facts(model_path)}
        keeps = {FILE_NAME: inputs.template.source, DIGEST: digest_of(inputs.train.rows) + "\n", STARTED_FROM: require_same(run, facts)}
        store = CheckpointStore(run / CHECKPOINTS, config.checkpoint.keep)
        found: list[Checkpoint | None] = []
        # Nobody else may repair or prune the checkpoints meanwhile, and where all are damaged nothing is written.
        with RunFolder(run, inputs.config, keeps, ready=lambda: found.append(store.newest())) as folder:
            (newest,) = found
            if newest is None or newest.state.version < inputs.config.run.steps or not folder.summary.exists():
                folder.summary.unlink(missing_ok=True)  # it is written last: a run that has one has ended
                print(closing.opening(inputs, newest), flush=True)
                with Reporter(folder, inputs.config.run.steps) as reporter:
                    with session.stage(config.cluster, bundles(config), run.name) as stage:
                        preemption = Preemption(config.checkpoint.preempt_timeout_s)
                        training = SupervisedRun(inputs, folder, stage, store, preemption, reporter)
                        asyncio.run(preemption.watch(training.train(newest)))
                    reporter.close_up()
                    closing.finish(folder, store)
            return folder.read_summary()


def _plan(inputs: SupervisedInputs) -> str:
    """Return what `--dry-run` prints. Raises PlacementError where this machine is too small."""
    config = inputs.config
    lines = [to_yaml(config).rstrip(), "", *closing.facts(inputs), "placement:"]
    if config.cluster.address == LOCAL:
        placement = fit(bundles(config), local_nodes(config.cluster))
        lines.append(placement.table())
        placement.require_fit()
    else:
        lines += [f"  {', '.join(bundle.roles)}: {bundle.cpus:g} CPU, {bundle.gpus} GPU" for bundle in bundles(config)]
        lines.append(f"  on the cluster at {config.cluster.address}, which a dry run does not ask")
    return "\n".join([*lines, "everything checked; nothing was started"])
