"""`toolrl rl`: checks everything, then trains by reinforcement learning in a run folder, resuming what is there.

settings ─> inputs (model, prompts, audit) ─> placement ─> run folder ─> cluster ─> actors ─> loop ─> export, plots, summary
            └────────────── a user's mistake ends here: one message, nothing written ──────────┘

A run that is killed goes on from its newest checkpoint when the same command is given again.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolrl.actors.cluster import LOCAL, local_nodes
from toolrl.actors.placement import Placement, bundles_of, fit
from toolrl.actors.session import Session
from toolrl.checkpoint.store import Checkpoint, CheckpointStore
from toolrl.config.load import load, to_yaml
from toolrl.config.remarks import remarks
from toolrl.config.schema import RlConfig
from toolrl.data.template import FILE_NAME
from toolrl.monitor.readable import require_readable
from toolrl.monitor.rundir import CHECKPOINTS, RunFolder, check
from toolrl.pipelines import closing
from toolrl.pipelines.inputs import Inputs, load_inputs
from toolrl.pipelines.live_status import Reporter
from toolrl.pipelines.plan import dry_run_lines
from toolrl.pipelines.preemption import Preemption
from toolrl.pipelines.started_from import STARTED_FROM, require_same
from toolrl.pipelines.training import TrainingRun


def rl(arguments: Sequence[str], *, dry_run: bool, as_json: bool) -> int:
    """Run `toolrl rl` and return its exit code. Raises ToolRLError."""
    config = load(RlConfig, arguments)
    if dry_run:
        run = Path(config.run.dir).resolve()
        check(run, config)
        require_readable(run)
        inputs = load_inputs(config)
        require_same(run, inputs.started_from)
        local = config.cluster.address == LOCAL
        print(_plan(config, inputs, fit(bundles_of(config), local_nodes(config.cluster)) if local else None))
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
    keeps = {FILE_NAME: inputs.template.source, STARTED_FROM: require_same(run, inputs.started_from)}
    store = CheckpointStore(run / CHECKPOINTS, config.checkpoint.keep)
    found: list[Checkpoint | None] = []
    # Nobody else may repair or prune the checkpoints meanwhile, and where all are damaged nothing is written.
    with RunFolder(run, config, keeps, ready=lambda: found.append(store.newest())) as folder:
        (newest,) = found
        if newest is None or newest.state.version < config.run.steps or not folder.summary.exists():
            folder.summary.unlink(missing_ok=True)  # it is written last: a run that has one has ended
            print(closing.opening(config, inputs, newest), flush=True)
            with Reporter(folder, config.run.steps) as reporter:
                with session.stage(config.cluster, bundles_of(config), run.name) as stage:
                    preemption = Preemption(config.checkpoint.preempt_timeout_s)
                    training = TrainingRun(config, inputs, folder, stage, store, preemption, reporter)
                    asyncio.run(preemption.watch(training.train(newest)))
                reporter.close_up()
                closing.finish(folder, store)
        return folder.read_summary()


def _plan(config: RlConfig, inputs: Inputs, placement: Placement | None) -> str:
    """Return what `--dry-run` prints. Raises PlacementError where this machine is too small."""
    lines = [to_yaml(config).rstrip(), "", *closing.facts(inputs), *remarks(config), "placement:"]
    if placement is None:
        lines += [f"  {', '.join(b.roles)}: {b.cpus:g} CPU, {b.gpus} GPU" for b in bundles_of(config)]
        lines.append(f"  on the cluster at {config.cluster.address}, which a dry run does not ask")
    else:
        lines.append(placement.table())
        placement.require_fit()
    return "\n".join([*lines, *dry_run_lines(config, inputs.model_path), "everything checked; nothing was started"])
